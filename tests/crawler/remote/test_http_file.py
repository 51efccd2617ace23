"""Files on web servers read in ranges: from the byte reached after a fault, guarded, and with errors that teach."""

import io
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crawler.remote.http_file import HttpFile
from crawler.remote.range_client import MissingFileError, RangeClient
from crawler.remote.reach import Reach
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings, PerHost
from shards.errors import BadInputError, TryAgainError
from tests.crawler.conftest import Request, Server, raw
from tests.crawler.remote.range_server import AGENT, client_of, ranged, reach_to

DATA = random.Random(1).randbytes(300_000)


def test_a_file_is_read_to_its_end_in_one_request(server: Server) -> None:
    server.pages["/f"] = ranged(DATA)
    with client_of(server) as client:
        assert HttpFile(client, server.url("/f")).read() == DATA
    assert server.asked("/f") == 1
    assert server.log[0].headers["user-agent"] == AGENT


def test_after_a_fault_it_goes_on_at_the_byte_that_was_reached(server: Server) -> None:
    server.pages["/f"] = ranged(DATA, breaks_after=lambda attempt: 100_000 if attempt < 3 else None)
    with client_of(server, retries=1) as client:
        assert HttpFile(client, server.url("/f")).read() == DATA
    assert [request.headers["range"] for request in server.log] == ["bytes=0-", "bytes=100000-", "bytes=200000-"]


def test_a_range_ends_where_it_was_asked_to_end(server: Server) -> None:
    server.pages["/f"] = ranged(DATA)
    with client_of(server) as client:
        file = HttpFile(client, server.url("/f"), start=10, stop=20)
        assert (file.read(4), file.read(100), file.read(1)) == (DATA[10:14], DATA[14:20], b"")
        assert HttpFile(client, server.url("/f"), start=len(DATA) + 5, stop=len(DATA) + 9).read() == b""
        assert HttpFile(client, server.url("/f"), start=len(DATA) - 3, stop=len(DATA) + 9).read() == DATA[-3:]


def test_parquet_is_read_by_its_footer_and_its_columns_alone(server: Server, tmp_path: Path) -> None:
    table = pa.table({"a": list(range(1000)), "b": [DATA[:1000]] * 1000})
    pq.write_table(table, tmp_path / "t.parquet", compression="none", use_dictionary=False)
    data = (tmp_path / "t.parquet").read_bytes()
    server.pages["/t"] = ranged(data)
    with client_of(server) as client:
        file = HttpFile(client, server.url("/t"), is_streamed=False)
        assert pq.ParquetFile(pa.PythonFile(file, mode="r")).read(["a"])["a"].to_pylist() == list(range(1000))
    asked = [request.headers["range"].removeprefix("bytes=").split("-") for request in server.log]
    assert sum(int(stop) - int(start) for start, stop in asked) < len(data) / 10


def test_a_gap_is_read_over_and_a_jump_is_asked_for(server: Server) -> None:
    server.pages["/f"] = ranged(DATA)
    with client_of(server) as client:
        file = HttpFile(client, server.url("/f"))
        file.read(10)
        file.seek(1000)
        assert file.read(10) == DATA[1000:1010]
        file.seek(-10, io.SEEK_END)
        assert file.read() == DATA[-10:]
    assert server.asked("/f") == 2


@pytest.mark.parametrize("status", ["500 Oops", "503 Slow Down", "429 Too Many Requests"])
def test_what_may_pass_is_tried_again(server: Server, status: str) -> None:
    whole = ranged(DATA)

    def first_busy(request: Request) -> None:
        whole(request) if request.attempt > 2 else request.answer(b"busy", status)

    server.pages["/f"] = first_busy
    with client_of(server, retries=2) as client:
        assert HttpFile(client, server.url("/f")).read(10) == DATA[:10]


def test_a_server_that_stays_away_ends_with_try_again(server: Server) -> None:
    server.pages["/f"] = lambda request: request.answer(b"", "503 Slow Down")
    with client_of(server, retries=3) as client, pytest.raises(TryAgainError, match=r"503, 4 attempts at byte 0"):
        HttpFile(client, server.url("/f")).read(1)
    assert server.asked("/f") == 4


def test_attempts_go_on_for_as_long_as_there_is_patience(server: Server) -> None:
    waits: list[float] = []
    server.pages["/f"] = lambda request: request.answer(b"", "503 Slow Down")
    client = RangeClient(reach_to(server, retries=0, backoff_s=1.0, outage_patience_s=10.0), waits.append)
    with client, pytest.raises(TryAgainError):
        HttpFile(client, server.url("/f")).read(1)
    assert waits == [1.0, 2.0, 4.0]  # 8 more would be beyond 10


@pytest.mark.parametrize(("asked_s", "waits"), [("7", [7.0]), ("61", [])])
def test_retry_after_is_waited_up_to_its_bound(server: Server, asked_s: str, waits: list[float]) -> None:
    whole = ranged(DATA)
    slept: list[float] = []

    def first_busy(request: Request) -> None:
        whole(request) if request.attempt > 1 else request.answer(b"", "503 Busy", {"Retry-After": asked_s})

    server.pages["/f"] = first_busy
    with RangeClient(reach_to(server, outage_patience_s=100.0), slept.append) as client:
        file = HttpFile(client, server.url("/f"))
        if waits:
            assert file.read(3) == DATA[:3]
        else:
            with pytest.raises(TryAgainError):
                file.read(3)
    assert slept == waits


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("404 Not Found", "is not there"),
        ("410 Gone", "is not there"),
        ("403 Forbidden", "refuses it"),
        ("401 No", "401"),
    ],
)
def test_what_will_not_pass_is_bad_input_at_once(server: Server, status: str, told: str) -> None:
    server.pages["/f"] = lambda request: request.answer(b"", status)
    with client_of(server) as client, pytest.raises(BadInputError, match=told) as caught:
        HttpFile(client, server.url("/f")).read(1)
    assert server.asked("/f") == 1
    assert isinstance(caught.value, MissingFileError) == (told == "is not there")


def test_a_server_without_ranges_is_told_where_one_is_needed(server: Server) -> None:
    server.pages["/f"] = lambda request: request.answer(DATA)
    with client_of(server) as client:
        assert HttpFile(client, server.url("/f")).read() == DATA
        with pytest.raises(BadInputError, match="does not give ranges"):
            HttpFile(client, server.url("/f"), start=5).read(1)


def test_a_file_that_changes_meanwhile_is_never_mixed(server: Server) -> None:
    old = ranged(DATA, breaks_after=lambda attempt: 50)
    new = ranged(DATA, mark='"2"')
    server.pages["/f"] = lambda request: (old if request.attempt == 1 else new)(request)
    with client_of(server) as client, pytest.raises(TryAgainError, match="another file came in its place"):
        HttpFile(client, server.url("/f")).read()


def test_a_private_address_is_refused_before_any_contact(server: Server) -> None:
    client = RangeClient(Reach(crawler=CrawlerSettings(user_agent=AGENT)))
    with client, pytest.raises(BadInputError, match="allow_private"):
        HttpFile(client, server.url("/f")).read(1)
    assert server.num_contacts == 0


def test_each_hop_of_a_redirect_is_guarded(server: Server, canary: Server) -> None:
    server.pages["/f"] = lambda request: request.answer(b"", "302 Found", {"Location": canary.url("/f")})
    with client_of(server) as client, pytest.raises(BadInputError, match="allow_private"):
        HttpFile(client, server.url("/f")).read(1)
    assert canary.num_contacts == 0


def test_a_redirect_is_followed_and_an_endless_one_is_not(server: Server) -> None:
    server.pages["/f"] = lambda request: request.answer(b"", "302 Found", {"Location": "/g"})
    server.pages["/g"] = ranged(DATA)
    server.pages["/h"] = lambda request: request.answer(b"", "302 Found", {"Location": "/h"})
    with client_of(server) as client:
        assert HttpFile(client, server.url("/f")).read(5) == DATA[:5]
        with pytest.raises(BadInputError, match="more than 5 redirects"):
            HttpFile(client, server.url("/h")).read(5)


def test_an_answer_that_is_no_http_may_pass(server: Server) -> None:
    server.pages["/f"] = raw(b"\x00\x01\x02 nonsense\r\n\r\n")
    with client_of(server, retries=1) as client, pytest.raises(TryAgainError):
        HttpFile(client, server.url("/f")).read(1)


def test_a_connection_is_used_again(server: Server) -> None:
    """Each handler closes here, so that the second request meets a connection that is gone: no fault of its own."""
    server.pages["/f"] = ranged(DATA)
    with client_of(server, retries=0) as client:
        for start in (0, 100, 200):
            assert HttpFile(client, server.url("/f"), start=start, stop=start + 10).read() == DATA[start : start + 10]


def test_requests_keep_the_gap_of_the_host(server: Server) -> None:
    server.pages["/f"] = ranged(DATA)
    waits: list[float] = []
    reach = Reach(
        NetworkSettings(allow_private=[server.address]),
        CrawlerSettings(user_agent=AGENT, per_host=PerHost(delay_s=50.0, concurrency=2)),
        FetchSettings(),
        lanes=2,
    )
    with RangeClient(reach, waits.append) as client:
        for start in (0, 10):
            HttpFile(client, server.url("/f"), start=start, stop=start + 1).read()
    assert len(waits) == 1
    assert 95 < waits[0] <= 100
