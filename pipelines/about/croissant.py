"""A release's croissant.json: its files, the columns of its manifest, and how it was collected (Croissant 1.0, RAI)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.about import statements
from pipelines.about.terms import croissant_license
from pipelines.recipe import Recipe

CROISSANT_FILE = "croissant.json"
MOST_LISTED = 1000
"""Up to so many shards and manifest files stand there one by one; beyond, readers of JSON-LD take too long for them."""

_PARQUET, _TAR = "application/x-parquet", "application/x-tar"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclass(frozen=True)
class ListedFile:
    """A file of the release with its digest."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Described:
    """What of a release is described: listed files, columns by kind of row, and each column's note."""

    files: Sequence[ListedFile]
    schemas: Mapping[str, pa.Schema]
    """`kept` and `dropped` -> the columns of their manifest files; a kind without files is not there."""
    notes: Mapping[str, str]


def render_croissant(recipe: Recipe, stats: Mapping[str, Any], described: Described) -> str:
    """The JSON-LD text. Paths are relative to the file, so that the release may lie anywhere."""
    about = recipe.release.about
    dataset: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": recipe.name,
        "description": about.description or _description(stats),
        "inLanguage": "zh",
        "keywords": ["image-text", "Chinese", "WebDataset"],
        "license": croissant_license(about.license),
        "version": about.version,
        "citeAs": about.cite or f"{recipe.name} {about.version}, an image-text dataset in Chinese made by curate",
        **({"datePublished": about.date_published} if about.date_published else {}),
        **({"url": about.url} if about.url else {}),
        **(
            {"creator": [{"@type": "sc:Organization", "name": name} for name in about.creators]}
            if about.creators
            else {}
        ),
        **_responsible(recipe, stats),
        "distribution": [*_file_objects(described.files), *_file_sets(described, stats)],
        "recordSet": [_record_set(kind, schema, described.notes) for kind, schema in described.schemas.items()],
    }
    return json.dumps(dataset, ensure_ascii=False, indent=1) + "\n"


def _description(stats: Mapping[str, Any]) -> str:
    return (
        f"Images with Chinese texts: {stats['kept']:,} samples kept of {stats['samples']:,}. "
        "Dropped samples are in the manifest, too, each with its reason."
    )


def _responsible(recipe: Recipe, stats: Mapping[str, Any]) -> dict[str, Any]:
    """The vocabulary for responsible AI (Croissant RAI 1.0), as far as the recipe and the numbers say."""
    rules = [f"{name}: {expression}" for name, expression in recipe.rules.items()]
    scored = [f"{recipe.score.model}: similarity of image and text"] if recipe.score is not None else []
    return {
        "rai:dataCollection": statements.collection(recipe),
        "rai:dataCollectionType": ["Web Scraping"],
        "rai:dataCollectionMissingData": (
            f"{stats['dropped']:,} of {stats['samples']:,} samples were dropped; drop_reason and detail say why. "
            "Columns that were not measured, because a sample had fallen before, are null."
        ),
        "rai:dataPreprocessingProtocol": [
            "Image URLs were made canonical, and texts of one image merged into one sample.",
            "Texts were normalised (HTML entities, Unicode NFC, width, white space)"
            + (" and written in simplified characters." if recipe.text.simplify else "."),
            "A sample is kept only where every rule is true, in this order: " + "; ".join(rules),
        ],
        **({"rai:machineAnnotationTools": scored} if scored else {}),
        "rai:dataUseCases": ["Training of image-text models for Chinese", "Research into how such datasets are made"],
        "rai:dataLimitations": statements.limits(recipe, stats),
        "rai:dataBiases": [
            "What is photographed, described and put on the web is not a sample of the world; hosts differ in how much "
            "they give."
        ],
        "rai:personalSensitiveInformation": statements.people(recipe),
        "rai:dataReleaseMaintenancePlan": f"{statements.opt_outs(recipe)} {statements.removal(recipe)}",
    }


def _file_objects(files: Sequence[ListedFile]) -> list[dict[str, Any]]:
    """Files with their digests. Of very many, shards and manifest files are left to wids.json and SHA256SUMS."""
    many = len(files) > MOST_LISTED
    return [
        {
            "@type": "cr:FileObject",
            "@id": file.name,
            "name": file.name,
            "contentUrl": file.name,
            "contentSize": f"{file.bytes} B",
            "encodingFormat": _format_of(file.name),
            "sha256": file.sha256,
        }
        for file in files
        if not (many and file.name.startswith(("manifest/", "shards/")))
    ]


def _format_of(name: str) -> str:
    known = {
        ".parquet": _PARQUET,
        ".tar": _TAR,
        ".json": "application/json",
        ".html": "text/html",
        ".md": "text/markdown",
        ".sql": "application/sql",
        ".yaml": "application/yaml",
    }
    return next((kind for suffix, kind in known.items() if name.endswith(suffix)), "application/octet-stream")


def _file_sets(described: Described, stats: Mapping[str, Any]) -> list[dict[str, Any]]:
    sets = [(f"{kind}-files", f"manifest/{kind}-*.parquet", _PARQUET) for kind in described.schemas]
    if stats["shards"]:
        sets.append(("shards", "shards/*.tar", _TAR))
    return [
        {"@type": "cr:FileSet", "@id": name, "name": name, "encodingFormat": kind, "includes": pattern}
        for name, pattern, kind in sets
    ]


def _record_set(kind: str, schema: pa.Schema, notes: Mapping[str, str]) -> dict[str, Any]:
    """One record a row of the manifest. A dropped row's phash is left out: where some are null, pandas rounds it."""
    said = "that are kept, in the release's order" if kind == "kept" else "that were dropped, with their reasons"
    fields = [field for field in schema if not (kind == "dropped" and field.name == "phash")]
    return {
        "@type": "cr:RecordSet",
        "@id": kind,
        "name": kind,
        "description": f"Samples {said}: one row a sample of manifest/{kind}-*.parquet.",
        "key": {"@id": f"{kind}/uid"},
        "field": [_field(kind, field, notes.get(field.name, field.name)) for field in fields],
    }


def _field(kind: str, field: pa.Field, note: str) -> dict[str, Any]:
    place = f"{kind}/{field.name}"
    named = {"@type": "cr:Field", "@id": place, "name": field.name, "description": note}
    if pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
        parts = [_part(kind, field.name, part) for part in field.type.value_type]
        return {**named, "dataType": "sc:Text", "repeated": True, "subField": parts}
    is_list = pa.types.is_list(field.type)
    data_type = _data_type(field.type.value_type if is_list else field.type)
    repeated = {"repeated": True} if is_list else {}
    return {**named, "dataType": data_type, **repeated, "source": _source(kind, field.name)}


def _part(kind: str, column: str, part: pa.Field) -> dict[str, Any]:
    place = f"{kind}/{column}/{part.name}"
    source = {**_source(kind, column), "transform": {"jsonPath": part.name}}
    named = {"@type": "cr:Field", "@id": place, "name": part.name, "description": f"{part.name} of the text"}
    return {**named, "dataType": _data_type(part.type), "source": source}


def _source(kind: str, column: str) -> dict[str, Any]:
    return {"fileSet": {"@id": f"{kind}-files"}, "extract": {"column": column}}


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
