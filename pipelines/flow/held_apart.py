"""What a release says of its splits and subsets: their sizes, their lists of uids, and duplicates that lie close."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.flow.splits import split_names, uids_of_split, uids_of_subset
from pipelines.release_settings import TRAIN
from pipelines.tasks import Job
from shards.uid_lists import write_uids

CLOSE_FILE = "close_duplicates.parquet"


def figures_apart(job: Job) -> dict[str, Any]:
    """Samples and shards of each split (none without splits), samples of each subset, and close duplicates."""
    settings, kept = job.recipe.release, job.paths("selected", "kept")
    records = [job.context.record(ref) for ref in job.task.inputs["selected"]]
    roles = [file.role for ref in job.task.inputs["files"] for file in job.context.record(ref).files]
    return {
        "splits": {
            name: {
                "samples": sum(record.meta["splits"][name] for record in records),
                "shards": sum(_split_of(role) == name for role in roles),
            }
            for name in split_names(settings)
            if name is not None
        },
        "subsets": {name: sum(map(len, uids_of_subset(kept, name, settings))) for name in settings.subsets},
        "close_duplicates": pq.read_metadata(job.path("order", "close")).num_rows,
    }


def _split_of(role: str) -> str | None:
    """The split of a shard by its role, `shard-000000` or `shard-<split>/000000`."""
    folder, slash, _ = role.removeprefix("shard-").rpartition("/")
    return (folder if slash else TRAIN) if role.startswith("shard-") else None


def write_lists(job: Job, stats: dict[str, Any]) -> list[tuple[str, Path]]:
    """`uids-<name>.npy` of each split and subset, and close_duplicates.parquet if there are any: name and path."""
    settings, kept = job.recipe.release, job.paths("selected", "kept")
    written = []
    for name in settings.splits:
        path = job.attempt.path(f"uids-{name}.npy", "", f"uids-{name}.npy")
        write_uids(path, uids_of_split(kept, name), stats["splits"][name]["samples"])
        written.append((f"uids-{name}.npy", path))
    for name in settings.subsets:
        path = job.attempt.path(f"uids-{name}.npy", "", f"uids-{name}.npy")
        write_uids(path, uids_of_subset(kept, name, settings), stats["subsets"][name])
        written.append((f"uids-{name}.npy", path))
    if stats["close_duplicates"]:
        path = job.attempt.path(CLOSE_FILE, "", CLOSE_FILE)
        path.write_bytes(job.path("order", "close").read_bytes())
        written.append((CLOSE_FILE, path))
    return written
