"""Score: the similarity of each standing text with its image, by the recipe's model, part by part."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.clip import Scorer, Vectors, load_scorer
from filters.clip_settings import ScoreSettings
from filters.clip_weights import score_identity
from pipelines.flow.embeddings import ROLE, embedding_rows, write_embeddings
from pipelines.flow.narrow import mark_skipped, only_taken
from pipelines.flow.rows import blank_drop, count_reasons, put, relisted, standing
from pipelines.flow.stored import StoredCopies
from pipelines.tasks import Batch, Flow, Job, Outcome, Task
from shards.errors import BrokenRunError
from shards.parts import fingerprint
from shards.tables import read_rows, write_table

_VERSION = 2
SCORER = "scorer"
"""In a record's facts: the model that gave the scores."""


def steps(flow: Flow) -> Iterator[Batch]:
    """One part per dedup part, if any rule or measure asks for scores."""
    settings = flow.recipe.score
    if not flow.plan.scores or settings is None:
        return
    identity = score_identity(settings)
    done = flow.context.folder("score").committed()
    gpus = settings.gpu_share if settings.device == "auto" or settings.device.startswith("cuda") else 0.0
    embeds = flow.plan.embeds
    yield Batch("score", tuple(_task(task, identity, embeds, done, gpus) for task in flow.tasks("dedup")))


def _task(task: Task, identity: object, embeds: bool, done: set[tuple[int, str]], gpus: float) -> Task:
    """A part that was made with embeddings serves a recipe that does not ask for them as well."""
    full = fingerprint("score", _VERSION, identity, ROLE, task.fingerprint)
    embeds = embeds or (task.index, full[:8]) in done
    mark = full if embeds else fingerprint("score", _VERSION, identity, task.fingerprint)
    given = {"dedup": task.ref, "fetched": task.inputs["fetched"], "embeds": embeds}
    return Task("score", task.index, mark, given, num_rows=task.num_rows, gpus=gpus)


def score(job: Job) -> Outcome:
    """Add `clip_score` to each text that stands on a standing sample; the other texts' scores are null.

    A sample whose stored copy is damaged falls. Beside the rows, if asked for, the embeddings of the standing images;
    the record says how many there are, and which model it was.
    """
    table = mark_skipped(only_taken(read_rows(job.path("dedup")), job.rows), job.rows, stage="score")
    settings = job.recipe.score
    if settings is None:
        raise ValueError("a recipe without `score` has no score parts")
    scorer = _scorer(settings)
    table, vectors = with_scores(table, job.path("fetched", "tar"), scorer)
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    write_table(job.attempt.path("rows", "parquet"), table)
    facts: dict[str, object] = {SCORER: asdict(scorer.identity)}
    if job.task.inputs["embeds"]:
        embedded = embedding_rows(standing(table)["uid"], vectors)
        write_embeddings(job.attempt.path(ROLE, f"{ROLE}.parquet"), embedded)
        number = embedded.num_rows - embedded["embedding"].null_count
        facts |= {"embedded": number, "dimension": vectors.shape[1]}
    return Outcome(table.num_rows, counts, facts)


@lru_cache(maxsize=1)
def _scorer(settings: ScoreSettings) -> Scorer:
    """The model, loaded once a worker process."""
    return load_scorer(settings)


def with_scores(table: pa.Table, tar: Path, scorer: Scorer) -> tuple[pa.Table, Vectors]:
    """`texts` with the field `clip_score`, float64, rounded to 1e-4; and the embeddings of the standing images.

    The part's order fixes what shares a batch: samples whose stored copy is damaged keep their place in it. They fall
    as `hash_mismatch` or `decode_error`. Raises BrokenRunError where that is said of all of several.
    """
    rows = np.flatnonzero(pc.is_null(table["drop_reason"]).to_numpy(zero_copy_only=False))
    with StoredCopies(table.take(pa.array(rows)), tar) as copies:
        vectors = scorer.embed_undecoded(copies.undecoded)
    if len(copies.faults) == len(rows) > 1:
        raise BrokenRunError(f"{tar}: no stored copy in it can be decoded; the first: {copies.faults[0][1]}")
    texts = table["texts"].combine_chunks()
    places, owners = _standing_texts(texts, rows)
    column = np.full(len(texts.values), np.nan)
    wanted = texts.values.field("text").take(pa.array(places)).to_pylist()
    column[places] = scorer.score_pairs(vectors, owners, wanted)
    scored = put(table, "texts", relisted(texts, "clip_score", pa.array(column, from_pandas=True)))
    if copies.faults:
        scored = _without_damaged(scored, {int(rows[place]): fault for place, fault in copies.faults.items()})
        vectors = np.delete(vectors, sorted(copies.faults), axis=0)
    return scored, vectors


def _standing_texts(texts: pa.ListArray, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
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
