"""What the `tokenizers` library raises: for most of what goes wrong a bare `Exception`, and for what it did not expect
in a file a panic of its Rust code, which is no `Exception` at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dllm.errors import DllmError
from dllm.hub import said


@contextmanager
def raised_as(kind: type[DllmError], what: str) -> Iterator[None]:
    """Whatever the library raises, as an error of this kind: `what (why)`. Errors of ours pass through."""
    try:
        yield
    except DllmError:
        raise
    except Exception as error:
        raise kind(f"{what} ({said(error)})") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the library does not export it
            raise
        raise kind(f"{what} (the tokenizers library failed: {said(error)})") from error
