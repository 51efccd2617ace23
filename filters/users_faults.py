"""What a library cannot make of the files that a user names becomes the user's error, and nothing else does."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pickle import UnpicklingError

from shards.errors import UsageError

_UNFIT: tuple[type[Exception], ...] = (OSError, ValueError, RuntimeError, LookupError, TypeError, EOFError)
"""What open_clip, transformers, torch and the hub's client raise for wrong names, unfit weights or no answer."""


@contextmanager
def users_fault(told: str, *also: type[Exception], then: str = "") -> Iterator[None]:
    """Raises UsageError with `told`, the library's own words and `then`, where a library refuses what it was given.

    `also` are classes that the library has of its own. `Exception` among them stands for that class itself, which
    tokenizers raises, and not for its subclasses.
    """
    bases = (*_UNFIT, UnpicklingError, *_of_safetensors(), *(kind for kind in also if kind is not Exception))
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        if not isinstance(error, bases) and not (Exception in also and type(error) is Exception):
            raise
        raise UsageError(f"{told}: {str(error).rstrip('.') or type(error).__name__}{then}") from error


def _of_safetensors() -> tuple[type[Exception], ...]:
    """Its error has no base in common with others; where it is not installed nobody raises it."""
    return (import_module("safetensors").SafetensorError,) if find_spec("safetensors") else ()
