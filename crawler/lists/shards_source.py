"""What a recipe may say of files that hold images as a source: images with their texts, from the files themselves."""

from typing import Literal, Self

from pydantic import Field, model_validator

from crawler.part_of_source import Limit, Sample
from shards.settings import Section

SHARD_LAYOUTS = ("webdataset", "chinese-clip", "taisu")


class ShardsSource(Section):
    """Files that hold images: WebDataset tars (ours, img2dataset's, anyone's), Chinese-CLIP's base64 tables, or TaiSu's
    tars with their list of captions."""

    kind: Literal["shards"] = Field(description="Images and texts in WebDataset tars.")
    paths: list[str] = Field(
        min_length=1, description="Tars, or `*_imgs.tsv`, or globs, local or s3://; not compressed."
    )
    layout: Literal["webdataset", "chinese-clip", "taisu"] = Field(
        default="webdataset",
        description="`chinese-clip`: `NAME_imgs.tsv` (number, base64), each with a `NAME_texts.jsonl` beside it; "
        "`taisu`: tars of images that are named by id, with `captions:`.",
    )
    captions: list[str] = Field(
        default=[],
        description="Of layout `taisu`: its lists of `ID*****caption*****generated caption`, or globs.",
    )
    text_kind: str = Field(
        default="caption",
        min_length=1,
        max_length=40,
        description="Kind of the .txt members, of Chinese-CLIP's texts, or of TaiSu's captions from the web.",
    )
    texts: dict[str, str] = Field(
        default={}, description="Further texts: a key of the .json and the kind of the text that it holds."
    )
    url: str = Field(default="url", min_length=1, description="Key of the .json that holds the image's URL.")
    strength: Literal["strong", "weak"] | None = Field(
        default=None,
        description="How closely the texts describe the images; null: as the .json says, or unknown; TaiSu's are weak.",
    )
    category: str | None = Field(default=None, description="The images' category; null: as the .json says.")
    license: str | None = Field(default=None, description="The images' licence; null: as the .json says.")
    limit: Limit = None
    sample: Sample = None

    @model_validator(mode="after")
    def _captions_belong_to_taisu(self) -> Self:
        if self.layout == "taisu" and not self.captions:
            raise ValueError("layout taisu needs `captions:`, its list of ID*****caption*****generated caption")
        if self.layout != "taisu" and self.captions:
            raise ValueError("`captions:` belong to layout taisu: name it, or leave them out")
        if self.layout == "taisu" and self.texts:
            raise ValueError("layout taisu has its texts in `captions:`: leave `texts:` out")
        return self
