"""The simulation of large runs: one that is worked out by hand, and a small one that is really made."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "infra" / "bench"


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


scale = _module("simulated_scale")

# A million rows: parts of 10,000, a step that is one part for ever, and a shuffle.
FETCH = scale.Step(
    "fetch", parts=100, rows=1_000_000, files=200, bytes=10**9, record_bytes=0, cpu_s=3600, full_rows=10_000
)
ORDER = scale.Step("order", parts=1, rows=0, files=1, bytes=0, record_bytes=0, cpu_s=36)
SORT = scale.Step("sort", parts=1, rows=1_000_000, files=1, bytes=10**8, record_bytes=0, cpu_s=360, full_rows=1_000_000)
MEASURED = scale.Measured(
    rows=1_000_000,
    driver_ms_a_part=5.0,
    driver_bytes_a_part=2**20,
    resume_us_a_part=50.0,
    plan_bytes_a_part=50,
    footer_s_a_gb=18,
    steps=(FETCH, ORDER, SORT),
    shuffles=(scale.Shuffle("sort", group_footer_bytes=1000, columns=9, max_over_mean=1.5),),
    kept_share=0.5,
    image_bytes=50_000,
    single=frozenset({"order"}),
)


def test_a_thousand_times_the_rows_are_worked_out_as_by_hand() -> None:
    found = scale.extrapolated(MEASURED, 1e9)
    assert found["parts"] == 100_000 + 1 + 1000
    assert found["objects"] == (200_000 + 1 + 1000) + 101_001
    assert found["driver_hours"] == pytest.approx(101_001 * 5 / 3.6e6)
    assert found["driver_memory_gib"] == pytest.approx(101_001 / 1024)
    assert found["resume_s"] == pytest.approx(5.05005)
    assert found["listing_requests"] == 101
    assert found["metadata_tb"] == pytest.approx(1.1)
    assert found["image_tb"] == pytest.approx(50)  # half of them kept, in a tar and in a shard
    assert found["footer_task_hours"] == pytest.approx(0.005)  # 1,000 footers of a megabyte
    assert found["footer_core_hours"] == pytest.approx(5)
    assert found["cpu_core_hours"] == pytest.approx(1110 + 5)
    assert (found["longest_task"], found["longest_task_hours"]) == ("order", pytest.approx(10))
    assert found["bucket_rows"] == pytest.approx(1.5e6)
    assert found["shuffle_requests"] == pytest.approx(1000 * 1000 * 10)
    assert found["shuffles"][0]["footer_share"] == pytest.approx(10.0)  # a gigabyte over 100 MB of a bucket's rows
    assert found["dollars"]["storage_month"] == pytest.approx(51_100 * 0.023)
    assert found["dollars"]["puts"] == pytest.approx((201_001 + 2 * 101_001) / 1000 * 0.005)
    assert found["broken"] == ["driver_memory_gib"]


def test_what_breaks_first_is_named_with_its_rows() -> None:
    breaks = scale.first_to_break(MEASURED)
    assert [name for name, _ in breaks][:2] == ["driver_memory_gib", "task_hours"]
    assert dict(breaks)["footer_task_hours"] == pytest.approx(200**0.5 * 1e9, rel=0.05)  # it grows by the square
    assert dict(breaks)["driver_memory_gib"] == pytest.approx(16 * 1024 / 101 * 1e6, rel=0.05)
    assert dict(breaks)["task_hours"] == pytest.approx(2.4e9, rel=0.05)


@pytest.mark.parametrize(
    ("price", "paid"), [("gb_month", "storage_month"), ("put_per_1000", "puts"), ("get_per_1000", "gets")]
)
def test_a_price_is_a_parameter(price: str, paid: str) -> None:
    dear = replace(scale.Prices(), **{price: 2 * getattr(scale.Prices(), price)})
    before, after = (scale.extrapolated(MEASURED, 1e9, prices)["dollars"] for prices in (scale.Prices(), dear))
    assert after[paid] == pytest.approx(2 * before[paid])
    assert {name for name in before if before[name] != after[name]} == {paid}


def test_parts_that_were_not_full_are_taken_for_full_ones() -> None:
    small = replace(
        MEASURED, rows=10_000, steps=(replace(FETCH, rows=10_000, parts=16), ORDER, replace(SORT, rows=10_000))
    )
    assert scale.extrapolated(small, 1e9)["parts"] == scale.extrapolated(MEASURED, 1e9)["parts"]


@pytest.mark.slow
def test_a_small_run_is_made_and_told_in_one_line_of_json() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH / "simulate.py"), "--quick"],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=600,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() == {"name", "machine", "ours", "peer", "ratio", "aim", "met"}
    (run,) = found["ours"]["runs"]
    assert run["steps"]["admit"]["rows"] < run["rows"] == run["steps"]["collect"]["rows"]
    assert run["steps"]["fetch"]["rows"] == run["steps"]["score"]["rows"] > run["kept"] > 0
    assert all(run["steps"][step]["bytes"] > 0 for step in ("collect", "measure", "dedup", "select", "release"))
    assert run["shuffles"].keys() == {"admit-shuffle", "dedup-shuffle", "select-shuffle"}
    assert min(run[name] for name in ("driver_ms_a_part", "resume_us_a_part", "listing_us_a_part", "peak_mib")) > 0
    assert [told["rows"] for told in found["ours"]["extrapolated"]] == [1e9, 1e10]
    assert found["ours"]["breaks"]
