"""The recipe's `score` section: which image-text model gives `clip_score`, and how it runs."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from shards.settings import Section

Backend = Literal["open_clip", "chinese-clip", "onnx"]
Precision = Literal["fp32", "fp16", "bf16"]

Activation = Literal["none", "relu", "tanh"]
Output = Literal["linear", "sigmoid", "softmax"]

_PACKAGED = "local-dir:package:"
_Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]
_Prompts = Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=1000)]], Field(min_length=1)]


class HeadSettings(Section):
    """A small network over an image's normalised embedding; its layers are read from the shapes of its weights."""

    path: str = Field(
        min_length=1,
        max_length=1000,
        description="A file of linear layers: safetensors, or what torch saves (read with weights_only).",
    )
    activation: Activation = Field(
        default="none", description="What stands between its layers; LAION's aesthetic heads have nothing there."
    )
    output: Output = Field(
        default="linear",
        description="linear: the last layer's one number; sigmoid: as a probability; softmax: of two numbers the "
        "second one's probability.",
    )


class Heads(Section):
    """Heads by the measure that they give. None is loaded unless a rule or `measures:` names its measure."""

    aesthetic: HeadSettings | None = Field(default=None, description="How much people like the image.")
    pwatermark: HeadSettings | None = Field(default=None, description="How likely the image has a watermark.")
    punsafe: HeadSettings | None = Field(default=None, description="How likely the image is not safe for work.")

    @field_validator("pwatermark", "punsafe")
    @classmethod
    def _is_a_probability(cls, head: HeadSettings | None) -> HeadSettings | None:
        if head is not None and head.output == "linear":
            raise ValueError("expected output: sigmoid or softmax, since the measure is a probability")
        return head


class ScoreSettings(Section):
    """A dual encoder: by name and weights, from a hub, or from a local folder."""

    backend: Backend = Field(
        default="open_clip",
        description="What loads the model: open_clip; chinese-clip (transformers' ChineseCLIPModel, from a folder or "
        "a hub); or onnx (onnxruntime on the CPU, from a folder, without torch).",
    )
    model: str = Field(
        default="xlm-roberta-base-ViT-B-32",
        min_length=1,
        max_length=1000,
        description="An open_clip model name, hf-hub:OWNER/NAME, or local-dir:FOLDER with what the backend reads "
        "(infra/docs/score.md). local-dir:package:FOLDER lies inside the installed package.",
    )
    pretrained: str | None = Field(
        default="laion5b_s13b_b90k",
        min_length=1,
        max_length=1000,
        description="The name of released weights or a weights file, for open_clip alone; not used with hf-hub: "
        "and local-dir: models.",
    )
    precision: Precision = Field(default="fp32", description="The numbers the model computes in; it decides scores.")
    batch_size: int = Field(
        default=32, ge=1, le=4096, description="Images, and texts, that the model takes at once; it decides scores."
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d{1,2})?|mps)$",
        description="auto takes GPUs where the run has any, and the CPU where it has none; or cpu, cuda, cuda:N, mps. "
        "A worker that was given a GPU and cannot use it stops the run, unless this says cpu.",
    )
    cpu_threads: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Threads of one scoring worker on the CPU: fixed, so that scores do not depend on the machine.",
    )
    decode_threads: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Threads that decode images ahead of the model; null is one on the CPU and a GPU's share of the "
        "processors on a GPU.",
    )
    gpu_share: float = Field(
        default=0.5,
        gt=0.0,
        le=1.0,
        description="How much of a GPU one scoring worker takes: with 0.5 two share it, and one computes while the "
        "other begins or ends a part.",
    )
    heads: Heads = Field(default_factory=Heads, description="Networks over embeddings, by measure.")
    categories: dict[_Label, _Prompts] = Field(
        default={},
        max_length=10_000,
        description="Labels with prompts for each: the nearest one is an image's zero_shot_category.",
    )
    group_size: int = Field(
        default=120,
        ge=2,
        le=10_000,
        description="Samples of a group in which group_text_rank and group_image_rank compare; 120 as TaiSu had it.",
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
        return f"local-dir:{Path(__file__).resolve().parents[2] / model.removeprefix(_PACKAGED)}"
