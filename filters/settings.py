"""The recipe's `text` section: how texts are brought into one form."""

from typing import Literal

from pydantic import Field

from shards.settings import Section


class TextSettings(Section):
    """How texts are normalised before anything measures or judges them."""

    simplify: bool = Field(default=True, description="Write Traditional Chinese in Simplified characters.")
    names: str | None = Field(
        default="<人名>",
        max_length=32,
        pattern=r"^[^\x00-\x1f]*$",
        description="What stands for people's names; null leaves names as they are.",
    )
    contacts: Literal["drop", "mask", "keep"] = Field(
        default="drop",
        description="Texts with a phone, e-mail, QQ, WeChat or identity number: drop the text, mask, or keep.",
    )
