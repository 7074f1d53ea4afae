"""Block-wise K/V caches. One file a cache; each says whether it is exact or approximate.

To add one, copy `dual.py`, change `feed`, and import it below.

Shifted families (Dream) predict a position from its left neighbour, so `prefix` and `dual` feed one position more,
the last before the block: its row is what predicts the block's first token.
"""

from dllm.cache.base import Cache, Feed, as_cache, caches, register, resolve_cache
from dllm.cache.dual import DualCache
from dllm.cache.none import NoCache
from dllm.cache.prefix import PrefixCache

__all__ = [
    "Cache",
    "DualCache",
    "Feed",
    "NoCache",
    "PrefixCache",
    "as_cache",
    "caches",
    "register",
    "resolve_cache",
]
