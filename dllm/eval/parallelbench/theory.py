"""What parallel decoding costs on two operations of lists, in closed form (arXiv 2510.04767, Section 3).

A decoder commits k_1, k_2, ... positions at a time, each drawn from its own conditional. Shuffle and replace-random
have many right answers, all equally likely, and their positions depend on each other; so some of what is committed
together does not go together. With the conditionals of `dllm.eval.parallelbench.ideal` nothing else goes wrong.

- shuffle: with m positions left, each of the m names left has probability 1/m at each of them;
- replace-random: with m positions left and the new name not seen yet, it has 1/m at each of them, and the name that the
  list has there (m - 1)/m. Once it is seen, all is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from math import comb, factorial, log, log2, perm, prod

from dllm.schedulers import Scheduler
from dllm.schedulers.dus import Dilated
from dllm.schedulers.eb import EntropyBounded
from dllm.schedulers.factor import Factor
from dllm.schedulers.llada import LLaDA
from dllm.schedulers.threshold import Threshold
from dllm.schedulers.topk import TopK


def entropy(p: float) -> float:
    """Of a coin, in nats."""
    return -sum(q * log(q) for q in (p, 1 - p) if q > 0)


def commits(scheduler: Scheduler, left: int, confidence: float, uncertainty: float) -> int:
    """Positions that a scheduler commits where `left` are, all with this confidence and this entropy (nats).

    Raises:
        TypeError: it has no such rule.
    """
    if isinstance(scheduler, TopK):
        return min(scheduler.k, left)
    if isinstance(scheduler, Threshold):
        return left if confidence >= scheduler.tau else 1
    if isinstance(scheduler, Factor):
        count = 1
        while count < left and confidence >= 1 - scheduler.f / (count + 2):
            count += 1
        return count
    if isinstance(scheduler, EntropyBounded):
        count = 1
        while count < left and count * uncertainty <= scheduler.gamma:
            count += 1
        return count
    raise TypeError(f"{scheduler}: how many it commits is not known in closed form")


def fixed_counts(scheduler: Scheduler, n: int, steps: int | None = None) -> list[int] | None:
    """Of schedulers that do not look at the model: positions by forward, for one block of n. None for others."""
    if isinstance(scheduler, LLaDA):
        many = min(steps or n, n)
        return [n // many + (step < n % many) for step in range(many)]
    if isinstance(scheduler, Dilated):
        stride, left, found = 1, set(range(n)), list[int]()
        while stride * scheduler.base < n:
            stride *= scheduler.base
        while left:
            now = {at for at in left if at % stride == 0}
            found += [len(now)] if now else []
            left, stride = left - now, max(1, stride // scheduler.base)
        return found
    return None


def shuffle_counts(scheduler: Scheduler, n: int, steps: int | None = None) -> list[int]:
    """Positions by forward where n names are shuffled."""
    return _counts(scheduler, n, steps, lambda left: (1 / left, log(left)))


def replace_counts(scheduler: Scheduler, n: int, steps: int | None = None) -> list[int]:
    """Positions by forward where one of n names is replaced, greedily: as long as the new name is not seen."""
    return _counts(scheduler, n, steps, lambda left: (max(1 / left, 1 - 1 / left), entropy(1 / left)))


def _counts(scheduler: Scheduler, n: int, steps: int | None, unsure: Callable[[int], tuple[float, float]]) -> list[int]:
    """`unsure`: positions left -> confidence and entropy of each."""
    found = fixed_counts(scheduler, n, steps) or list[int]()
    while (left := n - sum(found)) > 0:
        found.append(commits(scheduler, left, *unsure(left)))
    return found


def stages(counts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Of each forward: positions left before it, and how many of them it commits."""
    left = sum(counts)
    for k in counts:
        yield left, k
        left -= k


def shuffle_accuracy(counts: Sequence[int]) -> float:
    """At temperature 1: of k drawn from m names no two are equal, at every forward. The unchanged order counts."""
    found: float = prod(perm(left, k) / left**k for left, k in stages(counts))
    return found


def shuffle_bits(counts: Sequence[int]) -> float:
    """Bits that the decoder's distribution is off by (KL divergence): the sum of conditional total correlations."""
    return sum(k * log2(left) for left, k in stages(counts)) - log2(factorial(sum(counts)))


def replace_accuracy_greedy(counts: Sequence[int]) -> float:
    """At temperature 0 the new name is taken only where nothing else is left: alone, behind all others.

    With two positions left both names are equally likely; here the tie goes to the name that the list has.
    """
    return float(counts[-1] == 1)


def replace_accuracy(counts: Sequence[int]) -> float:
    """At temperature 1 and in random order: just one of the k of some forward draws the new name, and none before."""
    before, found = 1.0, 0.0
    for left, k in stages(counts):
        q = 1 - 1 / left
        found += before * k / left * q ** (k - 1)
        before *= q**k
    return found


def replace_bits(counts: Sequence[int]) -> float:
    """The same as `shuffle_bits`, positions in random order."""
    n, found = sum(counts), 0.0
    for left, k in stages(counts):
        together = k / left * log2(left) + ((left - k) / left * log2(left / (left - k)) if k < left else 0.0)
        found += left / n * (k * entropy(1 / left) / log(2) - together)
    return found


@cache
def replace_accuracy_threshold(n: int, tau: float) -> float:
    """At temperature 1 under a threshold, which commits names of the list only, as long as it is above all 1/m.

    Raises:
        ValueError: 1/2 or less, where the new name may pass too.
    """
    if tau <= 0.5:
        raise ValueError(f"tau={tau} must be above 1/2")
    if n == 1:
        return 1.0
    new = 1 / n
    if (n - 1) / n < tau:  # one at a time, a name of the list unless all draw the new one
        return new**n + (1 - new**n) * replace_accuracy_threshold(n - 1, tau)
    drawn = [comb(n, j) * new**j * (1 - new) ** (n - j) for j in range(n + 1)]
    return drawn[n] + sum(drawn[j] * replace_accuracy_threshold(j, tau) for j in range(1, n))


def total_correlation(task: str, n: int) -> float:
    """C(Y|X) in bits: what one step for all positions is off by."""
    if task == "shuffle":
        return shuffle_bits([n])
    return replace_bits([n]) if task == "replace_random" else 0.0
