"""Where stages run and with how much: operational settings, in no fingerprint."""

from pydantic import Field

from shards.settings import Section

NODE_LABEL = "curate-node"
"""The label of Ray's nodes by whose value a recipe chooses them: `ray start --labels curate-node=crawl`."""


class StageResources(Section):
    """What a part of one stage needs beside its share of a CPU."""

    node: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$",
        description=f"Run on nodes alone whose label `{NODE_LABEL}` has this value; null: on any.",
    )
    memory_mb: int | None = Field(
        default=None,
        ge=256,
        le=16 * 2**20,
        description="The most MiB that a part's worker and its children may hold; kept free for it on its node.",
    )


class ResourceSettings(Section):
    """Nodes and memory by stage, and what is done where a cluster is slow or small."""

    crawl: StageResources = Field(default_factory=StageResources, description="Of the stage crawl.")
    search: StageResources = Field(default_factory=StageResources, description="Of the stage search.")
    collect: StageResources = Field(default_factory=StageResources, description="Of the stage collect.")
    admit: StageResources = Field(default_factory=StageResources, description="Of the stage admit.")
    fetch: StageResources = Field(default_factory=StageResources, description="Of the stage fetch.")
    measure: StageResources = Field(default_factory=StageResources, description="Of the stage measure.")
    dedup: StageResources = Field(default_factory=StageResources, description="Of the stage dedup.")
    score: StageResources = Field(default_factory=StageResources, description="Of the stage score.")
    select: StageResources = Field(default_factory=StageResources, description="Of the stage select.")
    release: StageResources = Field(default_factory=StageResources, description="Of the stage release.")
    wait_for_nodes_s: float = Field(
        default=600,
        ge=0,
        le=86_400,
        description="How long a part may wait for a node that offers what its stage asks for.",
    )
    second_run_after: float | None = Field(
        default=3,
        ge=1.5,
        le=100,
        description="A part that runs this many times as long as half of its step's parts is started a second time, "
        "unless its stage asks hosts; null: never.",
    )
    second_run_least_s: float = Field(
        default=120, ge=0, le=86_400, description="No part is started a second time before it has run this long."
    )

    def of(self, stage: str) -> StageResources:
        """What a part of this stage needs."""
        found = getattr(self, stage, None)
        return found if isinstance(found, StageResources) else StageResources()
