"""Block-wise K/V caches. One file a cache; each says whether it is exact or approximate.

To add one, copy `dual.py`, change `feed`, and import it below.

Shifted families (Dream) predict a position from its left neighbour, so all of them feed one position more, the last
before the block (`delayed`: the last before each run of masks): its row is what predicts the first token there.
"""

from dllm.cache.base import Cache, Feed, as_cache, caches, register, resolve_cache
from dllm.cache.delayed import DelayedCache
from dllm.cache.drift import DriftCache
from dllm.cache.dual import DualCache
from dllm.cache.entropy import EntropyCache
from dllm.cache.exact import ExactCache
from dllm.cache.none import NoCache
from dllm.cache.prefix import PrefixCache
from dllm.cache.suffix import SuffixCache
from dllm.cache.window import WindowCache

__all__ = [
    "Cache",
    "DelayedCache",
    "DriftCache",
    "DualCache",
    "EntropyCache",
    "ExactCache",
    "Feed",
    "NoCache",
    "PrefixCache",
    "SuffixCache",
    "WindowCache",
    "as_cache",
    "caches",
    "register",
    "resolve_cache",
]
