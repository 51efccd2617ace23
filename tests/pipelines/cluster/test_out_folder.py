"""A folder of one machine is refused on a cluster, unless it is said to be shared; object stores never are."""

from pathlib import Path

import pytest

from pipelines.cluster.call import Around, make_call
from pipelines.cluster.out_folder import check_out
from shards.errors import UsageError


@pytest.mark.parametrize(
    ("out", "num_nodes", "is_shared", "is_refused"),
    [
        ("/data/run", 1, False, False),
        ("/data/run", 2, False, True),
        ("run", 2, False, True),
        ("/data/run", 2, True, False),
        ("s3://bucket/run", 2, False, False),
    ],
)
def test_who_may_write_where(out: str, num_nodes: int, is_shared: bool, is_refused: bool) -> None:
    if not is_refused:
        check_out(out, num_nodes, is_shared)
        return
    with pytest.raises(UsageError, match=r"the cluster has 2 nodes, .*; name an object store .*, or say --shared-out"):
        check_out(out, num_nodes, is_shared)


def test_a_machine_that_does_not_see_the_run_s_lease_does_no_part(tmp_path: Path) -> None:
    around = Around(shared_run=str(tmp_path))
    value, error = make_call(around, "10.0.0.7", len, "a part")
    assert value is None
    assert isinstance(error, UsageError)
    assert str(error).startswith(f"node 10.0.0.7 does not see {tmp_path}")
    (tmp_path / "lease.json").touch()
    assert make_call(around, "10.0.0.7", len, "a part") == (6, None)
