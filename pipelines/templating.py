"""How templates write what came from outside: escaped, in sight, and obeyed by nothing that reads it."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]<|~&$])")


def environment(autoescape: bool) -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"shown": shown, "md": markdown, "num": number}
    return made


def shown(value: object) -> str:
    """Text from outside with nothing in it that turns direction, hides, or steers a terminal."""
    text = "" if value is None else str(value)
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def markdown(value: object) -> str:
    """The same, with nothing in it that Markdown or HTML would obey."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", shown(value)).replace("\\<", "&lt;")


def number(value: float | None) -> str:
    """Whole numbers with thousands, others with four digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
