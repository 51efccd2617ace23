"""Clusters of unit vectors: spherical k-means on a sample, in sums that come out the same on every machine.

Vectors are cut to whole multiples of 2^-11. Products of such numbers, and whatever part of a cosine's sum is added up
first, are multiples of 2^-22 and at most 1 (Cauchy and Schwarz): float32 holds them without rounding. So neither BLAS
nor threads nor what shares a block decides which centroid is nearest.
"""

import math

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.floating]
"""float16 or float32 [n, d], L2-normalised."""

Ints = npt.NDArray[np.int64]
_Whole = npt.NDArray[np.float32]

_STEPS = 2.0**11
_ROUNDS = 12
"""Rounds of k-means, if centroids still move: later ones change little in who shares a cluster with whom."""

_CROWDED = 4
"""How many times the mean a cluster may hold of the sample, before it is cut again."""

_BLOCK_COSINES = 2**22
"""Cosines in memory at a time: 16 MiB."""


def num_clusters_for(num_rows: int) -> int:
    """Where finding a sample's cluster costs as much as comparing it with the half of the cluster before it."""
    return max(1, math.ceil(math.sqrt(num_rows / 2)))


def train_centroids(vectors: Vectors, num_clusters: int) -> Vectors:
    """float32 [k, d]: `num_clusters`, or as many as there are vectors; more where a crowded cluster is cut again.

    The first vectors are the first centroids: they should come in an order that says nothing of them, as uids do.
    """
    points = _whole(vectors)
    centroids = _trained(points, num_clusters)
    return _crowded_cut_again(points, centroids) / np.float32(_STEPS)


def nearest_centroids(vectors: Vectors, centroids: Vectors) -> Ints:
    """The number of each vector's nearest centroid, the first of equally near ones: int64 [n]."""
    their_points = _whole(centroids)
    size = _block_rows(len(centroids))
    starts = range(0, len(vectors), size)
    blocks = [_nearest(_whole(vectors[start : start + size]), their_points)[0] for start in starts]
    return np.concatenate([np.zeros(0, np.int64), *blocks])


def _whole(vectors: Vectors) -> _Whole:
    """Whole numbers, as float32 holds them."""
    points = vectors.astype(np.float32)
    points *= np.float32(_STEPS)
    return np.rint(points, out=points)


def _trained(points: _Whole, num_clusters: int) -> _Whole:
    centroids = points[:num_clusters].copy()
    for _ in range(_ROUNDS):
        nearest, cosines = _nearest(points, centroids)
        moved = _centres(points, nearest, cosines, centroids)
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids


def _crowded_cut_again(points: _Whole, centroids: _Whole) -> _Whole:
    """What all of a cluster are compared with grows with its square: many times the mean is too much for one task."""
    nearest, _ = _nearest(points, centroids)
    sizes = np.bincount(nearest, minlength=len(centroids))
    mean = len(points) / max(1, len(centroids))
    pieces = [centroids[sizes <= _CROWDED * mean]]
    for cluster in np.flatnonzero(sizes > _CROWDED * mean):
        pieces.append(_trained(points[nearest == cluster], math.ceil(sizes[cluster] / mean)))
    return np.concatenate(pieces)


def _nearest(points: _Whole, centroids: _Whole) -> tuple[Ints, _Whole]:
    """The nearest centroid of each point, and its cosine in units of 2^-22."""
    nearest, cosines = np.empty(len(points), np.int64), np.empty(len(points), np.float32)
    size = _block_rows(len(centroids))
    for start in range(0, len(points), size):
        block = points[start : start + size] @ centroids.T
        found = block.argmax(axis=1)
        nearest[start : start + size] = found
        cosines[start : start + size] = np.take_along_axis(block, found[:, None], axis=1)[:, 0]
    return nearest, cosines


def _block_rows(num_centroids: int) -> int:
    return max(64, _BLOCK_COSINES // max(1, num_centroids))


def _centres(points: _Whole, nearest: Ints, cosines: _Whole, before: _Whole) -> _Whole:
    """The mean direction of each cluster's points; the points that are served worst open the empty clusters anew."""
    from scipy.sparse import csr_array

    ones = np.ones(len(points), np.float32)
    members = csr_array((ones, (nearest, np.arange(len(points)))), shape=(len(before), len(points)))
    sums = np.asarray(members @ points, np.float64)
    lengths = np.sqrt(np.square(sums).sum(axis=1))
    centres = before.copy()
    has_direction = lengths > 0
    centres[has_direction] = np.rint(sums[has_direction] * (_STEPS / lengths[has_direction, None]))
    empty = np.flatnonzero(np.bincount(nearest, minlength=len(before)) == 0)
    centres[empty] = points[np.argsort(cosines, kind="stable")[: len(empty)]]
    return centres
