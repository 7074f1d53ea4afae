"""What kernels need and a machine may lack. It imports nothing, so that whoever has kernels may ask it."""

from __future__ import annotations

import importlib.util
from functools import cache


@cache
def has_triton() -> bool:
    """Whether Triton is installed; it comes with torch's CUDA builds for Linux."""
    return importlib.util.find_spec("triton") is not None
