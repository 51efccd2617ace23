"""What a recipe may say about images: the bounds of decoding and the form of the stored copy."""

from typing import Literal

from pydantic import Field, field_validator

from shards.settings import Section

ImageFormat = Literal["jpeg", "png", "webp", "gif"]


class ImageSettings(Section):
    """Bounds of decoding and the stored copy. Deciding: in the fingerprint of fetch."""

    max_side_px: int = Field(
        default=512, ge=16, le=8192, description="Longer side of the stored copy; smaller images keep their size."
    )
    short_side_px: int | None = Field(
        default=None,
        ge=16,
        le=8192,
        description="Shorter side of the stored copy; smaller images keep their size. `max_side_px` still holds.",
    )
    format: Literal["jpeg", "png", "webp"] = Field(default="jpeg", description="Format of the stored copy.")
    quality: int = Field(default=92, ge=1, le=100, description="JPEG or WebP quality of the stored copy.")
    formats: list[ImageFormat] = Field(
        default=["jpeg", "png", "webp", "gif"],
        min_length=1,
        description="Formats that are read at all; anything else is `unsupported_format`.",
    )
    max_pixels: int = Field(
        default=40_000_000, gt=0, le=2**31 - 1, description="Largest width x height, judged from the header."
    )
    keep: Literal["stored", "original"] = Field(
        default="stored",
        description="`original` stores the bytes as they came, metadata included, unless they are a GIF.",
    )
    store: Literal["all", "passing"] = Field(
        default="all", description="`passing` stores only what stands after the rules of fetch."
    )

    @field_validator("formats")
    @classmethod
    def _formats_differ(cls, formats: list[ImageFormat]) -> list[ImageFormat]:
        if len(set(formats)) < len(formats):
            raise ValueError("formats names a format twice")
        return formats
