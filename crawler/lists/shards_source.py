"""What a recipe may say of WebDataset tars as a source: images with their texts, from the tars themselves."""

from typing import Literal

from pydantic import Field

from shards.settings import Section


class ShardsSource(Section):
    """WebDataset tars: ours, img2dataset's, or anyone's with images beside .txt or .json."""

    kind: Literal["shards"] = Field(description="Images and texts in WebDataset tars.")
    paths: list[str] = Field(min_length=1, description="Tars or globs, local or s3://; not compressed.")
    text_kind: str = Field(default="caption", min_length=1, max_length=40, description="Kind of the .txt members.")
    texts: dict[str, str] = Field(
        default={}, description="Further texts: a key of the .json and the kind of the text that it holds."
    )
    url: str = Field(default="url", min_length=1, description="Key of the .json that holds the image's URL.")
    strength: Literal["strong", "weak"] | None = Field(
        default=None, description="How closely the texts describe the images; null: as the .json says, or unknown."
    )
    category: str | None = Field(default=None, description="The images' category; null: as the .json says.")
    license: str | None = Field(default=None, description="The images' licence; null: as the .json says.")
