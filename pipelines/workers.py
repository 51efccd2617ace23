"""Where tasks run: Ray, started here or already running somewhere. The only file that imports ray."""

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from pipelines.cluster.call import Around, NodeLostError, WorkerDiedError, make_call
from pipelines.cluster.head import HeadWatch
from pipelines.cluster.joining import join_cluster, prepare_environment, start_alone
from pipelines.cluster.nodes import Node, Offers
from pipelines.cluster.place import ANYWHERE, Place
from pipelines.cluster.settings import NODE_LABEL
from shards.errors import CurateError, TryAgainError

_WAIT_FOR_NODES_S = 600.0


class TaskFailedError(CurateError):
    """A task raised what nobody foresaw. The message is its last line; `story` is the whole traceback."""

    def __init__(self, story: str) -> None:
        self.story = _COLOURS.sub("", story).strip()
        super().__init__(self.story.splitlines()[-1])


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Pool(Protocol):
    """What the runner asks of whoever runs its tasks."""

    @property
    def slots(self) -> int:
        """CPUs' worth of calls that may be under way."""
        ...

    def start(self, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0) -> object:
        """Begin a call somewhere, with a share of a CPU to itself, and of a GPU if there are any; return its handle."""
        ...

    def wait(self, handles: Sequence[object], timeout_s: float) -> list[object]:
        """Handles of calls that have ended, possibly none after `timeout_s`."""
        ...

    def result(self, handle: object) -> Any:
        """What the call returned. Raises what it raised, or `WorkerDiedError`."""
        ...

    def close(self) -> None: ...


class RayPool:
    """Tasks as Ray tasks of a CPU or a share of one.

    Started locally: quiet, no dashboard, token authentication, loopback only.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        wait_for_nodes_s: float = _WAIT_FOR_NODES_S,
        shared_run: str | None = None,
    ) -> None:
        prepare_environment(local=address is None)
        import ray

        self._ray: Any = ray
        self._head: HeadWatch | None = None
        self._around = Around()
        if address is None:
            start_alone(ray, workers or os.cpu_count() or 1)
        else:
            join_cluster(ray, address)
            self._head = HeadWatch(ray.get_runtime_context().gcs_address)
            self._head.guard()
            self._around = Around.of_driver(shared_run)
        self._offers = Offers(self._living_nodes, wait_for_nodes_s)
        self._waiting: dict[object, tuple[Place, float, float]] = {}
        self._workers = workers
        self._call = ray.remote(num_cpus=1, max_retries=0)(_call)

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes that live. Where the head does not answer: those that did."""
        return self._offers.nodes

    @property
    def slots(self) -> int:
        """CPUs' worth of calls that may be under way: what was asked for, or what the living nodes have."""
        return self._workers or max(1, int(sum(node.cpus for node in self.nodes)))

    def start(self, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0) -> object:
        return self.start_at(ANYWHERE, function, *arguments, cpus=cpus, gpus=gpus)

    def start_at(
        self, place: Place, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0
    ) -> object:
        # Ray keeps workers by what they ask for; few different shares, few idle workers. So a worker that scores is
        # met again with its model loaded, and Ray shows it the one GPU that it was given.
        gpus = gpus if self._is_gpu_asked_for(place) else 0.0
        asked: dict[str, Any] = {"num_gpus": gpus} if gpus else {}
        if self._head is not None:  # alone, this machine is every kind of node
            asked |= self._asked_of_nodes(place)
        around = replace(self._around, memory_mb=place.memory_mb)
        handle = self._call.options(num_cpus=cpus, **asked).remote(around, function, *arguments)
        if self._head is not None:
            self._waiting[handle] = replace(place, away_from=None), cpus, gpus
        return handle

    def wait(self, handles: Sequence[object], timeout_s: float) -> list[object]:
        done, _ = self._ray.wait(list(handles), num_returns=1, timeout=timeout_s)
        for handle in done:
            self._waiting.pop(handle, None)
        if not done:
            self._check_cluster()
        return list(done)

    def result(self, handle: object) -> Any:
        exceptions = self._ray.exceptions
        try:
            value, error = self._ray.get(handle)
        except exceptions.NodeDiedError as death:
            raise NodeLostError("the node went away under its task") from death
        except exceptions.LocalRayletDiedError as death:
            raise TryAgainError(
                "Ray's node process (raylet) of this machine was killed, or died; what is committed stays: "
                "start the same command again"
            ) from death
        except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as death:
            raise WorkerDiedError(f"the worker died under its task: {type(death).__name__}") from death
        except exceptions.TaskCancelledError as end:
            raise WorkerDiedError("the call was taken back") from end
        except exceptions.RayTaskError as failure:
            raise TaskFailedError(str(failure)) from None
        if error is not None:
            raise error
        return value

    def has_begun(self, handle: object) -> bool:
        return self._head is None or self._node_of(handle) is not None

    def cancel(self, handle: object) -> None:
        self._waiting.pop(handle, None)
        self._ray.cancel(handle, force=True)

    def close(self) -> None:
        if self._head is None or not self._head.is_lost:
            self._ray.shutdown()
            if self._head is not None:
                self._head.close()

    def _is_gpu_asked_for(self, place: Place) -> bool:
        """Where there is one; of a cluster, which may grow, also where the call can do nothing without."""
        if self._head is None:  # alone, this machine is every kind of node
            return self._offers.has_gpus(None)
        return place.needs_gpu or self._offers.has_gpus(place.node)

    def _asked_of_nodes(self, place: Place) -> dict[str, Any]:
        """Memory that is kept free, and the labels that a node must have, or must not."""
        asked: dict[str, Any] = {} if place.memory_mb is None else {"memory": place.memory_mb * 2**20}
        selected = {} if place.node is None else {NODE_LABEL: place.node}
        node = None if place.away_from is None else self._node_of(place.away_from)
        if node is not None and self._has_another(place):
            selected["ray.io/node-id"] = f"!{node}"
        return asked | ({"label_selector": selected} if selected else {})

    def _has_another(self, place: Place) -> bool:
        return sum(node.cpus > 0 and place.node in (None, node.label) for node in self.nodes) > 1

    def _node_of(self, handle: Any) -> str | None:
        """On which node of a cluster a call runs, as its worker told the head."""
        if self._head is None or not self._head.is_there():
            return None
        told = self._ray.experimental.internal_kv._internal_kv_get(_key(handle.task_id().hex()))
        return told.decode() if told else None

    def _check_cluster(self) -> None:
        """Nothing ended for a while: is the head there, and is there a node for what waits?"""
        if self._head is None or self._head.is_there():
            for asked in set(self._waiting.values()):
                self._offers.check(*asked)

    def _living_nodes(self) -> Sequence[Node]:
        if self._head is not None and not self._head.is_there():
            return ()
        return [Node.of(told) for told in self._ray.nodes() if told["Alive"]]


def _call(around: Around, function: Callable[..., Any], *arguments: object) -> tuple[Any, CurateError | None]:
    """In the worker. On a cluster the head is told where the call runs, for as long as it does."""
    if not around.versions:
        return make_call(around, "", function, *arguments)
    ray = _imported_ray()
    context, told = ray.get_runtime_context(), ray.experimental.internal_kv
    key = _key(context.get_task_id())
    told._internal_kv_put(key, context.get_node_id())
    try:
        return make_call(around, ray.util.get_node_ip_address(), function, *arguments)
    finally:
        with suppress(ray.exceptions.RpcError):
            told._internal_kv_del(key)


def _imported_ray() -> Any:
    import ray

    return ray


def _key(task: str) -> str:
    return f"curate-call-{task}"
