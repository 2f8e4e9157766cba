"""The only compiled code of raidfs: numpy arrays in, numpy arrays out; knows nothing of the rest.

`kernel` is the one policy: nopython, without the GIL, cached on disk where a place for the cache can be found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_F = TypeVar("_F", bound=Callable[..., Any])


def c_function(name: str, result: str, *arguments: str) -> Callable[..., int]:
    """Name a function of the C library, to be called by kernels.

    Args:
        name: of the function.
        result: its type, as numba names it (`intp`, `int32`, ...).
        arguments: their types.
    """
    signature = getattr(numba.types, result)(*(getattr(numba.types, each) for each in arguments))
    return cast(Callable[..., int], numba.types.ExternalFunction(name, signature))


def kernel(function: _F) -> _F:
    """Compile a function of arrays and numbers on its first call; the GIL is released while it runs.

    The compiled code is cached beside the module or below the user's cache folder; where neither can be written it is
    compiled anew in every process.
    """
    try:
        return cast(_F, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # "no locator available": nowhere to keep the cache
        return cast(_F, numba.njit(nogil=True)(function))
