"""What a release says of itself in words: how it was collected, what was done about people and rights, and its limits.

Card and Croissant file say the same; each sentence follows from the recipe or from the numbers.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.part_of_source import told_source
from pipelines.recipe import Recipe

_SOURCES = {
    "crawl": "Web pages were crawled from named sites, and images and texts taken from their HTML.",
    "warc": "Images and texts were taken from the HTML of archived web pages (WARC files).",
    "table": "A list of image URLs and texts was given.",
    "search": "Image search engines were asked queries, and their results taken.",
    "shards": "Samples of an earlier dataset in WebDataset shards were taken.",
}
_SCORED = ("clip_score", "clip_pct")

OWNERS = "The images belong to those who made them."
LICENSE_COLUMN = (
    "The column `license` says what the source stated of each image, and is null where it stated nothing, "
    "which is no permission."
)


def collection(recipe: Recipe) -> str:
    """How images and texts were come by."""
    began = _SOURCES.get(recipe.source.kind, f"Pairs came from a source of the kind {recipe.source.kind}.")
    agent = f", under the user agent {recipe.crawler.user_agent}" if recipe.crawler.user_agent else ""
    told = told_source(recipe.source)
    part = f" Only a part of that source was looked at: {told}." if told else ""
    return (
        f"{began}{part} Images were downloaded from the servers that their URLs name{agent}, and stored as a fresh "
        "encoding without their metadata."
    )


def opt_outs(recipe: Recipe) -> str:
    """What was done where sites do not want to be mined."""
    asked = (
        "robots.txt (RFC 9309), X-Robots-Tag and robots meta tags (noai, noimageai, noindex, noimageindex), TDM "
        "reservations (tdmrep.json, TDM-Reservation), ai.txt and Content-Signal or Content-Usage"
    )
    if recipe.crawler.opt_outs == "obey":
        return (
            f"Opt-outs were obeyed at the time of the download: {asked}. What they forbade is among the dropped rows."
        )
    return (
        f"robots.txt was obeyed. Other opt-outs were recorded in the column `opt_out`, and not obeyed: of {asked}. "
        "Leave those images out (`opt_out IS NULL`) before training."
    )


def people(recipe: Recipe) -> list[str]:
    """What was done about personal data, and what was not."""
    names, contacts = recipe.text.names, recipe.text.contacts
    return [
        f"Names of people that a dictionary finds in texts were replaced by {names}."
        if names is not None
        else "Names of people in texts were not masked.",
        {
            "drop": "Texts with telephone numbers, e-mail addresses or identity numbers were dropped.",
            "mask": "Telephone numbers, e-mail addresses and identity numbers in texts were masked.",
            "keep": "Telephone numbers, e-mail addresses and identity numbers in texts were kept.",
        }[contacts],
        "Faces in images were neither blurred nor recognised; where no rule names faces, images may show people.",
    ]


def limits(recipe: Recipe, stats: Mapping[str, Any]) -> list[str]:
    """What a user of the dataset has to know of its weaknesses."""
    said = [
        "Texts are what web pages say near an image. Nobody read them: some do not describe the image.",
        "Names are found with a dictionary, opt-outs where machines can read them: both miss some.",
    ]
    scored = [name for name in _SCORED if (stats["measures"].get(name) or {}).get("n")]
    if scored and recipe.score is not None:
        said.append(
            f"Pairs were scored by {recipe.score.model}: what that model does not know is missed, its biases are kept, "
            "and its scores compare with no other model's."
        )
    else:
        said.append("No model looked at whether image and text belong together.")
    rules = " ".join(recipe.rules.values())
    if not any(word in rules for word in ("nsfw", "unsafe", "safe_")):
        said.append("No rule looks for unsafe or sexual images: train on it with that in mind.")
    if not recipe.dedup.evaluation:
        said.append("Images were not compared with evaluation sets: benchmark images may be among them.")
    hosts = [host for host in stats["hosts"] if host["kept"]]
    if hosts and stats["kept"]:
        most = max(hosts, key=lambda host: (host["kept"], host["host"]))
        share = most["kept"] / stats["kept"]
        if share >= _MUCH_OF_ONE_HOST:
            said.append(f"{share:.0%} of the kept images come from one host, {most['host']}.")
    return said


_MUCH_OF_ONE_HOST = 0.2


def removal(recipe: Recipe) -> str:
    """How an image leaves the dataset."""
    whom = recipe.release.about.contact
    asked = (
        f"To have an image removed, write to {whom}" if whom else "To have an image removed, ask whoever published it"
    )
    return f"{asked} and name its URL or uid: every image is in the manifest by both."
