"""Tables on disk, so that a grammar is multiplied with a vocabulary once and not at every start.

A file is named by what is in it: the grammar, the vocabulary and the form of the tables. It holds a digest of all its
content, which is compared before anything is read, so a file is either right or made again, whatever has become of it.
They lie in `$DLLM_CACHE_DIR`, else `$XDG_CACHE_HOME/dllm`, else `~/.cache/dllm`; `DLLM_CACHE_DIR=` (empty) keeps none.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
FORM = 8
"""Of the tables; another one makes all files unknown."""
_MAGIC = b"dllm grammar tables\n"
_BEGIN = len(_MAGIC) + hashlib.sha256().digest_size
"""Where what the digest is of begins."""
_ALIGNED = 64


def folder() -> Path | None:
    """Where files are kept, or None."""
    given = os.environ.get("DLLM_CACHE_DIR")
    if given is not None:
        return Path(given) / "grammars" if given else None
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dllm" / "grammars"


def kept(names: tuple[str, ...], make: Callable[[], Arrays]) -> Arrays:
    """The arrays that `make` gives, from disk if they were made before under these names."""
    place = _folder_or_none()
    if place is None:
        return make()
    key = hashlib.sha256("/".join((str(FORM), *names)).encode()).hexdigest()
    path = place / f"{key[:32]}.tables"
    found = _read(path, key)
    if found is None:
        found = make()
        _write(path, key, found)
    return found


def _folder_or_none() -> Path | None:
    """The folder; None also where nobody knows a home."""
    try:
        return folder()
    except RuntimeError:
        return None


def _packed(arrays: Arrays) -> bytes:
    """A line that says what follows where, and the arrays, each at a multiple of `_ALIGNED` bytes."""
    said, blocks, at = {}, [], 0
    for name, array in arrays.items():
        block = np.ascontiguousarray(array).tobytes()
        said[name] = (array.dtype.str, array.shape, at)
        blocks.append(block + bytes(-len(block) % _ALIGNED))
        at += len(blocks[-1])
    line = json.dumps(said).encode()
    line += b" " * (-(_BEGIN + len(line) + 1) % _ALIGNED) + b"\n"
    return b"".join([line, *blocks])


def _unpacked(data: NDArray[np.uint8]) -> Arrays:
    """The arrays in a file, not copied."""
    end = _BEGIN + data[_BEGIN : _BEGIN + (1 << 16)].tobytes().index(b"\n") + 1
    found = {}
    for name, (dtype, shape, at) in json.loads(data[_BEGIN:end].tobytes()).items():
        size = math.prod(shape) * np.dtype(dtype).itemsize
        found[name] = data[end + at : end + at + size].view(dtype).reshape(shape)
    return found


def _digest(key: str, content: bytes | memoryview) -> bytes:
    """Of what is kept, and of the name that it is kept by: a file that was renamed is not right."""
    found = hashlib.sha256(key.encode())
    found.update(content)
    return found.digest()


def _read(path: Path, key: str) -> Arrays | None:
    """The arrays, or None if the file is not there, or not what was written."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        with path.open("rb") as file:
            data = np.empty(os.fstat(file.fileno()).st_size, dtype=np.uint8)
            if file.readinto(data.data) < len(data):
                return None
    except (OSError, MemoryError):
        return None
    if data[:_BEGIN].tobytes() != _MAGIC + _digest(key, data.data[_BEGIN:]):
        return None
    return _unpacked(data)


def _write(path: Path, key: str, arrays: Arrays) -> None:
    """In one step, so that nobody reads half a file. A disk that cannot be written to is no error: it saves nothing."""
    content = _packed(arrays)
    made: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            made = Path(file.name)
            file.write(_MAGIC + _digest(key, content) + content)
        if path.is_dir() and not path.is_symlink():  # nothing else puts one there, and it would stand in the way
            shutil.rmtree(path)
        os.replace(made, path)
    except OSError:
        if made is not None:
            with suppress(OSError):
                made.unlink(missing_ok=True)
