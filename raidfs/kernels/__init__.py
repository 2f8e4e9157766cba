"""The only compiled code of raidfs: numpy arrays in, numpy arrays out; knows nothing of the rest.

`kernel` is the one policy: nopython, without the GIL, cached on disk where a place for the cache can be found.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
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


def _cache_folder() -> str | None:
    """Return where compiled code is kept: a folder for exactly these sources; None: nowhere.

    numba knows a kernel's own file, but not the files of the kernels that it calls: after a change there it would go on
    with the old code, which reads today's arrays as yesterday's.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sorted(here.glob("*.py")))).hexdigest()[:16]
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(chosen)] if chosen else [here / "__pycache__", Path("~/.cache/raidfs").expanduser()]
    for place in places:
        folder = place / f"kernels-{digest}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return None


_FOLDER = _cache_folder()


def kernel(function: _F) -> _F:
    """Compile a function of arrays and numbers on its first call; the GIL is released while it runs.

    The compiled code is cached beside the modules or below the user's cache folder; where neither can be written it is
    compiled anew in every process.
    """
    numba.config.CACHE_DIR = _FOLDER or ""  # type: ignore[attr-defined]  # numba makes its settings at run time
    return cast(_F, numba.njit(nogil=True, cache=_FOLDER is not None)(function))
