"""The tree of errors that are ours to report: each names the thing, what was expected and what to do."""

import errno


class CurateError(Exception):
    """Anything that ends a command with one clear message. `exit_code` is the process's."""

    exit_code = 1


class UsageError(CurateError):
    """A wrong recipe, argument or output path: nothing was run."""

    exit_code = 2


class BadInputError(CurateError):
    """An input file that cannot be read as what the recipe says it is."""

    exit_code = 65


class OutputInUseError(CurateError):
    """Another run holds the output folder."""

    exit_code = 73


class DiskError(CurateError):
    """The output folder cannot be written: full, read-only or gone."""

    exit_code = 74


def is_out_of_room(fault: BaseException) -> bool:
    """Whether something could not be written, whatever it was, because its disk or its owner's share of it is full."""
    return isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TryAgainError(CurateError):
    """The outside world is not there for now (the whole network is gone): the run is resumable."""

    exit_code = 75


class BrokenRunError(CurateError):
    """A run's folder contradicts its own records."""
