"""What `run.json` says of a run's beginning: all that it takes to run the same again, and on which machine it was."""

import hashlib
import platform
import re
import sys
import time
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from crawler.part_of_source import PART_KEYS
from pipelines.tasks import Plan

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def start_facts(plan: Plan, recipe_text: str) -> dict[str, Any]:
    """Clocks, machine, command and versions: they live here and in no released byte.

    `recipe_sha256` is that of the run's `recipe.yaml`, which holds every default: the recipe, this version of curate
    and the committed fetch parts make the release; there is no seed to be kept, since nothing is drawn by chance.
    """
    return {
        "started": time.time(),
        "command": sys.argv,
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": _versions(),
        "recipe_sha256": hashlib.sha256(recipe_text.encode()).hexdigest(),
        "part_of_source": plan.recipe.source.model_dump(include=set(PART_KEYS)),
        "allow_private": plan.recipe.network.allow_private,
        "reuse": [entry.model_dump() for entry in plan.recipe.reused],
    }


def _versions() -> dict[str, str]:
    """curate's own version and those of the packages that it names, as far as they are here; not of its tests' own."""
    named = [requirement for requirement in requires("curate") or () if "dev" not in requirement.partition(";")[2]]
    names = {match[0].lower() for match in map(_NAME.match, named) if match}
    found = {"curate": version("curate")}
    for name in sorted(names - {"curate"}):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # of an extra that is not installed
            continue
    return found
