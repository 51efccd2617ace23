"""The kinds of text that an image may have, in a module that costs nothing to load."""

TEXT_KINDS = (
    "caption",
    "figcaption",
    "alt",
    "title",
    "aria_label",
    "surrounding",
    "first_sentence",
    "heading",
    "link",
    "page_title",
    "description",
    "query",
)
"""The kinds of text, best first: the order that breaks ties. Kinds not listed come after, by name."""
