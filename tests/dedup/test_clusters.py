"""Clusters: the same whatever shares a block, whatever the order of sums; every vector in the nearest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import clusters
from dedup.clusters import Vectors, nearest_centroids, num_clusters_for, train_centroids


def unit_vectors(count: int, dimension: int, seed: int = 0, around: int = 0) -> Vectors:
    """Random directions, or directions near one of `around` others. float16 [n, d]."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, dimension))
    if around:
        vectors = 0.3 * vectors + random.normal(size=(around, dimension))[random.integers(0, around, count)]
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1)[:, None], np.float16)


@pytest.mark.parametrize(("rows", "expected"), [(0, 1), (1, 1), (2, 1), (200, 10), (200_000, 317), (10**9, 22_361)])
def test_clusters_grow_with_the_root_of_the_rows(rows: int, expected: int) -> None:
    assert num_clusters_for(rows) == expected


def test_vectors_around_centres_come_into_a_cluster_of_their_own() -> None:
    vectors = unit_vectors(600, 32, around=12)
    centroids = train_centroids(vectors, 40)
    assert centroids.shape == (40, 32)
    nearest = nearest_centroids(vectors, centroids)
    cosines = vectors.astype(np.float64) @ centroids.T
    assert np.allclose(cosines[np.arange(600), nearest], cosines.max(axis=1), atol=1e-2)
    assert len(np.unique(nearest)) == 40, "a cluster is empty"


@pytest.mark.parametrize(("count", "wanted", "left"), [(5, 9, 5), (1, 1, 1), (3, 1, 1)])
def test_there_are_no_more_clusters_than_vectors(count: int, wanted: int, left: int) -> None:
    vectors = unit_vectors(count, 8)
    centroids = train_centroids(vectors, wanted)
    assert len(centroids) == left
    assert np.isfinite(centroids).all()
    assert set(nearest_centroids(vectors, centroids).tolist()) <= set(range(left))


def test_equal_vectors_share_a_cluster() -> None:
    vectors = np.repeat(unit_vectors(1, 16), 50, axis=0)
    assert set(nearest_centroids(vectors, train_centroids(vectors, 7)).tolist()) == {0}


def test_a_crowded_cluster_is_cut_again() -> None:
    crowd = unit_vectors(1, 16).astype(np.float64) + np.random.default_rng(2).normal(scale=0.05, size=(900, 16))
    crowd /= np.linalg.norm(crowd, axis=1)[:, None]
    vectors = np.concatenate([unit_vectors(100, 16, seed=1), crowd.astype(np.float16)])
    centroids = train_centroids(vectors, 20)
    sizes = np.bincount(nearest_centroids(vectors, centroids))
    assert len(centroids) > 20
    assert sizes.max() < 0.3 * len(crowd)


def test_opposite_vectors_have_no_mean_and_do_no_harm() -> None:
    one = unit_vectors(1, 16)
    vectors = np.concatenate([one, -one])
    assert np.isfinite(train_centroids(vectors, 1)).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40), st.integers(64, 5000))
def test_blocks_change_nothing(count: int, wanted: int, block: int) -> None:
    vectors = unit_vectors(count, 24, seed=count, around=5)
    centroids = train_centroids(vectors, wanted)
    whole = nearest_centroids(vectors, centroids)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "_BLOCK_COSINES", block)
        assert np.array_equal(train_centroids(vectors, wanted), centroids)
        assert np.array_equal(nearest_centroids(vectors, centroids), whole)
    apart = [nearest_centroids(vectors[row : row + 1], centroids) for row in range(count)]
    assert np.array_equal(np.concatenate(apart), whole)


def test_sums_are_exact_in_float32() -> None:
    """What the module's docstring promises, of equal vectors at the worst: a cosine of 1."""
    points = clusters._whole(unit_vectors(64, 1024))
    exact = points.astype(np.float64) @ points.T.astype(np.float64)
    assert np.array_equal(points @ points.T, exact)
    assert np.abs(exact).max() < 2**23
