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
    emoji: Literal["keep", "drop"] = Field(
        default="keep", description="Whether pictographs stay in texts; signs such as ★ are no pictographs."
    )
    vocabulary: str | None = Field(
        default=None,
        description="BERT's vocab.txt, a word piece a line, by which num_tokens counts; null counts uncut words.",
    )
    sensitive: list[str] = Field(
        default=[], description="Files with a word a line that sensitive_hits counts, beside the shipped ones."
    )
    ads: list[str] = Field(
        default=[], description="Files with a phrase a line that ad_hits counts, beside the shipped."
    )
    boilerplate: list[str] = Field(
        default=[], description="Files with a text a line that is_boilerplate knows, beside the shipped."
    )

    def files(self) -> dict[str, str]:
        """The files that decide text measures, by their dotted places."""
        lists = {"sensitive": self.sensitive, "ads": self.ads, "boilerplate": self.boilerplate}
        found = {f"text.{name}.{place}": path for name, paths in lists.items() for place, path in enumerate(paths)}
        return found | ({"text.vocabulary": self.vocabulary} if self.vocabulary is not None else {})
