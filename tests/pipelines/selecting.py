"""A run that has come to select, from score parts of our own."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.checks import checked_plan
from pipelines.flow import selection
from pipelines.flow.embeddings import ROLE, embedding_rows, write_embeddings
from pipelines.progress import Progress
from pipelines.runner import Runner
from pipelines.stages import Stage
from pipelines.tasks import Batch, Context, Flow, PartRef, Task
from shards.lease import Lease
from shards.parts import Attempt, Record, StepFolder
from shards.tables import read_rows, write_table
from tests.dedup.test_clusters import unit_vectors
from tests.pipelines.conftest import InlinePool, table_recipe, write_csv

NUM = 240
NUM_COPIES = 60
TEXTS = pa.list_(
    pa.struct(
        [("kind", pa.string()), ("text", pa.string()), ("clip_score", pa.float64()), ("drop_reason", pa.string())]
    )
)
Row = dict[str, Any]


def scored_samples() -> pa.Table:
    """Samples as score leaves them, by uid; the embedding of each of the last 60 is near that of one before."""
    random = np.random.default_rng(5)
    vectors = unit_vectors(NUM, 32, around=6).astype(np.float64)
    vectors[-NUM_COPIES:] = vectors[:NUM_COPIES] + random.normal(scale=0.01, size=(NUM_COPIES, 32))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    scores = np.round(random.uniform(0.1, 0.5, NUM), 4)
    table = pa.table(
        {
            "uid": [random.bytes(16).hex() for _ in range(NUM)],
            "texts": pa.array(
                [[{"kind": "caption", "text": "照片", "clip_score": float(score)}] for score in scores], TEXTS
            ),
            "original_width": random.integers(300, 310, NUM).astype(np.int32),
            "original_height": pa.array([300] * NUM, pa.int32()),
            "sharpness": random.uniform(0, 9, NUM),
            "drop_reason": pa.array([None] * (NUM - 3) + ["too_small"] * 3, pa.string()),
            "vector": list(vectors),
        }
    )
    return table.sort_by("uid")


class Selecting:
    """A run that has come to select, from score parts of our own."""

    def __init__(self, run: Path, scored: pa.Table, rules: dict[str, str], num_parts: int = 1, **sections: Any) -> None:
        run.mkdir(exist_ok=True)
        score = {"model": "local-dir:package:pipelines/demo/scorer", "pretrained": None}
        sections = {"score": score, "dedup": {"semantic_clusters": 4}} | sections
        recipe = table_recipe(write_csv(run / "t.csv", [("http://a.cn/1.png", "照片")]), rules, **sections)
        self.run, self.plan, self.pool = run, checked_plan(recipe, "test"), InlinePool()
        edges = np.linspace(0, scored.num_rows, num_parts + 1).astype(int).tolist()
        parts = [scored.slice(start, end - start) for start, end in itertools.pairwise(edges)]
        self._tasks = tuple(committed_part(run, index, part, num_parts) for index, part in enumerate(parts))
        self._admitted = _admitted(run, scored)

    def _score(self, _: Flow) -> Iterator[Batch]:
        yield Batch("admit", (self._admitted,))
        yield Batch("score", self._tasks)

    def _select(self, flow: Flow) -> Iterator[Batch]:
        for batch in selection.steps(flow):
            yield batch
            if batch.step == "select":
                return

    def rows(self, pool: InlinePool | None = None) -> dict[str, Row]:
        """What select decides of each sample, by uid."""
        stages = [Stage(name, "", steps, "", "") for name, steps in (("score", self._score), ("select", self._select))]
        self.pool = pool or InlinePool()
        with Lease.take(self.run) as lease:
            context = Context(self.run, self.plan, lease.token)
            flow = Runner(context, self.pool, Progress(io.StringIO(), live=False)).run(stages)
        paths = [context.path(ref, role) for ref in flow.refs("select") for role in ("kept", "dropped")]
        return {row["uid"]: row for path in paths for row in read_rows(path).to_pylist()}


def _admitted(run: Path, rows: pa.Table) -> Task:
    """An admit part of as many samples, none of which fell there."""
    folder, mark = StepFolder(run, "admit"), f"{1:032x}"
    attempt = Attempt(folder, 0)
    write_table(attempt.path("rows", "parquet"), rows.select(["uid", "texts", "drop_reason"]).slice(0, 0))
    folder.commit(Record("admit", 0, mark, attempt.publish(), rows.num_rows), lambda: True)
    return Task("admit", 0, mark)


def committed_part(run: Path, index: int, rows: pa.Table, num_parts: int) -> Task:
    """A score part with its embeddings, and the task that would have made it."""
    folder, mark = StepFolder(run, "score"), f"{num_parts:032x}"
    attempt = Attempt(folder, index)
    write_table(attempt.path("rows", "parquet"), rows.drop_columns(["vector"]))
    stand = rows.filter(pa.compute.is_null(rows["drop_reason"]))
    vectors = np.array(stand["vector"].to_pylist()).reshape(-1, 32)
    embedded = embedding_rows(stand["uid"], vectors)
    write_embeddings(attempt.path(ROLE, "embeddings.parquet"), embedded)
    number = embedded.num_rows - embedded["embedding"].null_count
    meta = {"embedded": number, "dimension": 32}
    folder.commit(Record("score", index, mark, attempt.publish(), rows.num_rows, {}, meta), lambda: True)
    return Task("score", index, mark, {"fetched": PartRef("fetch", index, mark)})
