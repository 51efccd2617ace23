"""A head that is gone ends the run with a word of ours, before Ray ends the process without one."""

import socket
import threading
from collections.abc import Iterator

import pytest

from pipelines.cluster.head import LAST_WORD_S, PATIENCE_S, HeadWatch
from pipelines.cluster.joining import join_cluster
from shards.errors import TryAgainError, UsageError


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_head_that_comes_back_is_forgiven_and_one_that_stays_away_is_not(listening: socket.socket) -> None:
    now = 0.0
    port = listening.getsockname()[1]
    head = HeadWatch(f"127.0.0.1:{port}", lambda: now)
    now = 10.0
    assert head.is_there()
    listening.close()
    now = 11.0
    assert head.is_there(), "it is asked now and then"
    now = 20.0
    assert not head.is_there()
    assert head.is_lost
    with socket.create_server(("127.0.0.1", port)):
        now = 25.0
        assert head.is_there()
    now = 25.0 + PATIENCE_S
    assert not head.is_there()
    now += 3.0
    with pytest.raises(TryAgainError, match=rf"the head of the Ray cluster at 127\.0\.0\.1:{port} has not answered"):
        head.is_there()


def test_a_process_that_waits_in_ray_is_ended_with_a_word(
    listening: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    ended: list[int] = []
    over = threading.Event()

    def end(exit_code: int) -> None:
        ended.append(exit_code)
        over.set()

    head = HeadWatch(f"127.0.0.1:{listening.getsockname()[1]}", lambda: now)
    head.guard(end, ask_every_s=0.01)
    assert not over.wait(0.2)
    listening.close()
    now = LAST_WORD_S + 1
    assert over.wait(30)
    assert ended == [75]
    assert capsys.readouterr().err.startswith("curate: the head of the Ray cluster at 127.0.0.1:")


def test_a_guard_that_is_closed_ends_nothing(listening: socket.socket) -> None:
    ended: list[int] = []
    head = HeadWatch(f"127.0.0.1:{listening.getsockname()[1]}", lambda: 0.0)
    head.guard(ended.append, ask_every_s=0.01)
    head.close()
    listening.close()
    assert ended == []


def test_an_address_where_nobody_listens_is_told_at_once(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    listening.close()
    with pytest.raises(UsageError, match=rf"--address 127\.0\.0\.1:{port}: no Ray cluster answers there"):
        join_cluster(None, f"127.0.0.1:{port}")
