"""A run on a disk that is too small, a little larger each time, in a mount namespace of its own.

    unshare --mount python -m tests.pipelines.full_disk RECIPE.json DISK OUT STEP_KB

DISK is an empty folder, OUT where the release of the finished run is copied. Prints a JSON list of what each end said.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from shards.errors import CurateError
from tests.pipelines.conftest import run_inline

_MOST_ENDS = 300


def main() -> None:
    recipe, disk, out, step_kb = (
        json.loads(Path(sys.argv[1]).read_bytes()),
        Path(sys.argv[2]),
        sys.argv[3],
        int(sys.argv[4]),
    )
    size_kb, told = step_kb, []
    mount(disk, size_kb, "size")
    for _ in range(_MOST_ENDS):
        try:
            run_inline(recipe, disk / "run")
        except CurateError as error:
            told.append([error.exit_code, str(error)])
        else:
            shutil.copytree(disk / "run", out)
            print(json.dumps(told))
            return
        size_kb += step_kb
        mount(disk, size_kb, "remount,size")


def mount(disk: Path, size_kb: int, how: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{how}={size_kb}k", "tmpfs", str(disk)], check=True)


if __name__ == "__main__":
    main()
