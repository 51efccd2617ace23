"""The one table of measures: what each is called, belongs to, where it exists, and which function computes it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal

import pyarrow as pa

from shards.schema import FETCHED, STAGES

Level = Literal["text", "image", "sample"]


@dataclass(frozen=True)
class Measure:
    """A column that is computed once and stored.

    `unit` says the range too, and `source` where the measure comes from, "ours" where it is nobody else's. `compute`
    names the function as `module:function`, imported when first needed: of a `filters.characters.TextColumn`
    for texts, of a fetched table for images at fetch, of `filters.image.Pixels` for images at measure. Where it
    names a module alone, that module's stage fills the column for all rows together. `version` rises whenever
    stored values would change: it is part of the fingerprints. Relative measures are not stored truths: they
    are recomputed over the rows that stand whenever a rule names them.
    """

    name: str
    level: Level
    stage: str
    dtype: pa.DataType
    unit: str
    source: str
    compute: str
    needs: tuple[str, ...] = ()
    relative: bool = False
    version: int = 1

    @property
    def range(self) -> tuple[float, float] | None:
        """The least and the greatest value, where the unit says both, as `0.0-1.0` does."""
        ends = _RANGE.search(self.unit)
        return (float(ends[1]), float(ends[2])) if ends else None


@dataclass(frozen=True)
class BaseColumn:
    """A column that rows have without being measured."""

    name: str
    level: Level
    stage: str
    dtype: pa.DataType


_RANGE = re.compile(r"(?<![\w.])(-?\d+\.\d+)-(\d+\.\d+)\b")

# Recomputed over the rows that stand whenever a rule's turn comes, never stored as a truth.
_RANKS = frozenset({"dup_rank", "pair_rank"})

_INT, _FLOAT, _BOOL, _STRING = pa.int32(), pa.float64(), pa.bool_(), pa.string()

# Words and tags are jieba's in every text since 2; names and languages are told better; names again since 3 and 4.
_MEASURED_ANEW = frozenset({"language", "num_names", "num_nouns", "noun_ratio", "text_kind_tags", "word_repetition"})

BOX_SIDES = ("x", "y", "w", "h")
"""Of a box in an image: left, top, width and height, as shares of the image's width and height."""
_BOXES = pa.list_(pa.struct([(side, _FLOAT) for side in BOX_SIDES]))


def _of_text(name: str, dtype: pa.DataType, unit: str, source: str, module: str = "wording") -> Measure:
    version = 4 if name == "num_names" else 2 if name in _MEASURED_ANEW else 1
    return Measure(name, "text", "collect", dtype, unit, source, f"filters.{module}:{name}", version=version)


def _of_original(name: str, dtype: pa.DataType, unit: str, source: str) -> Measure:
    return Measure(name, "image", "fetch", dtype, unit, source, f"filters.image:{name}")


def _of_stored(name: str, dtype: pa.DataType, unit: str, source: str) -> Measure:
    return Measure(name, "image", "measure", dtype, unit, source, f"filters.image:{name}")


def _of_drawn(name: str, dtype: pa.DataType, unit: str, source: str) -> Measure:
    return Measure(name, "image", "measure", dtype, unit, source, f"filters.drawn:{name}")


def _by_model(name: str, dtype: pa.DataType, unit: str, source: str, module: str) -> Measure:
    return Measure(name, "image", "measure", dtype, unit, source, f"filters.models.{module}")


def _by_admit(name: str, dtype: pa.DataType, unit: str, source: str, level: Level = "sample") -> Measure:
    return Measure(name, level, "admit", dtype, unit, source, "pipelines")


def _of_hash(name: str, source: str) -> Measure:
    unit = f"64 bits, first is highest, as imagehash.{name}"
    return Measure(name, "image", "measure", pa.uint64(), unit, source, f"dedup.{name}")


def _by_dedup(name: str, level: Level, dtype: pa.DataType, unit: str, source: str, module: str, *needs: str) -> Measure:
    return Measure(name, level, "dedup", dtype, unit, source, f"dedup.{module}", needs, relative=name in _RANKS)


def _by_turn(name: str, dtype: pa.DataType, unit: str, source: str, *needs: str) -> Measure:
    return Measure(name, "sample", "select", dtype, unit, source, "pipelines", needs, relative=True)


def _by_key(key: str, source: str) -> tuple[Measure, Measure]:
    """A place and a number among the samples of one query, host or category that stand."""
    unit = f"place in its {key} by balance.first, from 1"
    return (
        _by_turn(f"{key}_rank_kept", pa.int64(), unit, source),
        _by_turn(f"{key}_count_kept", pa.int64(), f"samples of its {key}, from 1", source),
    )


def _by_score(name: str, level: Level, dtype: pa.DataType, unit: str, source: str, *needs: str) -> Measure:
    return Measure(name, level, "score", dtype, unit, source, "pipelines", ("clip_score", *needs))


_DB = "PP-OCR by rapidocr; Liao et al. 2020"
_BERT = "Devlin et al. 2018"
_LID = "scripts; Joulin et al. 2017"
_WUKONG = "Wukong; infra/labelled"
_GOPHER = "Rae et al. 2021"
_SCREENS = "infra/bench/screenshots.py"
_OURS = "ours"
_ALIGN = "ALIGN, arXiv 2102.05918"
_COYO = "COYO-700M"
_CLIP = "CLIP, arXiv 2103.00020"

_TABLE = (
    _of_text("zh_chars", _INT, "characters, from 0", "Unicode Script=Han"),
    _of_text("zh_ratio", _FLOAT, "0.0-1.0, of all characters but spaces", "Unicode Script=Han"),
    _of_text("text_len", _INT, "characters, from 0", "Wukong, arXiv 2202.06767"),
    _of_text("is_filename", _BOOL, "true for a file's name or a camera's number", _WUKONG),
    _of_text("is_url", _BOOL, "true where the text is an address", _OURS),
    _of_text("special_ratio", _FLOAT, "0.0-1.0, neither letter, digit nor space", "Data-Juicer, special characters"),
    _of_text("digit_ratio", _FLOAT, "0.0-1.0, decimal digits", _OURS),
    _of_text("num_tokens", _INT, "tokens, from 0, by text.vocabulary or words uncut", _BERT, "texts.wordpieces"),
    _of_text("language", _STRING, "ISO 639-1, or yue or und, of the text as it came", _LID, "texts.language"),
    _of_text("is_traditional", _BOOL, "true where text.simplify changes the text as it came", "OpenCC t2s", "zh"),
    _of_text("is_boilerplate", _BOOL, "true for words of buttons, menus, fillers", _WUKONG, "texts.boilerplate"),
    _of_text("char_repetition", _FLOAT, "0.0-1.0, runs of 3 characters seen again", _GOPHER, "texts.repetition"),
    _of_text("word_repetition", _FLOAT, "0.0-1.0, pairs of words seen again", _GOPHER, "texts.repetition"),
    _of_text("num_nouns", _INT, "words tagged n*, from 0", "jieba.posseg", "texts.words"),
    _of_text("noun_ratio", _FLOAT, "0.0-1.0, of all words, those tagged n*", "jieba.posseg; DanQing", "texts.words"),
    _of_text(
        "has_contact",
        _BOOL,
        "true for a phone, e-mail, QQ, WeChat, identity number",
        "PIPL; infra/labelled",
        "contacts",
    ),
    _of_text("num_names", _INT, "people's names, from 0, masked or not", _WUKONG, "names"),
    _of_text("sensitive_hits", _INT, "words of lists found, from 0: text.sensitive", "Wukong; Zero", "texts.phrases"),
    _of_text("ad_hits", _INT, "phrases of lists found, from 0: text.ads", "Chinese-CLIP", "texts.phrases"),
    _of_text("text_kind_tags", _STRING, "sentence, tags, title or query", "WuDaoMM, arXiv 2203.11480", "texts.shape"),
    _of_text("query_in_text", _BOOL, "true where the text has its query; null without", _OURS, "texts.shape"),
    _by_admit("text_count", pa.int64(), "distinct uids that share it, from 1, of all candidates", _ALIGN, "text"),
    _by_admit("host_count", pa.int64(), "images of its host, from 1, of all candidates", _OURS),
    _by_admit("host_share", _FLOAT, "0.0-1.0, of all images, those of its host", _OURS),
    _by_admit("keyword_category", _STRING, "a category of balance.keywords, by all its texts", f"WuDaoMM; {_OURS}"),
    _by_admit("uid_draw", _FLOAT, "0.0-1.0, drawn once and for all for its uid", _OURS),
    _of_original("min_side", _INT, "px, from 1, of the original", "Wukong, arXiv 2202.06767"),
    _of_original("max_side", _INT, "px, from 1, of the original", "Zero, arXiv 2205.03860"),
    _of_original("aspect", _FLOAT, ">= 1.0, long side / short side of the original", "Wukong, arXiv 2202.06767"),
    _of_original("bytes_per_pixel", _FLOAT, "bytes on the wire / pixels of the original, >= 0.0", _OURS),
    _of_stored("sharpness", _FLOAT, "variance of the Laplacian of grey, >= 0.0, 0 is flat", "Pech-Pacheco et al. 2000"),
    _of_stored("brightness", _FLOAT, "0.0-1.0, mean of grey", "luma of ITU-R BT.601"),
    _of_stored("contrast", _FLOAT, "0.0-0.5, standard deviation of grey", "RMS contrast"),
    _of_stored("entropy", _FLOAT, "bits, 0.0-8.0, of the histogram of grey", "Shannon 1948"),
    _of_stored("colorfulness", _FLOAT, ">= 0.0, 15 slight, 45 quite, 80 strong", "Hasler and Suesstrunk 2003"),
    _of_stored("is_grayscale", _BOOL, "true where at most 1 pixel in 1000 has channels over 16 apart", _OURS),
    _of_stored("border_share", _FLOAT, "0.0-1.0, area of plain rows and columns at the edges", _OURS),
    _of_drawn("num_colors", _INT, "colours that 1 pixel in 1,000 has, from 0 to 1,000, at 4 bits a channel", _OURS),
    _of_drawn("flat_share", _FLOAT, "0.0-1.0, area of squares of 8 px whose grey spans at most 2 levels", _OURS),
    _of_drawn("is_screenshot", _BOOL, "true where plain areas and straight lines look like a screen's", _SCREENS),
    _by_model("text_area", _FLOAT, "0.0-1.0, area inside of text boxes", _DB, "text_detector"),
    _by_model("num_text_boxes", _INT, "lines of text, from 0", _DB, "text_detector"),
    _by_model("text_boxes", _BOXES, "boxes of text, sides 0.0-1.0 of the image's", _DB, "text_detector"),
    _by_model("nsfw", _FLOAT, "0.0-1.0, likelier not safe for work", "Yahoo Open NSFW", "open_nsfw"),
    _by_model("num_faces", _INT, "faces, from 0", "YuNet, Wu et al. 2023", "yunet"),
    _by_model("face_area", _FLOAT, "0.0-1.0, area inside of faces' boxes", "YuNet, Wu et al. 2023", "yunet"),
    _of_hash("phash", "Zauner 2010"),
    _of_hash("dhash", "Krawetz 2013"),
    _by_dedup("dup_group", "sample", _STRING, "uid of the group's leader", "DanQing; groups are ours", "groups"),
    _by_dedup("dup_rank", "sample", _INT, "place by dedup.keep, from 1", _OURS, "survivors", "dup_group"),
    _by_dedup("pair_rank", "text", _INT, "place among equal texts of a group, from 1", _COYO, "survivors", "dup_group"),
    _by_dedup("seen_in", "sample", _STRING, "first of dedup.against with it", _OURS, "hamming", "dup_group"),
    _by_dedup("eval_match", "sample", _STRING, "first of dedup.evaluation", _COYO, "hamming", "dup_group"),
    Measure("clip_score", "text", "score", _FLOAT, "-1.0-1.0, cosine, rounded to 1e-4", _CLIP, "filters.clip.scorer"),
    _by_score("clip_flip_score", "text", _FLOAT, "-1.0-1.0, cosine with the mirrored image", "Yu et al. 2023"),
    _by_score(
        *("masked_clip_score", "text", _FLOAT, "-1.0-1.0, cosine with the image without its writing"),
        *("T-MARS, arXiv 2307.03132", "text_boxes"),
    ),
    _by_score("group_text_rank", "text", _INT, "place in its group for its image, from 1", "TaiSu, NeurIPS 2022"),
    _by_score("group_image_rank", "text", _INT, "its image's place for the text, from 1", "TaiSu, NeurIPS 2022"),
    _by_score("aesthetic", "image", _FLOAT, "as its head has it, LAION's from 1 to 10", "LAION-Aesthetics"),
    _by_score("pwatermark", "image", _FLOAT, "0.0-1.0, likelier to have a watermark", "LAION-5B, arXiv 2210.08402"),
    _by_score("punsafe", "image", _FLOAT, "0.0-1.0, likelier not safe for work", "LAION-5B, arXiv 2210.08402"),
    _by_score("zero_shot_category", "image", _STRING, "the nearest of score.categories", _CLIP),
    _by_score("zero_shot_score", "image", _FLOAT, "-1.0-1.0, cosine with that category", _CLIP),
    _by_turn("clip_pct", _FLOAT, "0.0-1.0, share with a lower score", "DataComp, arXiv 2304.14108", "clip_score"),
    Measure(
        "sem_dup_cos",
        "sample",
        "select",
        _FLOAT,
        "0.0-1.0, cosine with the nearest image before it by dedup.keep, 0.0 for the first",
        "SemDeDup, arXiv 2303.09540",
        "dedup.semantic",
        ("clip_score",),
        relative=True,
    ),
    *_by_key("query", "Wukong, arXiv 2202.06767: at most 1,000 a query"),
    *_by_key("host", _OURS),
    *_by_key("category", "WuDaoMM, arXiv 2203.11480: balanced by category"),
    _by_turn("host_bad_share", _FLOAT, "0.0-1.0, of its host's samples, those that fell for balance.bad", "GB/T 45654"),
    _by_turn("balance_prob", _FLOAT, "0.0-1.0, odds by the entries in its caption", "MetaCLIP, arXiv 2309.16671"),
)

MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _TABLE}
RANGES = {name: measure.range for name, measure in MEASURES.items() if measure.range is not None}

# A sample's own columns are settled where candidates merge, so only what all candidates of one image share,
# and what belongs to a text, can be judged before. Offsets in a tar are no property of a sample.
_AT_COLLECT: tuple[tuple[str, Level], ...] = (
    ("kind", "text"),
    ("text", "text"),
    ("host", "sample"),
    ("source", "sample"),
)
_AT_ADMIT = ("uid", "url", "canonical_url", "page_url", "query", "strength", "category", "license")
_OF_PAGE = ("warc_record", "page_language", "page_charset", "charset_from", "author")
_ROLES = ("is_icon", "is_tracker", "is_spacer", "is_avatar")
_NOT_JUDGED = ("uid", "drop_reason", "detail", "tar_offset", "tar_bytes")

BASE_COLUMNS: Mapping[str, BaseColumn] = {
    **{name: BaseColumn(name, level, "collect", _STRING) for name, level in _AT_COLLECT},
    **{name: BaseColumn(name, "sample", "admit", _STRING) for name in _AT_ADMIT},
    "num_pages": BaseColumn("num_pages", "sample", "admit", _INT),
    "query_rank": BaseColumn("query_rank", "sample", "admit", _INT),
    **{name: BaseColumn(name, "sample", "admit", _STRING) for name in _OF_PAGE},
    **{name: BaseColumn(name, "sample", "admit", _BOOL) for name in _ROLES},
    **{
        field.name: BaseColumn(field.name, "image", "fetch", field.type)
        for field in FETCHED
        if field.name not in _NOT_JUDGED
    },
}

_COLUMNS: tuple[BaseColumn | Measure, ...] = (*BASE_COLUMNS.values(), *_TABLE)

OF_SOURCES = ("language", "is_traditional", "query_in_text")
"""Measures of a text that also depend on what it was before it took its stored form, or on its candidate's query."""

TEXT_LEVEL = frozenset(column.name for column in _COLUMNS if column.level == "text")
"""Columns that belong to one text: a rule that names any of them judges each text."""


def columns_at(stage: str, dup_rank_stage: str = "dedup") -> dict[str, pa.DataType]:
    """Columns that a rule may name at `stage`: what earlier stages left and what this one adds, in table order."""
    reached = STAGES.index(stage)
    return {
        column.name: column.dtype for column in _COLUMNS if STAGES.index(stage_of(column, dup_rank_stage)) <= reached
    }


def stage_of(column: BaseColumn | Measure, dup_rank_stage: str) -> str:
    """Where a column exists first: ranks move to `select` where the best score decides who stays in a group."""
    return dup_rank_stage if column.name in _RANKS else column.stage


def needed_measures(names: Iterable[str]) -> list[str]:
    """The measures among `names` and those they rest on, each after what it needs; base columns cost nothing."""
    wanted: set[str] = set()
    pending = [name for name in names if name in MEASURES]
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending.extend(MEASURES[name].needs)
    return [name for name in MEASURES if name in wanted]


def measures_of(names: Iterable[str], stage: str, level: Level) -> list[str]:
    """Those of `names` that are measures computed at `stage` on `level`, in table order."""
    wanted = set(names)
    return [m.name for m in _TABLE if m.name in wanted and m.stage == stage and m.level == level]


def code_version(name: str) -> str:
    """What a fingerprint says of a measure's code."""
    return f"{name}:{MEASURES[name].version}"


@cache
def compute_function(name: str) -> Any:
    """The function behind a measure that has one, imported when first asked for."""
    module, _, function = MEASURES[name].compute.partition(":")
    return getattr(import_module(module), function)
