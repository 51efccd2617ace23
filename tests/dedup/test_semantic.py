"""The nearest before each sample in its cluster, against comparing all with all."""

import numpy as np
import pytest

from dedup import semantic
from dedup.clusters import Ints, Vectors
from dedup.semantic import nearest_before
from tests.dedup.test_clusters import unit_vectors


def by_brute_force(vectors: Vectors, clusters: Ints) -> list[float]:
    """Row by row, in float64."""
    wide = vectors.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1)[:, None]
    found = []
    for row in range(len(wide)):
        before = [other for other in range(row) if clusters[other] == clusters[row]]
        found.append(max([0.0, *(wide[before] @ wide[row]).tolist()]))
    return np.round(np.minimum(found, 1.0), 4).tolist() if found else []


@pytest.mark.parametrize("panel", [8192, 40])
@pytest.mark.parametrize("block", [512, 7])
@pytest.mark.parametrize("sizes", [[], [1], [2], [1, 300, 1, 40, 41, 39], [7, 8, 6]])
def test_cosines_are_those_of_brute_force(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], block: int, panel: int
) -> None:
    monkeypatch.setattr(semantic, "_BLOCK_ROWS", block)
    monkeypatch.setattr(semantic, "_PANEL_ROWS", panel)
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    vectors = unit_vectors(len(clusters), 16, around=5) if sizes else np.zeros((0, 16), np.float16)
    found = nearest_before(vectors, clusters)
    assert found.cosines.tolist() == by_brute_force(vectors, clusters)
    matched = np.flatnonzero(found.places >= 0)
    assert (found.places[matched] < matched).all()
    assert (clusters[found.places[matched]] == clusters[matched]).all()
    assert (found.cosines[found.places < 0] == 0.0).all()


def test_every_planted_pair_inside_a_cluster_is_found() -> None:
    random = np.random.default_rng(3)
    originals = unit_vectors(500, 64)
    copies = originals + random.normal(scale=0.002, size=originals.shape)
    vectors = np.concatenate([originals, copies]).astype(np.float16)
    found = nearest_before(vectors, np.zeros(1000, np.int64))
    assert (found.cosines[:500] < 0.9).all()
    assert (found.cosines[500:] > 0.99).all()
    assert np.array_equal(found.places[500:], np.arange(500))


def test_a_chain_is_one_duplicate_after_another() -> None:
    """As SemDeDup has it: who is near to somebody before it is compared with all the same."""
    turns = np.deg2rad([0.0, 15.0, 30.0])
    chain = np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float16)
    found = nearest_before(chain, np.zeros(3, np.int64))
    assert found.places.tolist() == [-1, 0, 1]
    assert found.cosines == pytest.approx([0.0, 0.9659, 0.9659], abs=5e-4)


@pytest.mark.parametrize(("angle", "cosine", "place"), [(0.0, 1.0, 0), (90.0, 0.0, -1), (180.0, 0.0, -1)])
def test_equal_ones_have_1_and_right_angles_count_as_nobody(angle: float, cosine: float, place: int) -> None:
    turn = np.deg2rad(angle)
    pair = np.array([[1.0, 0.0], [round(np.cos(turn), 6), round(np.sin(turn), 6)]], np.float16)
    found = nearest_before(pair, np.zeros(2, np.int64))
    assert (found.cosines[1], found.places[1]) == (cosine, place)
