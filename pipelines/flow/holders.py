"""Who already holds a sample's image: earlier fetch parts of this run, so that none is fetched twice."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.tasks import Flow, Job, PartRef
from shards.tables import read_rows


def holders(flow: Flow, settings: str) -> tuple[list[PartRef], int]:
    """The committed fetch parts made under the same deciding settings, and the first index that is free."""
    known = [record for record in flow.context.folder("fetch").records() if record.meta.get("settings") == settings]
    refs = [PartRef("fetch", record.index, record.fingerprint) for record in known]
    return refs, max((record.index + 1 for record in known), default=0)


def owners(samples: pa.Table, job: Job) -> npt.NDArray[np.int64]:
    """Which of the known parts holds each sample's uid; -1 for none. int64 [n]."""
    owner = np.full(samples.num_rows, -1, np.int64)
    for number, ref in enumerate(job.task.inputs["known"]):
        uids = read_rows(job.context.path(ref), ["uid"])["uid"].combine_chunks()
        held = pa.compute.is_in(samples["uid"], value_set=uids).to_numpy(zero_copy_only=False)
        owner[held & (owner < 0)] = number
    return owner
