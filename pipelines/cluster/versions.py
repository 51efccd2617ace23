"""Whether a node's packages are those of the driver: bytes are promised to be the same wherever a part is made."""

import platform
import re
from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA = re.compile(r";.*\bextra\s*==")


def expected_versions() -> tuple[Mapping[str, str], frozenset[str]]:
    """The driver's versions of Python and of all that curate asks for, and the names that every node must have.

    Extras, such as torch, are needed where a stage uses them, and only there.
    """
    asked = requires("curate") or []
    plain = {name for line in asked if (name := _name(line)) and not _EXTRA.search(line)}
    return versions_of({name for line in asked if (name := _name(line))}), frozenset({"python", *plain})


def versions_of(names: Collection[str]) -> Mapping[str, str]:
    """Python's minor version and those of the packages that are installed here. Builds for CPU and CUDA are of one."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in sorted(names):
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            continue
    return found


def mismatch(driver: Mapping[str, str], needed: frozenset[str], node: Mapping[str, str]) -> str | None:
    """How a node differs from the driver, or None. `needed` of the driver's must be there; the rest, if it is there."""
    wrong = [
        f"{name} {node.get(name, 'is missing')} (driver: {told})"
        for name, told in driver.items()
        if node.get(name, None if name in needed else told) != told
    ]
    return ", ".join(wrong) or None


@cache
def mismatch_here(driver: tuple[tuple[str, str], ...], needed: frozenset[str]) -> str | None:
    """`mismatch` of this process, found once."""
    return mismatch(dict(driver), needed, versions_of({name for name, _ in driver} - {"python"}))


def _name(line: str) -> str:
    match = _NAME.match(line)
    return match[0].lower() if match else ""
