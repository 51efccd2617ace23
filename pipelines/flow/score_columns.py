"""A part's rows with what the model says of them: scores of texts, numbers and labels of images, and embeddings."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.clip.asked import CATEGORY, CATEGORY_SCORE, IMAGE_RANK, TEXT_RANK, Asked
from filters.clip.groups import UNKNOWN, group_ranks
from filters.clip.masking import without_text
from filters.clip.scorer import EncodedTexts, Scorer, Vectors, pair_cosines
from filters.measures import MEASURES
from pipelines.flow.rows import blank_drop, put, relisted
from pipelines.flow.stored import StoredCopies
from shards.errors import BrokenRunError

MIRRORED, MASKED = "clip_flip_score", "masked_clip_score"

_Ints = npt.NDArray[np.int64]


def with_scores(table: pa.Table, tar: Path, scorer: Scorer, asked: Asked | None = None) -> tuple[pa.Table, Vectors]:
    """The rows with what is `asked` (`clip_score` where nothing is told), and the embeddings of the standing images.

    Measures of texts are fields of `texts`, null for texts that do not stand; those of images are columns. The
    part's order fixes what shares a batch: samples whose stored copy is damaged keep their place in it. They fall
    as `hash_mismatch` or `decode_error`. Raises BrokenRunError where that is said of all of several.
    """
    asked = asked or Asked()
    rows = np.flatnonzero(pc.is_null(table["drop_reason"]).to_numpy(zero_copy_only=False))
    some = table.take(pa.array(rows))
    views: dict[str, Vectors] = {}
    with StoredCopies(some, tar) as copies:
        if MIRRORED in asked.names:
            vectors, views[MIRRORED] = scorer.embed_with_mirrored(copies.undecoded)
        else:
            vectors = scorer.embed_undecoded(copies.undecoded)
        if MASKED in asked.names:
            views[MASKED] = _masked(some, copies, scorer, vectors)
    if len(copies.faults) == len(rows) > 1:
        raise BrokenRunError(f"{tar}: no stored copy in it can be decoded; the first: {copies.faults[0][1]}")
    texts = table["texts"].combine_chunks()
    places, owners = _standing_texts(texts, rows)
    wanted = texts.values.field("text").take(pa.array(places)).to_pylist()
    encoded = scorer.encode_texts(wanted)
    found: dict[str, npt.NDArray[np.float64]] = {"clip_score": pair_cosines(vectors, owners, encoded)}
    found |= {name: pair_cosines(view, owners, encoded) for name, view in views.items()}
    found |= _ranks(some, vectors, encoded, owners, asked)
    for name, values in found.items():
        texts = relisted(texts, name, _column(name, values, places, len(texts.values)))
    scored = put(table, "texts", texts)
    for name, column in _of_images(vectors, asked).items():
        told = np.full(table.num_rows, None, object)
        told[rows] = column
        scored = put(scored, name, pa.array(told, MEASURES[name].dtype))
    if copies.faults:
        scored = _without_damaged(scored, {int(rows[place]): fault for place, fault in copies.faults.items()})
        vectors = np.delete(vectors, sorted(copies.faults), axis=0)
    return scored, vectors


def _masked(rows: pa.Table, copies: StoredCopies, scorer: Scorer, vectors: Vectors) -> Vectors:
    """The images without their writing: as they are where there is none, NaN where nobody looked for it.

    Those with writing share batches among themselves, in the part's order.
    """
    boxes = rows["text_boxes"].to_pylist()
    with_text = [place for place, own in enumerate(boxes) if own]
    masked = vectors.copy()
    masked[[place for place, own in enumerate(boxes) if own is None]] = np.nan
    if with_text:
        images = [without_text(copies.undecoded[place], boxes[place]) for place in with_text]
        masked[with_text] = scorer.embed_undecoded(images)
    return masked


def _ranks(
    rows: pa.Table, vectors: Vectors, texts: EncodedTexts, owners: _Ints, asked: Asked
) -> dict[str, npt.NDArray[np.float64]]:
    """Places of texts and images in groups of neighbours by uid; NaN where there is none."""
    if asked.names.isdisjoint((TEXT_RANK, IMAGE_RANK)):
        return {}
    order = np.argsort(np.array(rows["uid"].to_pylist(), np.str_), kind="stable")
    by_text, by_image = group_ranks(vectors, texts, owners, order, asked.group_size)
    found = {TEXT_RANK: by_text, IMAGE_RANK: by_image}
    return {name: np.where(ranks == UNKNOWN, np.nan, ranks) for name, ranks in found.items() if name in asked.names}


def _of_images(vectors: Vectors, asked: Asked) -> Mapping[str, list[object]]:
    """What heads and categories say of each image; None where it has no vector."""
    found: dict[str, list[object]] = {}
    for name, head in asked.heads.items():
        found[name] = [None if np.isnan(value) else float(value) for value in head(vectors)]
    if asked.categories is not None:
        labels, cosines = asked.categories.nearest(vectors)
        found |= {CATEGORY: [*labels], CATEGORY_SCORE: [*cosines]}
    return {name: column for name, column in found.items() if name in asked.names}


def _column(name: str, values: npt.NDArray[np.float64], places: _Ints, num_texts: int) -> pa.Array:
    """The values of some texts among all of the part, null for the others."""
    column = np.full(num_texts, np.nan)
    column[places] = values
    return pa.array(column, from_pandas=True).cast(MEASURES[name].dtype)


def _standing_texts(texts: pa.ListArray, rows: _Ints) -> tuple[_Ints, _Ints]:
    """The places of standing texts of some rows among all texts of the part; and of each, its place in `rows`."""
    place_of_row = np.full(len(texts), -1)
    place_of_row[rows] = np.arange(len(rows))
    sizes = np.diff(texts.offsets.to_numpy())
    owners = np.full(len(texts.values), -1)
    first = texts.offsets[0].as_py() if len(texts.offsets) else 0
    owners[first : first + int(sizes.sum())] = np.repeat(place_of_row, sizes)
    stands = pc.is_null(texts.values.field("drop_reason")).to_numpy(zero_copy_only=False)
    places = np.flatnonzero((owners >= 0) & stands)
    return places, owners[places]


def _without_damaged(table: pa.Table, faults: dict[int, tuple[str, str]]) -> pa.Table:
    told = [faults.get(row, (None, None)) for row in range(table.num_rows)]
    reasons, details = (pa.array([fault[part] for fault in told], pa.string()) for part in (0, 1))
    return blank_drop(table, pc.is_valid(reasons), reasons, "score", details)
