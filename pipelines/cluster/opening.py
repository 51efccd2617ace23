"""The pool of one call of `curate run`: this machine's, or a cluster's that can write where the run goes."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from pipelines.cluster.out_folder import check_out, is_local
from pipelines.cluster.settings import ResourceSettings
from pipelines.workers import RayPool
from shards.storage import open_run_folder


def open_pool(
    mapping: Mapping[str, Any], out: str, address: str | None, workers: int | None, is_shared: bool = False
) -> RayPool:
    """For a recipe that was checked. Raises `UsageError` where nodes cannot see a local `out`."""
    settings = ResourceSettings.model_validate(mapping.get("resources", {}))
    if address is None:
        return RayPool(None, workers)
    seen_by_all = str(open_run_folder(out)) if is_local(out) else None
    pool = RayPool(address, workers, settings.wait_for_nodes_s, seen_by_all)
    with ExitStack() as unless_fit:
        unless_fit.callback(pool.close)
        check_out(out, len(pool.nodes), is_shared)
        unless_fit.pop_all()
    return pool
