"""The reference point of the flow bench: much the same rules over the same CSV files as one DuckDB query.

It lacks what costs time and makes a dataset sound: WHATWG canonical URLs (it cuts the fragment), entities, full-width
forms, control characters, Simplified writing, contacts, all but the commonest file names, hosts, an account of broken
rows, candidates kept as a stage of their own, all failed rules, parts, resume.
"""

from pathlib import Path

import duckdb

_FILE_NAME = r"\.(jpe?g|png|gif|bmp|webp)$|^(img|dsc|mmexport|微信图片)[-_0-9]*$|^[-_ .()0-9]+$"
_QUERY = r"""
COPY (
    WITH cleaned AS (
        SELECT url, regexp_replace(url, '#.*$', '') AS canonical,
            trim(regexp_replace(nfc_normalize(caption), '\s+', ' ', 'g')) AS text
        FROM read_csv($paths, header = true, columns = {'url': 'VARCHAR', 'caption': 'VARCHAR'}, quote = '"',
            store_rejects = true, strict_mode = false)),
    measured AS (
        SELECT *, length(text) - length(regexp_replace(text, '\p{Han}', '', 'g')) AS zh_chars,
            regexp_matches(text, $filename, 'i') AS is_filename
        FROM cleaned),
    counted AS (SELECT text, count(DISTINCT canonical) AS text_count FROM measured GROUP BY text),
    judged AS (
        SELECT *, CASE
            WHEN NOT regexp_matches(url, '^https?://[^/ ]') THEN 'bad_url'
            WHEN NOT zh_chars >= 1 THEN 'no_chinese'
            WHEN NOT zh_chars < 32 THEN 'too_long'
            WHEN is_filename THEN 'file_name'
            WHEN NOT text_count <= 10 THEN 'repeated_text' END AS drop_reason
        FROM measured JOIN counted USING (text))
    SELECT md5(canonical) AS uid, canonical, min(url) AS url,
        list(DISTINCT {'text': text, 'zh_chars': zh_chars, 'text_count': text_count, 'drop_reason': drop_reason})
            AS texts,
        CASE WHEN bool_and(drop_reason IS NOT NULL) THEN max(drop_reason) END AS drop_reason
    FROM judged GROUP BY canonical
) TO '{target}' (FORMAT parquet, COMPRESSION zstd)
"""


def duckdb_pass(paths: list[Path], target: Path, threads: int) -> int:
    """Write one row per URL to `target`; returns their number."""
    query = _QUERY.replace("{target}", str(target))
    with duckdb.connect(config={"threads": threads, "temp_directory": str(target.parent / "spill")}) as database:
        database.execute(query, {"paths": [str(path) for path in paths], "filename": _FILE_NAME})
        row = database.execute(f"SELECT count(*) FROM '{target}'").fetchone()
    assert row is not None
    return int(row[0])
