"""Draws by name: the same for a key wherever it lies, uniform, apart from one name to another, and nested by share."""

import numpy as np
import pyarrow as pa
import pytest

from shards.draws import below_share, draws_of, group_keys
from shards.schema import uid_of

UIDS = pa.array([uid_of(str(number)) for number in range(20_000)])


def test_a_draw_is_of_its_key_and_name_alone() -> None:
    assert draws_of(UIDS, "a").tolist() == [int(draws_of(UIDS.slice(n, 1), "a")[0]) for n in range(len(UIDS))]
    assert draws_of(pa.array(["0" * 32, "f" * 64]), "split").tolist() == [2144917489443610332, 4503092022666026719]
    assert draws_of(pa.array([], pa.string()), "a").tolist() == []
    assert draws_of(pa.chunked_array([UIDS.slice(0, 2), UIDS.slice(2, 1)]), "a").tolist() == [
        *draws_of(UIDS.slice(0, 3), "a").tolist()
    ]


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_a_share_is_about_as_large_as_it_says(share: float) -> None:
    found = below_share(draws_of(UIDS, "split"), share).mean()
    assert abs(found - share) < 5 * np.sqrt(share * (1 - share) / len(UIDS))


def test_a_smaller_share_lies_in_a_larger_one_and_two_names_are_independent() -> None:
    draws = draws_of(UIDS, "subset")
    assert not (below_share(draws, 0.1) & ~below_share(draws, 0.2)).any()
    both = (below_share(draws, 0.3) & below_share(draws_of(UIDS, "split"), 0.3)).mean()
    assert abs(both - 0.09) < 0.01


def test_what_must_not_be_parted_has_one_key() -> None:
    rows = [
        {"uid": "1", "sha256": "a", "dup_group": "g"},
        {"uid": "2", "sha256": "b", "dup_group": "g"},
        {"uid": "3", "sha256": "c", "dup_group": None},
        {"uid": "4", "sha256": None, "dup_group": None},
    ]
    schema = pa.schema([(name, pa.string()) for name in ("uid", "sha256", "dup_group")])
    assert group_keys(pa.Table.from_pylist(rows, schema=schema)).to_pylist() == ["g", "g", "c", "4"]
