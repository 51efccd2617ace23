"""The image hashes by name: what each measures of a stored copy, and which column says whether it can be trusted."""

from collections.abc import Callable, Mapping
from typing import Literal

from dedup import dhash, phash
from dedup.shrinking import Pixels

HashName = Literal["phash", "dhash"]

HASHES: Mapping[str, Callable[[Pixels], tuple[int, bool]]] = {
    "phash": phash.hash_and_information,
    "dhash": dhash.hash_and_information,
}
"""A hash of 64 bits, its first bit the most significant, and whether the image holds enough for it to mean anything."""


def trust_column(name: str) -> str:
    """The bool column beside a hash's own: dedup asks it, nobody else."""
    return f"{name}_is_informative"
