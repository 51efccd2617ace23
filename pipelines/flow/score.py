"""Score: the similarity of each standing text with its image, by the recipe's model, part by part."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.clip import Scorer, Vectors, load_scorer
from filters.clip_settings import ScoreSettings
from filters.clip_weights import score_identity
from pipelines.flow.embeddings import ROLE, embedding_rows, write_embeddings
from pipelines.flow.narrow import mark_skipped, only_taken
from pipelines.flow.rows import count_reasons, put, relisted, standing
from pipelines.flow.stored import stored_images
from pipelines.tasks import Batch, Flow, Job, Outcome, Task
from shards.parts import fingerprint
from shards.tables import read_rows, write_table

_VERSION = 1
_IMAGES_IN_MEMORY = 256


def steps(flow: Flow) -> Iterator[Batch]:
    """One part per dedup part, if any rule or measure asks for scores."""
    settings = flow.recipe.score
    if not flow.plan.scores or settings is None:
        return
    identity = score_identity(settings)
    done = flow.context.folder("score").committed()
    yield Batch("score", tuple(_task(task, identity, flow.plan.embeds, done) for task in flow.tasks("dedup")))


def _task(task: Task, identity: object, embeds: bool, done: set[tuple[int, str]]) -> Task:
    """A part that was made with embeddings serves a recipe that does not ask for them as well."""
    full = fingerprint("score", _VERSION, identity, ROLE, task.fingerprint)
    embeds = embeds or (task.index, full[:8]) in done
    mark = full if embeds else fingerprint("score", _VERSION, identity, task.fingerprint)
    given = {"dedup": task.ref, "fetched": task.inputs["fetched"], "embeds": embeds}
    return Task("score", task.index, mark, given, num_rows=task.num_rows)


def score(job: Job) -> Outcome:
    """Add `clip_score` to each text that stands on a standing sample; the other texts' scores are null.

    Beside the rows, if asked for, the embeddings of the standing images; the record says how many there are.
    """
    table = mark_skipped(only_taken(read_rows(job.path("dedup")), job.rows), job.rows, stage="score")
    settings = job.recipe.score
    if settings is None:
        raise ValueError("a recipe without `score` has no score parts")
    table, vectors = with_scores(table, job, _scorer(settings))
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    write_table(job.attempt.path("rows", "parquet"), table)
    if not job.task.inputs["embeds"]:
        return Outcome(table.num_rows, counts)
    embedded = embedding_rows(standing(table)["uid"], vectors)
    write_embeddings(job.attempt.path(ROLE, f"{ROLE}.parquet"), embedded)
    number = embedded.num_rows - embedded["embedding"].null_count
    return Outcome(table.num_rows, counts, {"embedded": number, "dimension": vectors.shape[1]})


@lru_cache(maxsize=1)
def _scorer(settings: ScoreSettings) -> Scorer:
    """The model, loaded once a worker process."""
    return load_scorer(settings)


def with_scores(table: pa.Table, job: Job, scorer: Scorer) -> tuple[pa.Table, Vectors]:
    """`texts` with the field `clip_score`, float64, rounded to 1e-4; and the embeddings of the standing images.

    The part's order fixes what shares a batch.
    """
    rows = np.flatnonzero(pc.is_null(table["drop_reason"]).to_numpy(zero_copy_only=False))
    texts = table["texts"].combine_chunks()
    column = np.full(len(texts.values), np.nan)
    vectors = []
    for start in range(0, len(rows), _IMAGES_IN_MEMORY):
        some = rows[start : start + _IMAGES_IN_MEMORY]
        places = [_standing_places(texts, int(row)) for row in some]
        wanted = [[texts.values.field("text")[place].as_py() for place in group] for group in places]
        vectors.append(scorer.embed_images(list(stored_images(table.take(pa.array(some)), job.path("fetched", "tar")))))
        for group, values in zip(places, scorer.score_embedded(vectors[-1], wanted), strict=True):
            column[group] = [np.nan if value is None else value for value in values]
    scored = put(table, "texts", relisted(texts, "clip_score", pa.array(column, from_pandas=True)))
    return scored, np.concatenate(vectors) if vectors else np.zeros((0, 1))


def _standing_places(texts: pa.ListArray, row: int) -> list[int]:
    """Places of a sample's standing texts among all texts of the part."""
    start, stop = texts.offsets[row].as_py(), texts.offsets[row + 1].as_py()
    reasons = texts.values.field("drop_reason")[start:stop]
    return [start + int(place) for place in np.flatnonzero(pc.is_null(reasons).to_numpy(zero_copy_only=False))]
