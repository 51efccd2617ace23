"""What a resume decides by listing alone: CPU seconds of `curate` for a step of many committed parts on an S3 store.

    python infra/bench/store_resume.py [--parts 100000]

The store is a server of this machine that has its pages ready, in a process of its own: its time is not counted. The
node has nothing of the run, as after the loss of the machine that made it. Prints one JSON object.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PAGE_SIZE = 1000
STEP = "fetch"
_NO_MD5 = "0" * 32


def fingerprint_of(index: int) -> str:
    return f"{index * 2654435761 % 2**32:08x}" + "0" * 24


def keys(num_parts: int) -> list[tuple[str, int]]:
    """(key, bytes) as a step of the fetch leaves them: a record, rows and a tar each part; in the order of a store."""
    found = [(f"run/{STEP}/_done/{index:06d}-{fingerprint_of(index)[:8]}.json", 900) for index in range(num_parts)]
    for index in range(num_parts):
        attempt = f"run/{STEP}/part-{index:06d}.{index * 40503 % 2**32:08x}"
        found += [(f"{attempt}.parquet", 123_456), (f"{attempt}.tar", 12_345_678)]
    return sorted(found)


def serve(num_parts: int) -> None:
    """Answers listings alone, until it is killed."""
    objects = keys(num_parts)
    pages = [
        _page(objects[at : at + PAGE_SIZE], at + PAGE_SIZE < len(objects)) for at in range(0, len(objects), PAGE_SIZE)
    ]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            at = int(asked.get("continuation-token", ["0"])[0])
            body = (_EMPTY if "delimiter" in asked else pages[at]).replace(b"@NEXT@", str(at + 1).encode())
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


_SPACE = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
_EMPTY = f"{_SPACE}<IsTruncated>false</IsTruncated></ListBucketResult>".encode()


def _page(objects: list[tuple[str, int]], has_more: bool) -> bytes:
    told = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{_NO_MD5}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key, size in objects
    )
    more = "<NextContinuationToken>@NEXT@</NextContinuationToken>" if has_more else ""
    ends = f"<EncodingType>url</EncodingType><IsTruncated>{'true' if has_more else 'false'}</IsTruncated>"
    return f"{_SPACE}{ends}{told}{more}</ListBucketResult>".encode()


def measure(num_parts: int, endpoint: str, scratch: Path) -> dict[str, object]:
    """Decide about every part, as the runner does before it starts a batch."""
    os.environ.update(
        AWS_ENDPOINT_URL=endpoint, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_REGION="us-east-1",
        CURATE_SCRATCH=str(scratch),
    )  # fmt: skip
    from shards.parts import StepFolder
    from shards.storage import open_run_folder

    run = open_run_folder("s3://bucket/run")
    began, cpu = time.perf_counter(), time.process_time()
    folder = StepFolder(run, STEP)
    committed = folder.committed()
    done = sum(
        (index, fingerprint_of(index)[:8]) in committed and folder.done(index, fingerprint_of(index)) is not None
        for index in range(num_parts)
    )
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - began
    assert done == num_parts, f"{done} of {num_parts} parts were found done"
    return {
        "parts": num_parts,
        "requests": -(-3 * num_parts // PAGE_SIZE),
        "cpu_s": round(cpu_s, 2),
        "wall_s": round(wall_s, 2),
        "us_per_part": round(1e6 * cpu_s / num_parts, 1),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--parts", type=int, default=100_000)
    arguments.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.serve:
        serve(given.parts)
        return
    command = [sys.executable, __file__, "--serve", "--parts", str(given.parts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server, tempfile.TemporaryDirectory() as scratch:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().decode().strip()
            assert re.fullmatch(r"\d+", port), "the server did not start"
            print(json.dumps(measure(given.parts, f"http://127.0.0.1:{port}", Path(scratch))))
        finally:
            server.kill()


if __name__ == "__main__":
    main()
