"""views.sql: the views over a release's manifest, with a comment on every column, wherever the release lies."""

from collections.abc import Mapping, Sequence

VIEWS_FILE = "views.sql"

_HEAD = """-- DuckDB views over this release. In its folder:   duckdb -init views.sql
-- From elsewhere:  SET VARIABLE release = '/data/my-release'; .read /data/my-release/views.sql
SET VARIABLE release = coalesce(getvariable('release'), '.');
"""

_VIEWS = """CREATE OR REPLACE VIEW manifest AS
    SELECT * FROM read_parquet(getvariable('release') || '/manifest/*.parquet', union_by_name = true);
CREATE OR REPLACE VIEW texts AS
    SELECT uid, host, status, unnest(texts, recursive := true) FROM manifest;
CREATE OR REPLACE VIEW funnel AS
    SELECT coalesce(dropped_at, 'release') AS stage, coalesce(drop_reason, 'kept') AS reason, count(*) AS samples
    FROM manifest GROUP BY ALL ORDER BY samples DESC, stage, reason;
COMMENT ON VIEW manifest IS 'one row a sample, kept or dropped';
COMMENT ON VIEW texts IS 'one row a text of a sample; drop_reason is that of the text';
COMMENT ON VIEW funnel IS 'how many samples fell at which stage for which reason';
"""


def release_views(columns: Sequence[str], notes: Mapping[str, str]) -> str:
    """The script, for a manifest with these columns; without any there is no file that a view could read."""
    if not columns:
        return "-- This release has no row, kept or dropped: there is nothing to look at.\n"
    comments = [f"COMMENT ON COLUMN manifest.{name} IS {_quoted(notes[name])};\n" for name in columns if name in notes]
    return _HEAD + _VIEWS + "".join(comments)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
