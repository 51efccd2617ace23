"""An environment of its own for what a bench compares with."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def ensure_environment(folder: Path, packages: Sequence[str], alone: Sequence[str] = ()) -> Path:
    """Its interpreter; made where it is missing, which takes a minute or two. `alone` come without what they want."""
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    print(f"installing {', '.join([*packages, *alone])} into {folder}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, *packages], check=True)
    if alone:
        subprocess.run([*install, "--no-deps", *alone], check=True)
    (folder / "complete").touch()
    return python
