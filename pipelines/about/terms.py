"""The terms of a dataset as a whole, as dataset hubs and Croissant want them named."""

import re

_SPDX_NAMES = frozenset(
    {
        *("apache-2.0", "bsd-3-clause", "mit"),
        *("cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nd-4.0"),
        *("cc-by-nc-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0"),
        *("cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0"),
    }
)
"""Licences that the Hugging Face hub and the SPDX list call alike, but for the case of letters."""

_HUB_NAMES = _SPDX_NAMES | {"gfdl", "odbl", "odc-by", "other", "pddl", "unknown"}
_URL = re.compile(r"https?://\S+\Z")
_LONGEST_NAME = 60


def hub_license(said: str | None) -> dict[str, str]:
    """The front matter's `license`, with a name or a link where it is none of the hub's."""
    if said is None:
        return {"license": "unknown"}
    if said.lower() in _HUB_NAMES:
        return {"license": said.lower()}
    if _URL.match(said):
        return {"license": "other", "license_name": "see-link", "license_link": said}
    return {"license": "other", "license_name": said[:_LONGEST_NAME]}


def croissant_license(said: str | None) -> str:
    """A URL where there is one; what is nobody's to license is said in words."""
    if said is None:
        return "none stated; the images belong to those who made them"
    return f"https://spdx.org/licenses/{said}" if said.lower() in _SPDX_NAMES else said
