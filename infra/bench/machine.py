"""The machine that a bench ran on, in words, and what a process took of it."""

import os
import platform
import re
from pathlib import Path


def machine() -> str:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def peak_mib() -> int:
    """Of this process since it was executed (VmHWM): rusage's figure begins with the parent's."""
    told = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return round(int(told[1]) / 1024) if told else 0
