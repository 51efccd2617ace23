"""What a recipe may say of files that hold images as a source: images with their texts, from the files themselves."""

from typing import Literal

from pydantic import Field

from crawler.part_of_source import Limit, Sample
from shards.settings import Section

SHARD_LAYOUTS = ("webdataset", "chinese-clip")


class ShardsSource(Section):
    """Files that hold images: WebDataset tars (ours, img2dataset's, anyone's), or Chinese-CLIP's base64 tables."""

    kind: Literal["shards"] = Field(description="Images and texts in WebDataset tars.")
    paths: list[str] = Field(
        min_length=1, description="Tars, or `*_imgs.tsv`, or globs, local or s3://; not compressed."
    )
    layout: Literal["webdataset", "chinese-clip"] = Field(
        default="webdataset",
        description="`chinese-clip`: `NAME_imgs.tsv` (number, base64), each with a `NAME_texts.jsonl` beside it.",
    )
    text_kind: str = Field(
        default="caption",
        min_length=1,
        max_length=40,
        description="Kind of the .txt members, or of Chinese-CLIP's texts.",
    )
    texts: dict[str, str] = Field(
        default={}, description="Further texts: a key of the .json and the kind of the text that it holds."
    )
    url: str = Field(default="url", min_length=1, description="Key of the .json that holds the image's URL.")
    strength: Literal["strong", "weak"] | None = Field(
        default=None, description="How closely the texts describe the images; null: as the .json says, or unknown."
    )
    category: str | None = Field(default=None, description="The images' category; null: as the .json says.")
    license: str | None = Field(default=None, description="The images' licence; null: as the .json says.")
    limit: Limit = None
    sample: Sample = None
