"""The recipe's `release` section: what the release looks like on disk, and which samples it holds apart."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipelines.about.settings import AboutSettings
from shards.settings import Section

TRAIN = "train"
"""The split of what no split holds out."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


def _named(shares: dict[str, float]) -> dict[str, float]:
    for name in shares:
        if _NAME.fullmatch(name) is None or name == TRAIN:
            raise ValueError(
                f"{name!r} is no name; expected a-z, 0-9 and _, a letter first, at most 32, and not {TRAIN}"
            )
    return shares


Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Shares = Annotated[dict[str, Share], AfterValidator(_named)]


class ReleaseSettings(Section):
    """What the release looks like on disk."""

    shard_size: int = Field(default=10_000, ge=1, le=1_000_000, description="Samples a shard.")
    caption: Literal["best_score"] | list[str] = Field(
        default="best_score", description="The caption: the text of the best score, or the first of these kinds."
    )
    dropped: Literal["all", "narrow", "none"] = Field(
        default="all", description="Columns of dropped rows in the manifest: all, few, or no dropped files."
    )
    splits: Shares = Field(
        default={},
        max_length=20,
        description="Splits held out of training, as {val: 0.001}: shares of the kept samples, whole groups of "
        "near-duplicates, in shards of their own.",
    )
    subsets: Shares = Field(
        default={},
        max_length=20,
        description="Smaller shares of what is not held out, as {tenth: 0.1}: lists of uids, each in every larger one.",
    )

    about: AboutSettings = Field(default_factory=AboutSettings, description="Who made it, and under which terms.")

    @model_validator(mode="after")
    def _shares_are_apart(self) -> Self:
        if sum(self.splits.values()) >= 1:
            raise ValueError("splits: their shares come to 1 or more; expected something to be left for training")
        if both := sorted(self.splits.keys() & self.subsets.keys()):
            raise ValueError(f"subsets: {', '.join(both)} is the name of a split, too; expected another")
        return self
