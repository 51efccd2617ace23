"""Machine code for inner loops. Only modules of such loops import this, and others import those when they need one."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compiles a function at its first call for each kind of arguments; others may run Python beside it.

    What was compiled is kept on disk for the next process, where there is a place that can be written.
    """
    try:
        return cast(_Function, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba found no such place
        return cast(_Function, numba.njit(nogil=True)(function))
