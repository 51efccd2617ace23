"""The recipe's `score` section: which image-text model gives `clip_score`, and how it runs."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from shards.settings import Section

Precision = Literal["fp32", "fp16", "bf16"]

_PACKAGED = "local-dir:package:"


class ScoreSettings(Section):
    """A dual encoder that open_clip loads: by name and weights, from a hub, or from a local folder."""

    model: str = Field(
        default="xlm-roberta-base-ViT-B-32",
        min_length=1,
        max_length=1000,
        description="An open_clip model name, hf-hub:OWNER/NAME, or local-dir:FOLDER with open_clip_config.json, "
        "the weights and the tokenizer. local-dir:package:FOLDER lies inside the installed package.",
    )
    pretrained: str | None = Field(
        default="laion5b_s13b_b90k",
        min_length=1,
        max_length=1000,
        description="The name of released weights or a weights file; not used with hf-hub: and local-dir: models.",
    )
    precision: Precision = Field(default="fp32", description="The numbers the model computes in; it decides scores.")
    batch_size: int = Field(
        default=32, ge=1, le=4096, description="Images, and texts, that the model takes at once; it decides scores."
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d{1,2})?|mps)$",
        description="auto takes a GPU where the worker has one and the CPU elsewhere; or cpu, cuda, cuda:N, mps.",
    )
    cpu_threads: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Threads of one scoring worker on the CPU: fixed, so that scores do not depend on the machine.",
    )

    embeddings: bool = Field(
        default=False,
        description="Store each standing image's embedding beside its scores; where a rule names sem_dup_cos they are "
        "stored anyway.",
    )

    @field_validator("model")
    @classmethod
    def _inside_the_package(cls, model: str) -> str:
        """A shipped recipe names its model by where it lies in the package, wherever that is installed."""
        if not model.startswith(_PACKAGED):
            return model
        return f"local-dir:{Path(__file__).resolve().parents[1] / model.removeprefix(_PACKAGED)}"
