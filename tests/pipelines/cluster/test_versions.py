"""Nodes must have the driver's packages: all that every stage needs, and of extras those that are there."""

import platform

import pytest

from pipelines.cluster.versions import expected_versions, mismatch, versions_of

DRIVER = {"python": "3.12", "pyarrow": "26.0", "torch": "2.13.0"}
NEEDED = frozenset({"python", "pyarrow"})


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (DRIVER, None),
        (DRIVER | {"beside": "1.0"}, None),
        ({"python": "3.12", "pyarrow": "26.0"}, None),  # a node for crawling needs no torch
        (DRIVER | {"torch": "2.12.0"}, "torch 2.12.0 (driver: 2.13.0)"),
        ({"python": "3.11", "torch": "2.13.0"}, "python 3.11 (driver: 3.12), pyarrow is missing (driver: 26.0)"),
    ],
)
def test_what_differs_is_told_by_name(node: dict[str, str], expected: str | None) -> None:
    assert mismatch(DRIVER, NEEDED, node) == expected


def test_the_driver_asks_for_what_the_wheel_asks_for() -> None:
    versions, needed = expected_versions()
    assert {"python", "pyarrow", "duckdb", "pillow", "numpy"} <= needed
    assert needed <= set(versions), "all of it is installed where tests run"
    assert not {"torch", "pytest", "curate"} & needed
    assert mismatch(versions, needed, versions_of(set(versions) - {"python"})) is None
    assert versions["python"] == ".".join(platform.python_version_tuple()[:2])


def test_a_build_for_a_processor_is_of_the_same_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.cluster.versions.version", lambda name: f"2.13.0+{name}")
    assert versions_of({"cpu"})["cpu"] == "2.13.0"
