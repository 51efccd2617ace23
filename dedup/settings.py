"""The recipe's `dedup` section: which images count as one, and which of them stays."""

from typing import Literal

from pydantic import Field

from dedup.hashes import HashName
from shards.settings import Section


class DedupSettings(Section):
    """How near-duplicates are found and who stays."""

    hash: HashName = Field(default="phash", description="The image hash that near-duplicates are found by.")
    distance: int = Field(
        default=4,
        ge=0,
        le=16,
        description="Bits, of 64, in which the hashes of near-duplicates may differ; 0 wants equal hashes.",
    )
    keep: Literal["largest", "sharpest", "best_score"] = Field(
        default="largest",
        description="Who stays of a group: most pixels in the original, sharpest stored copy, or highest clip_score.",
    )
    merge_texts: bool = Field(default=True, description="Give the texts of a group's duplicates to who stays.")
    against: list[str] = Field(
        default=[],
        description="Runs, releases or hash files; `seen_in` names the first that has the same or a near image.",
    )
    evaluation: list[str] = Field(
        default=[],
        description="Image folders, releases, hash files; `eval_match` names the first with the same or a near image.",
    )

    semantic_clusters: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Clusters of embeddings inside which sem_dup_cos compares; null: the root of half their number. "
        "Crowded ones are cut again.",
    )

    @property
    def dup_rank_stage(self) -> str:
        """Where `dup_rank` and `pair_rank` exist first: scores decide only after scoring."""
        return "select" if self.keep == "best_score" else "dedup"

    @property
    def needed_measures(self) -> tuple[str, ...]:
        """What `keep` compares, beyond the original's size."""
        return {"largest": (), "sharpest": ("sharpness",), "best_score": ("clip_score",)}[self.keep]
