"""Tables on disk, so that a grammar is multiplied with a vocabulary once and not at every start.

A file is named by what is in it: the grammar, the vocabulary and the form of the tables. One that cannot be read is
made again. They lie in `$DLLM_CACHE_DIR`, else `$XDG_CACHE_HOME/dllm`, else `~/.cache/dllm`; `DLLM_CACHE_DIR=` (empty)
keeps none.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
FORM = 5
"""Of the tables; another one makes all files unknown."""


def folder() -> Path | None:
    """Where files are kept, or None."""
    given = os.environ.get("DLLM_CACHE_DIR")
    if given is not None:
        return Path(given) / "grammars" if given else None
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dllm" / "grammars"


def kept(names: tuple[str, ...], make: Callable[[], Arrays]) -> Arrays:
    """The arrays that `make` gives, from disk if they were made before under these names."""
    place = folder()
    if place is None:
        return make()
    path = place / f"{hashlib.sha256('/'.join((str(FORM), *names)).encode()).hexdigest()[:32]}.npz"
    found = _read(path)
    if found is None:
        found = make()
        _write(path, found)
    return found


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write(path: Path, arrays: Arrays) -> None:
    """In one step, so that nobody reads half a file. A disk that cannot be written to is no error: it saves nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(file.name, path)
    except OSError:
        pass
