"""A frontier's update: links/s and peak memory at 5 and at 20 million links, range of hosts by range of hosts.

    python infra/bench/frontier.py            5 and 20 million links; about 6 minutes, 6 GB of disk
    python infra/bench/frontier.py --quick    1 and 2 million; under 50 s on a quiet machine
    python infra/bench/frontier.py --counts 100000000      ours alone at another size; disk grows with it

A crawl in its third round: half of the links are known from before, a tenth of the URLs were visited, hosts are as
uneven as on the web (one has a fiftieth of all links), and popular pages are linked to many times. Measured is all that
the run does between two rounds of fetching: shuffle, update of what is known, and the choice of the next round, by the
very functions that its tasks call, one after another in one process for each size. Beside it, as a reference point, the
design before this one: one DuckDB query over all pages and links, with one thread and 1 GB (`--no-peer` leaves it out).
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from machine import machine, peak_mib

from crawler.crawl.frontier_cut import cut_of, frontier_of
from crawler.crawl.known_urls import KNOWN, Budget, KnownPaths, range_of_hosts, rows_of_links, update_known
from crawler.frontier import LINKS
from pipelines.flow.shuffle import grouped_by_rows, read_bucket, write_buckets
from pipelines.tasks import buckets_for
from shards.tables import TableWriter, fit, read_rows, write_table

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-bench-frontier"
PART_LINKS = 500_000
"""Links of one part of the crawl, as with 5,000 pages of a hundred links each."""

MAX_PAGES_PER_HOST = 10_000
LANES = 16
DONE = "made"
AIM_PEAK_MIB, AIM_RATE_RATIO = 2048, 0.9

Figures = dict[str, Any]


def main() -> None:
    arguments = _arguments()
    if arguments.one:
        print(json.dumps(_one(arguments.one, arguments.counts[0], arguments.work)))
        return
    counts = arguments.counts or ([1_000_000, 2_000_000] if arguments.quick else [5_000_000, 20_000_000])
    ours = [_in_own_process("ours", count, arguments.work) for count in counts]
    peer = None if arguments.no_peer else _in_own_process("one_query", counts[0], arguments.work)
    ratio = round(ours[-1]["links_per_cpu_s"] / ours[0]["links_per_cpu_s"], 3)
    is_met = ours[-1]["peak_mib"] <= AIM_PEAK_MIB and ratio >= AIM_RATE_RATIO
    aim = {"peak_mib": AIM_PEAK_MIB, "rate_at_most_over_rate_at_least": AIM_RATE_RATIO}
    result = {"name": "frontier", "machine": machine(), "ours": ours, "peer": peer, "ratio": ratio}
    print(json.dumps({**result, "aim": aim, "met": is_met}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--counts", type=int, nargs="*", help="links of an update")
    parser.add_argument("--no-peer", action="store_true", help="ours alone")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="where the tables are kept")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_own_process(name: str, count: int, work: Path) -> Figures:
    options = ["--one", name, "--counts", str(count), "--work", str(work)]
    ended = subprocess.run([sys.executable, __file__, *options], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        return {"links": count, "failed": ended.stderr.strip()[-300:]}
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def _one(name: str, count: int, work: Path) -> Figures:
    folder = work / f"given-{count}"
    if name == "make":
        make_crawl(folder, count)
        return {}
    if not (folder / DONE).exists():  # in a process of its own: its memory is nobody's here
        _in_own_process("make", count, work)
    out = work / f"{name}-{count}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    start, cpu = time.monotonic(), time.process_time()
    told = update(folder, out) if name == "ours" else one_query(folder, out)
    seconds, cpu_s = time.monotonic() - start, time.process_time() - cpu
    shutil.rmtree(out)
    rates = {"links_per_s": round(count / seconds), "links_per_cpu_s": round(count / cpu_s)}
    spent = {"seconds": round(seconds, 1), "cpu_s": round(cpu_s, 1), "peak_mib": peak_mib()}
    return {"links": count, **spent, **rates, **told}


def update(folder: Path, out: Path) -> Figures:
    """What the tasks of `pipelines.flow.frontier` do, one after another."""
    links, before = sorted(folder.glob("links-*")), sorted(folder.glob("known-*"))
    rows = [pq.read_metadata(path).num_rows for path in links]
    num_ranges = len(before)
    while num_ranges < buckets_for(sum(rows) + sum(pq.read_metadata(path).num_rows for path in before)):
        num_ranges *= 2
    shuffled: list[Path] = []
    for group in grouped_by_rows(links, rows):
        found = pa.concat_tables([rows_of_links(read_rows(path, LINKS.names)) for path in group])
        shuffled.append(out / f"shuffled-{len(shuffled):04d}")
        write_buckets(shuffled[-1], found, range_of_hosts(found["host"], num_ranges), num_ranges)
        del found
    names = ("known", "candidates", "counts")
    made = [KnownPaths(*(out / f"{name}-{place:04d}" for name in names)) for place in range(num_ranges)]
    num_known = 0
    for place, paths in enumerate(made):
        known = read_rows(before[place * len(before) // num_ranges])
        known = known.filter(pa.array(range_of_hosts(known["host"], num_ranges) == place))
        num_known += update_known([read_bucket(shuffled, place), known], Budget(MAX_PAGES_PER_HOST), paths)[0]
    num_chosen = 0
    cut = cut_of([paths.counts for paths in made], sum(rows) // 10)
    for place, paths in enumerate(made):
        chosen = frontier_of(read_rows(paths.candidates), place, cut, LANES)
        write_table(out / f"frontier-{place:04d}", chosen)
        num_chosen += chosen.num_rows
    return {"ranges": num_ranges, "known": num_known, "chosen": num_chosen}


_ONE_QUERY = """
COPY (
    WITH seen AS (SELECT url FROM known WHERE seen > 0),
    visited AS (SELECT host, count(*) AS num_pages FROM known WHERE seen = 2 GROUP BY host),
    fresh AS (SELECT url, any_value(host) AS host, min(depth) AS depth FROM links GROUP BY url),
    ranked AS (
        SELECT fresh.*, coalesce(num_pages, 0) AS num_before,
            row_number() OVER (PARTITION BY fresh.host ORDER BY depth, url) AS place
        FROM fresh ANTI JOIN seen USING (url) LEFT JOIN visited ON fresh.host = visited.host),
    chosen AS (
        SELECT url, host, depth FROM ranked WHERE place + num_before <= {per_host}
        ORDER BY depth, place, host LIMIT {most})
    SELECT * FROM chosen ORDER BY host, url
) TO '{target}' (FORMAT parquet, COMPRESSION zstd)
"""


def one_query(folder: Path, out: Path) -> Figures:
    """The design before: all that any round ever found is read again, by one query with 1 GB."""
    import duckdb

    links = [*sorted(folder.glob("links-*")), *sorted(folder.glob("earlier-*"))]
    num_links = sum(pq.read_metadata(path).num_rows for path in folder.glob("links-*"))
    query = _ONE_QUERY.format(per_host=MAX_PAGES_PER_HOST, most=num_links // 10, target=out / "frontier")
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": "1GB",
        "temp_directory": str(out / "spill"),
    }
    with duckdb.connect(config=settings) as connection:
        for name, paths in (("links", links), ("known", sorted(folder.glob("known-*")))):
            connection.read_parquet([str(path) for path in paths]).create_view(name)
        connection.execute(query)
    return {"chosen": pq.read_metadata(out / "frontier").num_rows}


def make_crawl(folder: Path, count: int) -> None:
    """Links of one round in parts, those of earlier rounds, and what was known, by range of hosts."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(count)
    num_urls, num_hosts = count // 2, max(50, count // 500)
    num_ranges = 1
    while num_ranges < buckets_for(num_urls):
        num_ranges *= 2
    writers = [TableWriter(folder / f"known-{place:04d}", KNOWN) for place in range(num_ranges)]
    for start in range(0, num_urls // 2, PART_LINKS):
        # Known is the first half of all URLs, and a tenth of it was visited.
        known = urls_of(np.arange(start, min(start + PART_LINKS, num_urls // 2)), num_hosts)
        write_table(folder / f"earlier-{start:010d}", fit(known, LINKS))
        seen = pa.array(np.where(rng.random(len(known)) < 0.1, 2, 0), pa.int8())
        known = fit(known.append_column("seen", seen), KNOWN)
        ranges = range_of_hosts(known["host"], num_ranges)
        for place, writer in enumerate(writers):
            writer.write(known.filter(pa.array(ranges == place)))
    for writer in writers:
        writer.close()
    for start in range(0, count, PART_LINKS):
        # Half of the links lead to a twentieth of the URLs.
        size = min(PART_LINKS, count - start)
        numbers = rng.integers(0, np.where(rng.random(size) < 0.5, num_urls // 20, num_urls))
        write_table(folder / f"links-{start:010d}", urls_of(numbers, num_hosts))
    (folder / DONE).touch()


def urls_of(numbers: npt.NDArray[np.int64], num_hosts: int) -> pa.Table:
    """LINKS rows of some URLs by number: what a URL is, its host above all, follows from its number alone."""
    mixed = (numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(11)
    host = 1 + (num_hosts * (mixed / 2.0**53) ** 3).astype(np.int64)  # a few hosts have most URLs
    host[mixed % np.uint64(50) == 0] = 0
    shuffled = (numbers * 48_271) % 2_147_483_647  # neighbours by number are no neighbours by name
    hosts = pc.binary_join_element_wise("www.site", pa.array(host).cast(pa.string()), ".example.cn", "")
    names = [pa.array(column).cast(pa.string()) for column in (shuffled % 997, shuffled, numbers)]
    urls = pc.binary_join_element_wise(
        "http://", hosts, "/zh/articles/", names[0], "/", names[1], "-", names[2], ".html", ""
    )
    depths, signs = pa.array(1 + mixed % np.uint64(4), pa.int32()), pa.array(mixed % np.uint64(8), pa.uint8())
    return pa.Table.from_arrays([urls, hosts, depths, urls, signs], schema=LINKS)


if __name__ == "__main__":
    main()
