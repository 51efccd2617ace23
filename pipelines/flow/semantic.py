"""Semantic duplicates: embeddings clustered once, and at a rule's turn those who stand compared inside clusters.

Clusters are made of all that was scored, so other rules compare anew but cluster nothing anew. A task holds one range
of clusters, whatever the number of samples.
"""

from collections.abc import Generator, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.clusters import nearest_centroids, num_clusters_for, train_centroids
from dedup.semantic import nearest_before
from dedup.survivors import keep_values
from pipelines.flow.embeddings import ROLE, as_binary, as_halves, read_embeddings, read_sample
from pipelines.flow.shuffle import bucket_of_uids, grouped_by_rows, read_bucket, write_buckets
from pipelines.flow.turns import BY_CLUSTER, MADE, NEAR_UID, Relations, rules_before, standing_at
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, buckets_for, tasks_of
from shards.tables import read_rows, write_table

_VERSION = 1
_TASK_BYTES = 2**28
"""Embeddings that a task holds at a time, or one part, or one cluster where these are larger."""

_SAMPLE_NUMBERS = 2**27
"""What centroids are trained on at most: 512 MiB of float32, of 512 dimensions 262,144 vectors."""

_SAMPLE_OF_CLUSTER = 256
"""Vectors of the sample for each cluster: as many as faiss takes."""

_PLACES = pa.schema([("uid", pa.string()), ("range", pa.int32())])


def steps(flow: Flow) -> Iterator[Batch]:
    """`select-cluster` in the end: every embedding, in the bucket of its range of clusters."""
    scored, embedded, dimension = _embedded(flow)
    if not scored:
        return
    total = sum(embedded)
    num_clusters = flow.recipe.dedup.semantic_clusters or num_clusters_for(total)
    most = min(_SAMPLE_OF_CLUSTER * num_clusters, _SAMPLE_NUMBERS // dimension)
    given: dict[str, object] = {"scored": scored, "clusters": num_clusters, "share": most / total}
    yield tasks_of("select-train", _VERSION, [num_clusters, most, flow.chain("score")], [given], [0])
    rows_of_task = _TASK_BYTES // (2 * dimension)
    ranges = buckets_for(total, rows_of_task)
    buckets = len(flow.tasks("select-rows"))
    shared = {"trained": flow.refs("select-train")[0], "ranges": ranges, "buckets": buckets}
    groups = list(grouped_by_rows(scored, embedded, rows_of_task))
    keys = [[ref.fingerprint for ref in group] for group in groups]
    settings = [ranges, buckets, flow.chain("select-train")]
    yield tasks_of("select-cluster", _VERSION, settings, [{"scored": group, **shared} for group in groups], keys)


def _embedded(flow: Flow) -> tuple[list[PartRef], list[int], int]:
    """The score parts with embeddings, how many each has, and of how many dimensions they are."""
    metas = [(ref, record.meta) for ref, record in zip(flow.refs("score"), flow.records("score"), strict=True)]
    some = [(ref, meta) for ref, meta in metas if meta["embedded"]]
    dimension = max((meta["dimension"] for _, meta in some), default=1)
    return [ref for ref, _ in some], [meta["embedded"] for _, meta in some], dimension


def turn(flow: Flow, number: int, relations: Relations) -> Generator[Batch, None, tuple[PartRef, ...]]:
    """The cosines of who stands at one turn: a part for each range of clusters, a row group for each judged part."""
    clustered = flow.tasks("select-cluster")
    if not clustered:
        return ()
    judged, ranges = flow.tasks("select-judge"), clustered[0].inputs["ranges"]
    before = [(rule.name, rule.expression) for rule in rules_before(flow.plan, number)]
    settings = [number, before, flow.recipe.dedup.keep, flow.chain("select-cluster", *MADE)]
    given = [
        {
            **{"judged": task.ref, "place": place, "turn": number, "relations": dict(relations)},
            **{"clustered": flow.refs("select-cluster"), "ranges": ranges},
        }
        for place, task in enumerate(judged)
    ]
    stood = tasks_of("select-stand", _VERSION, settings, given, [task.fingerprint for task in judged])
    yield stood
    shared = {"stood": [task.ref for task in stood.tasks], "clustered": flow.refs("select-cluster")}
    given = [{"range": place, **shared} for place in range(ranges)]
    compared = tasks_of("select-cosines", _VERSION, settings, given, list(range(ranges)))
    yield compared
    return tuple(task.ref for task in compared.tasks)


def train(job: Job) -> Outcome:
    """Centroids, from a sample of all embeddings."""
    sample = read_sample(job.paths("scored", ROLE), job.task.inputs["share"])
    vectors = train_centroids(sample, job.task.inputs["clusters"])
    table = pa.table({"centroid": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])})
    write_table(job.attempt.path("rows", "parquet"), table)
    return Outcome(len(vectors))


def cluster(job: Job) -> Outcome:
    """The embeddings of some score parts, by range of clusters; and apart, by range of uids, who went where."""
    centroids = read_rows(job.path("trained"))["centroid"].combine_chunks()
    size = centroids.type.list_size
    centroids = centroids.flatten().to_numpy().reshape(-1, size)
    ranges = job.task.inputs["ranges"]
    tables, numbers = [], []
    for path in job.paths("scored", ROLE):
        uids, vectors = read_embeddings(path)
        nearest = nearest_centroids(vectors, centroids)
        numbers.append(nearest * ranges // len(centroids))
        tables.append(pa.table({"uid": uids, "cluster": nearest, "embedding": as_binary(vectors)}))
    table = pa.concat_tables(tables)
    write_buckets(job.attempt.path("rows", "parquet"), table, np.concatenate(numbers), ranges)
    places = pa.table([table["uid"], np.concatenate(numbers).astype(np.int32)], schema=_PLACES)
    buckets = job.task.inputs["buckets"]
    write_buckets(job.attempt.path("places", "places.parquet"), places, bucket_of_uids(places["uid"], buckets), buckets)
    return Outcome(table.num_rows)


def stand(job: Job) -> Outcome:
    """Who of one judged part stands at a turn and has an embedding, with what `keep` compares; by range of clusters."""
    place, ranges = job.task.inputs["place"], job.task.inputs["ranges"]
    rows = standing_at(job.path("judged"), place, job)
    known = read_bucket(job.paths("clustered", "places"), place)
    value = keep_values(rows, job.recipe.dedup.keep).cast(pa.float64())
    table = pa.table({"uid": rows["uid"], "value": value, "place": np.full(rows.num_rows, place, np.int64)})
    found = pc.index_in(table["uid"], known["uid"].combine_chunks())
    table, found = table.filter(pc.is_valid(found)), found.drop_null()
    numbers = known["range"].take(found).to_numpy().astype(np.int64)
    write_buckets(job.attempt.path("rows", "parquet"), table, numbers, ranges)
    return Outcome(table.num_rows)


def cosines(job: Job) -> Outcome:
    """One range of clusters: how near each sample that stands is to one before it, and to which; by judged part."""
    number = job.task.inputs["range"]
    stood = read_bucket(job.paths("stood"), number)
    clustered = read_bucket(job.paths("clustered"), number)
    place = pc.index_in(stood["uid"], clustered["uid"].combine_chunks())
    table = stood.append_column("cluster", clustered["cluster"].take(place)).append_column("row", place)
    keys = [("cluster", "ascending"), ("value", "descending"), ("uid", "ascending")]
    table = table.take(pc.sort_indices(table, sort_keys=keys))
    vectors = as_halves(clustered["embedding"].take(table["row"]))
    nearest = nearest_before(vectors, table["cluster"].to_numpy())
    others = pa.array(nearest.places, mask=nearest.places < 0)
    found = pa.table({"uid": table["uid"], BY_CLUSTER: nearest.cosines, NEAR_UID: table["uid"].take(others)})
    write_buckets(job.attempt.path("rows", "parquet"), found, table["place"].to_numpy(), len(job.task.inputs["stood"]))
    return Outcome(found.num_rows)
