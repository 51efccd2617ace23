"""Score: what the recipe's model says of each standing text and its image, part by part."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache

from filters.clip.asked import Asked, measure_marks, prepared
from filters.clip.scorer import Scorer, load_scorer
from filters.clip.settings import ScoreSettings
from filters.clip.weights import score_identity
from filters.measures import Level, measures_of
from pipelines.flow.embeddings import ROLE, embedding_rows, write_embeddings
from pipelines.flow.narrow import mark_skipped, only_taken
from pipelines.flow.rows import count_reasons, standing
from pipelines.flow.score_columns import with_scores
from pipelines.tasks import Batch, Flow, Job, Outcome, Plan, Task
from shards.parts import fingerprint
from shards.tables import read_rows, write_table

_VERSION = 3
SCORER = "scorer"
"""In a record's facts: the model that gave the scores, and the heads that judged its embeddings."""

_MADE_OF, _HOLDS = "made_of", "holds"
"""In a record's facts: what the part was made of, and what each measure in it rests on."""

WORKED = "worked"
"""In a record's facts: seconds that the part took with its model loaded, in how many of them the model had work, and
on which kind of device. Clocks, which no release shows."""

_LEVELS: tuple[Level, ...] = ("text", "image")
_BESIDE_THE_MODEL = {"heads", "categories", "group_size"}
Holds = frozenset[str]


def steps(flow: Flow) -> Iterator[Batch]:
    """One part per dedup part, if any rule or measure asks for scores."""
    settings = flow.recipe.score
    if not flow.plan.scores or settings is None:
        return
    identity = score_identity(settings)
    names = scored_measures(flow.plan)
    marks = measure_marks(names, settings)
    wanted = frozenset([*marks.values(), *([ROLE] if flow.plan.embeds else [])])
    earlier = _held_before(flow)
    needs_gpu = settings.device.startswith("cuda")
    gpus = settings.gpu_share if needs_gpu or settings.device == "auto" else 0.0
    tasks = []
    for task in flow.tasks("dedup"):
        made_of = fingerprint("score", _VERSION, identity, task.fingerprint)
        holds = min((had for had in earlier.get(made_of, []) if had >= wanted), key=_by_size, default=wanted)
        given = {"dedup": task.ref, "fetched": task.inputs["fetched"], "names": names, "embeds": ROLE in holds}
        given |= {_MADE_OF: made_of, _HOLDS: sorted(holds)}
        mark = fingerprint(made_of, sorted(holds))
        tasks.append(Task("score", task.index, mark, given, num_rows=task.num_rows, gpus=gpus, needs_gpu=needs_gpu))
    yield Batch("score", tuple(tasks))


def scored_measures(plan: Plan) -> tuple[str, ...]:
    """The measures that the stage is to give, of texts and of images."""
    return tuple(name for level in _LEVELS for name in measures_of(plan.measures, "score", level))


def _held_before(flow: Flow) -> dict[str, list[Holds]]:
    """By what they were made of, what the parts of any earlier recipe hold: more than is wanted serves as well."""
    folder = flow.context.folder("score")
    found: dict[str, list[Holds]] = {}
    for record in folder.records():
        if _MADE_OF in record.meta and folder.is_whole(record):
            found.setdefault(record.meta[_MADE_OF], []).append(frozenset(record.meta[_HOLDS]))
    return found


def _by_size(holds: Holds) -> tuple[int, list[str]]:
    return len(holds), sorted(holds)


def score(job: Job) -> Outcome:
    """Add what is asked for to each text that stands on a standing sample, and to each standing sample.

    A sample whose stored copy is damaged falls. Beside the rows, if asked for, the embeddings of the standing images;
    the record says how many there are, and which model and heads it was.
    """
    table = mark_skipped(only_taken(read_rows(job.path("dedup")), job.rows), job.rows, stage="score")
    settings = job.recipe.score
    if settings is None:
        raise ValueError("a recipe without `score` has no score parts")
    scorer, asked = _scorer(settings), _asked(settings, tuple(job.task.inputs["names"]))
    began, busy_before_s = time.perf_counter(), scorer.busy_s
    table, vectors = with_scores(table, job.path("fetched", "tar"), scorer, asked)
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    write_table(job.attempt.path("rows", "parquet"), table)
    facts: dict[str, object] = {SCORER: _identity(scorer, asked)}
    facts |= {name: job.task.inputs[name] for name in (_MADE_OF, _HOLDS)}
    if job.task.inputs["embeds"]:
        embedded = embedding_rows(standing(table)["uid"], vectors)
        write_embeddings(job.attempt.path(ROLE, f"{ROLE}.parquet"), embedded)
        number = embedded.num_rows - embedded["embedding"].null_count
        facts |= {"embedded": number, "dimension": vectors.shape[1]}
    facts[WORKED] = {
        "device": scorer.device.partition(":")[0],
        "busy_s": round(scorer.busy_s - busy_before_s, 3),
        "seconds": round(time.perf_counter() - began, 3),
    }
    return Outcome(table.num_rows, counts, facts)


def _identity(scorer: Scorer, asked: Asked) -> dict[str, object]:
    heads = {name: head.identity for name, head in sorted(asked.heads.items())}
    return asdict(scorer.identity) | ({"heads": heads} if heads else {})


def _scorer(settings: ScoreSettings) -> Scorer:
    """The model, loaded once a worker process."""
    return _loaded(settings.model_dump_json(exclude=_BESIDE_THE_MODEL))


@lru_cache(maxsize=1)
def _loaded(told: str) -> Scorer:
    return load_scorer(ScoreSettings.model_validate_json(told))


def _asked(settings: ScoreSettings, names: tuple[str, ...]) -> Asked:
    """Heads and prompts of categories, read and encoded once a worker process."""
    return _prepared(settings.model_dump_json(), names)


@lru_cache(maxsize=1)
def _prepared(told: str, names: tuple[str, ...]) -> Asked:
    settings = ScoreSettings.model_validate_json(told)
    return prepared(names, settings, _scorer(settings))
