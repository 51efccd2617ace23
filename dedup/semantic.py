"""SemDeDup's measure: how near each sample's embedding is to one that comes before it in its cluster.

Abbas et al. 2023, arXiv 2303.09540. Everybody in a cluster is compared with all who come before, those included who
are near to somebody themselves: a chain of small changes is one duplicate after another.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dedup.clusters import Ints, Vectors

_PANEL_ROWS = 8192
_BLOCK_ROWS = 512
"""So many samples are compared with one panel of those before them at a time: 16 MiB of cosines."""

_DIGITS = 4


class Nearest(NamedTuple):
    """Of each sample, who is nearest of those before it: `cosines` float64 [n], 0.0-1.0, rounded to 1e-4; `places` [n].

    Where nobody is before it, or nobody within a right angle, the cosine is 0.0 and the place -1.
    """

    cosines: npt.NDArray[np.float64]
    places: Ints


def nearest_before(vectors: Vectors, clusters: Ints) -> Nearest:
    """Compares inside clusters, whose rows lie together, first who is to stay. No vector may be zero or NaN."""
    places = np.full(len(vectors), -1, np.int64)
    edges = np.flatnonzero(np.diff(clusters, prepend=-1, append=-1)) if len(clusters) else np.zeros(0, np.int64)
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        inside = _places_in_cluster(vectors[start:end])
        places[start:end] = np.where(inside < 0, -1, inside + start)
    return Nearest(_cosines_of(vectors, places), places)


def _places_in_cluster(vectors: Vectors) -> Ints:
    """Who is nearest of all before; -1 for nobody. The whole cluster is never compared at once."""
    places = np.full(len(vectors), -1, np.int64)
    best = np.zeros(len(vectors), np.float32)
    for first in range(0, len(vectors), _PANEL_ROWS):
        panel = _unit(vectors[first : first + _PANEL_ROWS])
        for start in range(first, len(vectors), _BLOCK_ROWS):
            rows = _unit(vectors[start : start + _BLOCK_ROWS])
            cosines = rows @ panel[: start + len(rows) - first].T
            _forget_who_is_not_before(cosines, start - first)
            found = cosines.argmax(axis=1)
            nearest = cosines[np.arange(len(rows)), found]
            better = np.flatnonzero(nearest > best[start : start + len(rows)])
            best[start + better] = nearest[better]
            places[start + better] = first + found[better]
    return places


def _forget_who_is_not_before(cosines: npt.NDArray[np.float32], offset: int) -> None:
    """Row i stands at `offset` + i of the columns: itself and who comes after are no match."""
    rows, columns = np.triu_indices(len(cosines), 0, max(0, cosines.shape[1] - offset))
    cosines[rows, offset + columns] = -1.0


def _cosines_of(vectors: Vectors, places: Ints) -> npt.NDArray[np.float64]:
    """The cosine with the one in place, summed in float64: its last digit does not hang on how a product was cut."""
    cosines = np.zeros(len(vectors))
    matched = np.flatnonzero(places >= 0)
    for start in range(0, len(matched), _PANEL_ROWS):
        some = matched[start : start + _PANEL_ROWS]
        ones, others = vectors[some].astype(np.float32), vectors[places[some]].astype(np.float32)
        cosines[some] = _products(ones, others) / np.sqrt(_products(ones, ones) * _products(others, others))
    np.clip(cosines, 0.0, 1.0, out=cosines)
    return cosines.round(_DIGITS)


def _products(ones: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Row by row."""
    return np.asarray(np.einsum("nd,nd->n", ones, others, dtype=np.float64))


def _unit(vectors: Vectors) -> npt.NDArray[np.float32]:
    """float32, of length 1 again: float16 is off by some 1e-5."""
    wide: npt.NDArray[np.float32] = vectors.astype(np.float32)
    wide /= np.sqrt(np.einsum("nd,nd->n", wide, wide))[:, None]
    return wide
