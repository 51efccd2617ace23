"""The image hashes by name: what each measures of a stored copy, and which column says whether it can be trusted."""

from collections.abc import Mapping
from typing import Literal, Protocol

from dedup import dhash, phash
from dedup.shrinking import Pixels

HashName = Literal["phash", "dhash"]


class Hash(Protocol):
    """64 bits of an image, the first of them the most significant, and whether it holds enough for them to mean
    anything. `turned` is the same in grey on its side, for those who have it: to turn it costs as much as the rest.
    """

    def __call__(self, pixels: Pixels, turned: Pixels | None = None) -> tuple[int, bool]: ...


HASHES: Mapping[str, Hash] = {"phash": phash.hash_and_information, "dhash": dhash.hash_and_information}


def trust_column(name: str) -> str:
    """The bool column beside a hash's own: dedup asks it, nobody else."""
    return f"{name}_is_informative"
