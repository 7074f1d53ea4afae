"""Names for help texts. The registries know them too, but with them comes torch, for which no help should wait."""

from __future__ import annotations

import re
from pathlib import Path

import dllm

_REGISTERED = re.compile(r'^@register\("([^"]+)"\)', re.MULTILINE)


def registered(package: str) -> list[str]:
    """What the files of a package of ours (`cache`, `schedulers`) register, sorted; read, not imported."""
    files = (Path(dllm.__file__).parent / package).glob("*.py")
    return sorted(name for file in files for name in _REGISTERED.findall(file.read_text(encoding="utf-8")))


_CACHES = ["auto", *registered("cache")]
CACHES = f"{', '.join(_CACHES[:-1])} or {_CACHES[-1]} (docs/caches.md)"
"""What `--cache` takes."""
