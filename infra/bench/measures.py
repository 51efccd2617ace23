"""Text and image measures beside data-juicer's: both benches one after the other, told as one.

    python infra/bench/measures.py            about 8 minutes once the peers are installed
    python infra/bench/measures.py --quick    fewer rows and images; some 90 s

`text_measures.py` and `image_measures.py` say what is measured, and how.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import machine

BENCHES = {"captions": "text_measures.py", "images": "image_measures.py"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    flags = ["--quick"] if parser.parse_args().quick else []
    told = {name: _told(file, flags) for name, file in BENCHES.items()}
    both = {key: {name: told[name][key] for name in BENCHES} for key in ("ours", "peer", "ratio", "aim")}
    met = all(each["met"] for each in told.values())
    print(json.dumps({"name": "measures", "machine": machine(), **both, "met": met}, ensure_ascii=False))


def _told(file: str, flags: list[str]) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).with_name(file)), *flags]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{ended.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
