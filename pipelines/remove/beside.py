"""What lies beside a release: the page with pictures of samples, and the answers of annotators."""

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards.errors import BadInputError
from shards.storage import put_whole

Tell = Callable[[str], None]


def purge_beside(page: Path, labels: Path, uids: pa.Array, tell: Tell, is_dry: bool) -> None:
    """Delete the page, which may picture anybody, and answers about the samples. Raises `BadInputError`."""
    if page.is_file() and len(uids):
        tell(f"{page.name}: goes; `curate report` makes it anew")
        if not is_dry:
            page.unlink()
    for path in sorted(labels.glob("*.parquet")):
        _without_answers(path, uids, tell, is_dry)


def _without_answers(path: Path, uids: pa.Array, tell: Tell, is_dry: bool) -> None:
    try:
        table = pq.read_table(path, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise BadInputError(f"{path}: no answers of annotators ({error}); move it elsewhere and call again") from None
    if "uid" not in table.column_names:
        return
    left = table.filter(pc.invert(pc.is_in(table["uid"], value_set=uids)))
    if left.num_rows < table.num_rows:
        tell(f"{path.parent.name}/{path.name}: {table.num_rows - left.num_rows} answers")
        if not is_dry:
            data = io.BytesIO()
            pq.write_table(left, data)
            put_whole(path, data.getvalue())
