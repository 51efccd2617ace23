"""A store that does not answer, not to the end, or byte by byte: asked again, then given up, within bounds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shards.stores.bounded_call import within
from shards.stores.object_store import ObjectStore
from shards.stores.patience import Patience, StoreAwayError
from tests.hanging_store import BODY, BUCKET, FORMS, NUM_TRIES, Hanging, answer, hanging_store

ASKED: dict[str, Callable[[ObjectStore], object]] = {
    "read": lambda store: store.read("run/key"),
    "read_range": lambda store: store.read_range("run/key", 0, 10),
    "list": lambda store: list(store.list("run/")),
    "put": lambda store: store.put("run/key", BODY),
    "put_if_absent": lambda store: store.put_if_absent("run/key", BODY),
}


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Hanging]:
    with hanging_store(tmp_path) as server:
        yield server


def swift() -> ObjectStore:
    return ObjectStore(BUCKET, Patience(NUM_TRIES, first_rest_s=0, longest_rest_s=0))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("what", ASKED)
def test_a_store_that_hangs_is_given_up_with_its_bucket_named(hanging: Hanging, what: str, form: str) -> None:
    hanging.answers = [FORMS[form]]
    with pytest.raises(StoreAwayError, match=f"s3://{BUCKET}/run/.*failed {NUM_TRIES} times.*[Tt]ime") as caught:
        ASKED[what](swift())
    assert caught.value.exit_code == 75
    assert hanging.num_asked == NUM_TRIES


@pytest.mark.parametrize("form", FORMS)
def test_a_store_that_hung_for_a_moment_is_read(hanging: Hanging, form: str) -> None:
    hanging.answers = [FORMS[form], answer(BODY)]
    assert swift().read("run/key").data == BODY


def test_a_store_that_takes_its_time_to_fail_is_not_asked_for_hours(hanging: Hanging) -> None:
    now = iter([0.0, 60.0, 120.0, 180.0])
    patience = Patience(100, 0, 0, longest_s=150.0, clock=lambda: next(now))
    with pytest.raises(StoreAwayError, match="failed 3 times"):
        ObjectStore(BUCKET, patience).size("run/key")
    assert hanging.num_asked == 3


@pytest.mark.parametrize("what", ASKED)
def test_a_store_that_drips_is_given_up_with_its_bucket_named(hanging: Hanging, what: str) -> None:
    """Each byte comes before anybody's patience with that byte ends: the whole never would."""
    hanging.answers, hanging.drip_s = [answer(BODY)], 0.1
    patience = Patience(NUM_TRIES, 0, 0, longest_s=0.5)
    with pytest.raises(StoreAwayError, match=f"s3://{BUCKET}/run/.*failed 1 time, .* not done after 0.5 s"):
        ASKED[what](ObjectStore(BUCKET, patience))
    assert hanging.num_asked == 1


def test_a_slow_store_is_read_in_the_time_that_there_is(hanging: Hanging) -> None:
    hanging.answers, hanging.drip_s = [answer(BODY)], 0.002
    assert ObjectStore(BUCKET, Patience(1, 0, 0, longest_s=60)).read("run/key").data == BODY


def test_what_a_bounded_call_raises_is_raised_where_it_was_made() -> None:
    def fail() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError) as caught:
        within(60, fail)
    assert caught.traceback[-1].name == "fail"
    assert within(60, lambda: None) is None
