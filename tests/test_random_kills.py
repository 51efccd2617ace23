"""Processes of every kind killed at random: the same bytes, nothing committed asked again, little asked twice.

Twenty-five kills here; `python -m tests.random_kills --kills 100` makes a hundred, and prints the figures.
"""

from pathlib import Path

import pytest

from tests.random_kills import SHARES, Killing, kill_at_random, kind_of

NUM_KILLS = 25


@pytest.mark.slow
def test_whatever_dies_and_whenever_the_release_is_the_same(tmp_path: Path) -> None:
    figures = kill_at_random(tmp_path, NUM_KILLS, seed=8)
    assert sum(figures["kills"].values()) == NUM_KILLS
    assert figures["kills"].keys() == SHARES.keys()
    assert figures["repeated"] <= figures["in_flight"]


@pytest.mark.parametrize("num_kills", [25, 40, 100])
def test_kills_are_dealt_to_every_kind(num_kills: int) -> None:
    left = Killing.of(num_kills, seed=0).left
    assert left.total() == num_kills
    assert min(left[kind] for kind in SHARES) >= 1
    assert num_kills < 100 or left == SHARES


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (b"/x/ray/raylet/raylet\0--raylet_socket_name=a", "raylet"),
        (b"/x/ray/gcs/gcs_server\0--log_dir=a", "head"),
        (b"ray::_call()\0", "worker"),
        (b"ray::IDLE\0", None),
        (b"ray::DashboardAgent\0", None),
        (b"python\0-P\0-c\0from crawler.crawl.child import main; main()\0001", "scrapy"),
        (b"python\0-P\0-c\0from crawler.parse_child import main; main()\0001", "parse"),
        (b"python\0-c\0print()", None),
        (b"", None),
    ],
)
def test_a_process_is_known_by_its_command(command: bytes, kind: str | None) -> None:
    assert kind_of(command) == kind
