"""How fast a finished run is reported: `curate report` over a made-up run of a million manifest rows.

    python infra/bench/report.py            1.4 million candidates, 1.27 million rows; the run takes 10 minutes to make
    python infra/bench/report.py --quick    50,000 candidates, under 50 s

One call of the command in a process of its own, the interpreter's start included. The made-up run has no stored
copies, so that its page lacks pictures; a page's worth of thumbnails, of images of 512 px, is timed apart. Runs that
`release_again.py` made are taken (`--work`). No peer draws such a page.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import machine
from measured_run import make_run
from process_tree import TreeMeter

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-bench-release"
AIM_S = 60
QUICK_ROWS = 50_000
NUM_PICTURES = 228
"""Of a page with as many rules as it shows: 12 kept, 12 times 6 dropped, 12 times 6 and 6 at a threshold."""


def main() -> None:
    arguments = _arguments()
    arguments.work.mkdir(parents=True, exist_ok=True)
    run = make_run(arguments.work, QUICK_ROWS if arguments.quick else arguments.rows)
    ours = _report(run) | {"thumbnails": NUM_PICTURES, "thumbnails_s": _thumbnails_s()}
    result = {
        "name": "report",
        "machine": machine(),
        "ours": ours,
        "peer": None,
        "ratio": None,
        "aim": f"a million manifest rows reported in {AIM_S} s on 2 cores, pictures included",
        "met": ours["seconds"] + ours["thumbnails_s"] <= AIM_S,
    }
    print(json.dumps(result, ensure_ascii=False))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rows")
    parser.add_argument("--rows", type=int, default=1_400_000, help="candidates of the run; about 1.27 million rows")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="where the run is kept, for another call")
    return parser.parse_args()


def _report(run: Path) -> dict[str, Any]:
    """Wall and CPU seconds of the command, its peak of memory, the page's bytes and the run's rows."""
    with tempfile.TemporaryDirectory(dir=run.parent) as folder:
        page = Path(folder) / "report.html"
        command = [sys.executable, "-m", "pipelines.cli", "report", str(run), "-o", str(page)]
        with TreeMeter(os.getpid()) as meter:
            started = time.monotonic()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds = time.monotonic() - started
        page_bytes = page.stat().st_size
    return {
        "rows": json.loads((run / "release" / "stats.json").read_bytes())["samples"],
        "seconds": round(seconds, 1),
        "cpu_s": round(sum(meter.usage.cpu_s.values()), 1),
        "foreign_cpu_s": meter.usage.foreign_cpu_s,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
        "page_bytes": page_bytes,
    }


def _thumbnails_s() -> float:
    """As many pictures as a full page has, of JPEGs like stored copies."""
    import io

    import numpy as np
    from PIL import Image

    from pipelines.report.pictures import MAX_SIDE_PX
    from shards.image_thumbnails import thumbnail

    x, y = np.meshgrid(np.linspace(0, 9, 512), np.linspace(0, 7, 384))
    waves = np.stack([np.sin(x + phase) * np.cos(y * phase) for phase in (1, 2, 3)], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray((127 + 120 * waves).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    started = time.monotonic()
    for _ in range(NUM_PICTURES):
        thumbnail(buffer.getvalue(), MAX_SIDE_PX)
    return round(time.monotonic() - started, 2)


if __name__ == "__main__":
    main()
