"""What the nodes of a cluster offer, and how long a run waits for one that offers what a stage asks for."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.cluster.place import Place
from pipelines.cluster.settings import NODE_LABEL
from shards.errors import TryAgainError

_MIB = 2**20
_ASK_EVERY_S = 5.0


@dataclass(frozen=True)
class Node:
    """A living node: its name, the value of its label, and all that it has, in use or not."""

    name: str
    label: str | None
    cpus: float
    gpus: float
    memory_mb: int

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Node":
        """From what Ray tells of a node."""
        has = told["Resources"]
        name = f"{told['NodeManagerAddress']} ({told['NodeID'][:8]})"
        memory_mb = int(has.get("memory", 0)) // _MIB
        return cls(name, told["Labels"].get(NODE_LABEL), has.get("CPU", 0.0), has.get("GPU", 0.0), memory_mb)

    def offers(self, place: Place, cpus: float, gpus: float) -> bool:
        """Whether a call that asks for this could ever run here."""
        is_named = place.node is None or place.node == self.label
        return is_named and self.cpus >= cpus and self.gpus >= gpus and self.memory_mb >= (place.memory_mb or 0)


class Offers:
    """Looks at the living nodes now and then, and remembers since when nobody offers what is asked for."""

    def __init__(
        self, living: Callable[[], Sequence[Node]], wait_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._living, self._wait_s, self._clock = living, wait_s, clock
        self._nodes: Sequence[Node] = ()
        self._looked: float | None = None
        self._lacking: dict[tuple[Place, float, float], float] = {}
        self._gpu_labels: set[str | None] = set()

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes that lived a moment ago."""
        now = self._clock()
        if self._looked is None or now - self._looked >= _ASK_EVERY_S:
            self._nodes, self._looked = self._living(), now
        return self._nodes

    def has_gpus(self, label: str | None) -> bool:
        """Whether a node with the label (None: any node) has a GPU, or had one: what went away may come back."""
        self._gpu_labels.update(node.label for node in self.nodes if node.gpus)
        return bool(self._gpu_labels) if label is None else label in self._gpu_labels

    def check(self, place: Place, cpus: float, gpus: float) -> None:
        """Raises `TryAgainError` once no node has offered this for as long as a run waits: one may be on its way."""
        asked = (place, cpus, gpus)
        if any(node.offers(place, cpus, gpus) for node in self.nodes):
            self._lacking.pop(asked, None)
            return
        now = self._clock()
        if now - self._lacking.setdefault(asked, now) >= self._wait_s:
            raise TryAgainError(
                f"no node offers {_told(place, cpus, gpus)}, after waiting {self._wait_s:.0f} s "
                f"(resources.wait_for_nodes_s); there are: {_all_told(self._nodes)}. Start one, "
                "or change `resources` in the recipe, then run again: it resumes"
            )


def _told(place: Place, cpus: float, gpus: float) -> str:
    parts = [f"label {NODE_LABEL}={place.node}"] if place.node is not None else []
    parts.append(f"{cpus:g} CPU")
    parts += [f"{gpus:g} GPU"] if gpus else []
    parts += [f"{place.memory_mb} MiB of memory"] if place.memory_mb else []
    return ", ".join(parts)


def _all_told(nodes: Sequence[Node]) -> str:
    offers = sorted({_told(Place(node.label, node.memory_mb), node.cpus, node.gpus) for node in nodes})
    return "; ".join(offers) or "no nodes"
