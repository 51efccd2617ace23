"""What a user's files do to a library is the user's error; what our own code does is not."""

from pickle import UnpicklingError

import pytest

from filters.users_faults import users_fault
from shards.errors import UsageError


class Status(Exception):
    """As onnxruntime's: a class of its own without a base."""


@pytest.mark.parametrize(
    "error",
    [
        kind("no")
        for kind in (OSError, ValueError, RuntimeError, KeyError, TypeError, EOFError, UnpicklingError, Status)
    ],
)
def test_refusal_of_a_library_becomes_the_users_error(error: Exception) -> None:
    with (
        pytest.raises(UsageError, match=r"^the model cannot be read: '?no'?, so there$") as raised,
        users_fault("the model cannot be read", Status, then=", so there"),
    ):
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [AttributeError("ours"), ZeroDivisionError("ours"), Status("ours"), Exception("ours")]
)
def test_our_own_mistakes_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error), match=r"^ours$"), users_fault("the model cannot be read"):
        raise error


def test_bare_exception_is_the_librarys_own_and_its_subclasses_are_not() -> None:
    with pytest.raises(UsageError, match="unfit: bare"), users_fault("unfit", Exception):
        raise Exception("bare")  # noqa: TRY002 - as the tokenizers library does
    with pytest.raises(Status), users_fault("unfit", Exception):
        raise Status


def test_error_that_is_told_already_is_told_once() -> None:
    with pytest.raises(UsageError, match=r"^the vocabulary lacks \[SEP\]$"), users_fault("unfit", Exception):
        raise UsageError("the vocabulary lacks [SEP]")


def test_error_without_words_is_told_by_its_name() -> None:
    with pytest.raises(UsageError, match=r"^unfit: EOFError$"), users_fault("unfit"):
        raise EOFError
