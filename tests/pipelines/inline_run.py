"""One run in one process, to be watched from outside: `python -m tests.pipelines.inline_run RECIPE.json OUT`."""

import json
import sys
from pathlib import Path

from tests.pipelines.conftest import run_inline

if __name__ == "__main__":
    run_inline(json.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2]))
