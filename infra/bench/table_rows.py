"""Lists of URLs through the reading layer: rows/s and peak memory at two sizes, in each form that a list may have.

    python infra/bench/table_rows.py            1 and 10 million rows; some 4 minutes, 3 GB of disk
    python infra/bench/table_rows.py --quick    100,000 and 1 million; under 50 s on a quiet machine

Measured is planning (slices, columns, what is wrong with a file) and reading every slice into candidates, one after
another in one process for each form and size; nothing is kept. The aim is memory that does not grow with rows.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from machine import machine, peak_mib

from crawler.lists.tables import plan_table, read_table_slice
from crawler.sources import TableSource

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-bench-table-rows"
FORMS = ("csv", "csv.gz", "tsv.zst", "jsonl", "parquet")
AIM_GROWTH = 1.25
_CHUNK_ROWS = 100_000

Figures = dict[str, Any]


def main() -> None:
    arguments = _arguments()
    if arguments.one:
        print(json.dumps(_one(arguments.one, arguments.rows[0], arguments.work)))
        return
    sizes = arguments.rows or ([100_000, 1_000_000] if arguments.quick else [1_000_000, 10_000_000])
    ours = [_in_own_process(form, size, arguments.work) for form in FORMS for size in sizes]
    pairs = list(zip(ours[:: len(sizes)], ours[len(sizes) - 1 :: len(sizes)], strict=True))
    growth = {last["form"]: round(last["peak_mib"] / first["peak_mib"], 2) for first, last in pairs}
    result = {"name": "table_rows", "machine": machine(), "ours": ours, "peer": None, "ratio": growth}
    print(json.dumps({**result, "aim": {"growth_at_most": AIM_GROWTH}, "met": max(growth.values()) <= AIM_GROWTH}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=int, nargs="*", help="rows of a list, the fewest first")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="where the lists are kept")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_own_process(form: str, rows: int, work: Path) -> Figures:
    for what in (f"make-{form}", form):
        options = ["--one", what, "--rows", str(rows), "--work", str(work)]
        ended = subprocess.run([sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def _one(what: str, rows: int, work: Path) -> Figures:
    form = what.removeprefix("make-")
    path = work / f"list-{rows}.{form}"
    if what != form:
        if not path.exists():
            make_list(path, form, rows)
        return {}
    start, cpu = time.monotonic(), time.process_time()
    source = TableSource(kind="table", layout="wukong", paths=[str(path)])
    pieces = plan_table(source)
    planned_s = time.monotonic() - start
    num_read = sum(batch.num_rows for piece in pieces for batch in read_table_slice(piece, source))
    seconds, cpu_s = time.monotonic() - start, time.process_time() - cpu
    told = {"form": form, "rows": num_read, "slices": len(pieces), "plan_s": round(planned_s, 2)}
    rates = {"rows_per_s": round(rows / seconds), "rows_per_cpu_s": round(rows / cpu_s)}
    return {**told, "seconds": round(seconds, 1), **rates, "peak_mib": peak_mib()}


def make_list(path: Path, form: str, rows: int) -> None:
    """A list of made-up URLs and captions, some 100 bytes a row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}")
    if form == "parquet":
        schema = pa.schema([("url", pa.string()), ("caption", pa.string())])
        with pq.ParquetWriter(part, schema) as writer:
            for start in range(0, rows, _CHUNK_ROWS):
                writer.write_table(_chunk(start, min(_CHUNK_ROWS, rows - start)))
    else:
        packing = {"gz": "gzip", "zst": "zstd"}.get(form.rpartition(".")[2])
        with pa.output_stream(part, compression=packing) as stream:
            for start in range(0, rows, _CHUNK_ROWS):
                _write_text(stream, _chunk(start, min(_CHUNK_ROWS, rows - start)), form, is_first=start == 0)
    part.rename(path)


def _chunk(start: int, rows: int) -> pa.Table:
    numbers = pa.array(range(start, start + rows), pa.int64()).cast(pa.string())
    url = pc.binary_join_element_wise("https://img.example.cn/photos/2026/", numbers, ".jpg", "")
    caption = pc.binary_join_element_wise("湖畔的古塔与远山,第", numbers, "张照片，摄于清晨", "")
    return pa.table({"url": url, "caption": caption})


def _write_text(stream: pa.NativeFile, table: pa.Table, form: str, is_first: bool) -> None:
    if form.startswith("jsonl"):
        lines = pc.binary_join_element_wise('{"url":"', table["url"], '","caption":"', table["caption"], '"}\n', "")
        stream.write("".join(lines.to_pylist()).encode())
        return
    delimiter = "\t" if form.startswith("tsv") else ","
    style = "needed" if delimiter == "," else "none"
    options = arrow_csv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style=style)
    if is_first:
        stream.write(f"url{delimiter}caption\n".encode())
    arrow_csv.write_csv(table, stream, options)


if __name__ == "__main__":
    main()
