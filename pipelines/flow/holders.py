"""Who already holds a sample's image: earlier fetch parts of this run, so that none is fetched twice."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.recipe import Recipe
from pipelines.retries import Retry, read_retries, retried_reasons
from pipelines.tasks import Flow, Job, PartRef
from shards.tables import read_rows

Ranges = tuple[tuple[str, str], ...]
"""Least and greatest uid of each run of uids in a part."""

_JUDGED_COLUMNS = ("drop_reason", "opt_out", "sha256")


@dataclass(frozen=True)
class HeldPart(PartRef):
    """A committed fetch part and where its uids lie; null where it does not say."""

    ranges: Ranges | None = None


def holders(flow: Flow, settings: str) -> tuple[list[PartRef], int]:
    """The committed fetch parts made under the same deciding settings, and the first index that is free."""
    copies = settings.partition(":")[0]
    known = [record for record in flow.context.folder("fetch").records() if record.meta.get("settings") == copies]
    first_free = max((record.index + 1 for record in known), default=0)
    asks_again = rechecks(flow.recipe)
    refs: list[PartRef] = [
        HeldPart("fetch", record.index, record.fingerprint, as_ranges(record.meta.get("uids")))
        for record in known
        if record.meta.get("rechecked", False) or not asks_again
    ]
    return refs, first_free


def rechecks(recipe: Recipe) -> bool:
    """Whether servers are asked again for images of an earlier run: then only parts that did so count."""
    return any(entry.recheck for entry in recipe.reused)


def owners(samples: pa.Table, job: Job) -> npt.NDArray[np.int64]:
    """Which of the known parts holds each sample's uid; -1 for none. int64 [n].

    Parts whose uids lie elsewhere are not opened: a uid range of a million samples reads about a million uids,
    however many parts the run has.
    """
    owner = np.full(samples.num_rows, -1, np.int64)
    here = uid_ranges([samples["uid"]])
    retries = read_retries(job.context.run)
    for number, ref in enumerate(job.task.inputs["known"]):
        if may_overlap(here, getattr(ref, "ranges", None)):
            rows = read_rows(job.context.path(ref), ["uid", *_JUDGED_COLUMNS])
            uids = _answered_for(rows, samples, retries, ref, job.recipe)
            held = pc.is_in(samples["uid"], value_set=uids.combine_chunks()).to_numpy(zero_copy_only=False)
            owner[held & (owner < 0)] = number
    return owner


def _answered_for(
    rows: pa.Table, samples: pa.Table, retries: Sequence[Retry], ref: PartRef, recipe: Recipe
) -> pa.ChunkedArray:
    """The uids of the rows that need not be asked for again."""
    again = pa.array(retried_reasons(retries, ref.index), pa.string())
    is_final = pc.invert(pc.is_in(rows["drop_reason"], value_set=again))
    return rows["uid"].filter(
        pc.and_(is_final, still_true(rows, promised_sha256(rows["uid"], samples, recipe), recipe))
    )


def promised_sha256(uids: pa.ChunkedArray, samples: pa.Table, recipe: Recipe) -> pa.ChunkedArray:
    """For each uid the sha256 that its list promises, where the recipe verifies it; else null."""
    if not recipe.fetch.verify_sha256:
        return pa.chunked_array([pa.nulls(len(uids), pa.string())])
    place = pc.index_in(uids, value_set=samples["uid"].combine_chunks())
    return samples["expected_sha256"].take(place)


def still_true(rows: pa.Table, promised: pa.ChunkedArray, recipe: Recipe) -> pa.ChunkedArray:
    """Whether a fetch of today would say the same of each row, as far as the row itself can tell.

    It would not where the bytes are not those that the list now promises, where a mismatch was with a promise that is
    no more, and where an opt-out is obeyed now that was only recorded, or the other way round.
    """
    wrong = pc.fill_null(pc.not_equal(rows["sha256"], promised), False)
    if not rechecks(recipe):
        wrong = pc.or_(wrong, pc.and_(_fell_for(rows, "hash_mismatch"), pc.is_null(promised)))
    if recipe.crawler.opt_outs == "obey":
        return pc.invert(pc.or_(wrong, pc.and_(pc.is_valid(rows["opt_out"]), pc.is_null(rows["drop_reason"]))))
    return pc.invert(pc.or_(wrong, _fell_for(rows, "opt_out")))


def _fell_for(rows: pa.Table, reason: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.equal(rows["drop_reason"], reason), False)


def uid_ranges(pieces: Iterable[pa.ChunkedArray]) -> Ranges:
    """The least and greatest uid of each piece that is not empty."""
    ends = [pc.min_max(uids).as_py() for uids in pieces if len(uids)]
    return tuple((end["min"], end["max"]) for end in ends)


def as_ranges(said: object) -> Ranges | None:
    """Ranges as JSON holds them; null where nothing is said."""
    return tuple((str(low), str(high)) for low, high in said) if isinstance(said, list) else None


def may_overlap(some: Ranges, others: Ranges | None) -> bool:
    """Whether two parts may share a uid; one that does not say where its uids lie may always."""
    return others is None or any(low <= end and start <= high for low, high in some for start, end in others)
