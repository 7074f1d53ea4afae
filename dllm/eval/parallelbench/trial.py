"""The theory put to the test: schedulers on the ideal model, against the closed forms of `theory`.

Each trial decodes many questions and compares how many answers are right, and how many forwards they took, with what
must come out. An accuracy may be off by chance: it is given in standard deviations of a count of so many samples.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import torch

from dllm.eval.parallelbench import theory
from dllm.eval.parallelbench.ideal import NAMES, OPERATIONS, IdealDenoiser, question
from dllm.llm import LLM
from dllm.params import SamplingParams
from dllm.schedulers import Scheduler, as_scheduler

SIGMAS = 4.0
"""How far off a result may be: by chance, one in 16,000 is."""
LENGTH = 10
"""Names of a list. Ten, as in the paper's Figure 2e."""
BATCH = 64
ONE_BY_ONE = ("localleap", "klass", "hierarchy", "prophet")
"""Schedulers that commit the most confident position alone, as long as all are as unsure as in a shuffle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One operation under one scheduler.

    Attributes:
        accuracy: share of right answers that must come out; the unchanged order counts as a shuffle.
        forwards: by sample, where it is the same for all; else None.
        bits: what the decoder's distribution is off by; None where no form is known.
    """

    task: str
    scheduler: str
    temperature: float
    accuracy: float
    forwards: int | None
    bits: float | None = None
    steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came out of a trial.

    Attributes:
        sigmas: how far `measured` is from what must come out; infinite where there is no chance in it and it differs.
        ok: within SIGMAS, and with the right number of forwards.
    """

    trial: Trial
    samples: int
    measured: float
    forwards: float
    sigmas: float
    ok: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def trials(n: int = LENGTH) -> list[Trial]:
    """Every scheduler that has a closed form, on the operations that have one."""
    found = [_certain(task) for task in ("copy", "reverse", "sort", "insert_index", "remove_index", "replace_index")]
    ones = (*ONE_BY_ONE, "threshold(0.6)", "eb(0.5)")
    greedy = [f"topk(1, by={by})" for by in ("confidence", "margin", "entropy", "left_to_right", "random")]
    for spec in (*greedy, *ones, "topk(2, by=random)", "topk(2)", "topk(4, by=random)", f"topk({n})"):
        found.append(_shuffle(spec, n))
    for spec in ("threshold(0.45)", "threshold(0.3)", "factor(0.7)", "factor(1.9)", "eb(1.0)", "eb(2.0)", "dus"):
        found.append(_shuffle(spec, n))
    found += [_shuffle(f"llada(remasking={how})", n, steps=7) for how in ("random", "low_confidence")]
    share = (n - 1) / n
    sharp = (
        f"threshold({share - 0.01:.3g})",
        f"threshold({share + 0.01:.3g})",
        "factor(0.7)",
        "factor(0.95)",
        "factor(1.3)",
    )
    found += [_greedy(spec, n) for spec in (*sharp, "eb(0.5)", "eb(1.0)", "eb(2.0)", "topk(1)", "topk(3)", "topk(5)")]
    found += [_drawn(f"topk({k}, by=random)", n) for k in (1, 2, 3, 4, n)]
    for tau in (0.55, 0.7, share + 0.01):
        accuracy = theory.replace_accuracy_threshold(n, tau)
        found.append(_trial("replace_random", f"threshold({tau:.3g})", None, accuracy))
    return found


def _certain(task: str) -> Trial:
    """Nothing depends on anything: all at once is as good as one by one."""
    return _trial(task, "topk(64)", [LENGTH], 1.0, bits=0.0)


def _shuffle(spec: str, n: int, steps: int | None = None) -> Trial:
    counts = theory.shuffle_counts(_ruled(spec), n, steps)
    return _trial(
        "shuffle", spec, counts, theory.shuffle_accuracy(counts), bits=theory.shuffle_bits(counts), steps=steps
    )


def _greedy(spec: str, n: int) -> Trial:
    counts = theory.replace_counts(_ruled(spec), n)
    return _trial("replace_random", spec, counts, theory.replace_accuracy_greedy(counts), temperature=0.0)


def _drawn(spec: str, n: int) -> Trial:
    counts = theory.replace_counts(_ruled(spec), n)
    return _trial("replace_random", spec, counts, theory.replace_accuracy(counts), bits=theory.replace_bits(counts))


def _trial(
    task: str,
    spec: str,
    counts: Sequence[int] | None,
    accuracy: float,
    *,
    temperature: float = 1.0,
    bits: float | None = None,
    steps: int | None = None,
) -> Trial:
    return Trial(
        task=task,
        scheduler=spec,
        temperature=temperature,
        accuracy=accuracy,
        forwards=None if counts is None else len(counts),
        bits=bits,
        steps=steps,
    )


def _ruled(spec: str) -> Scheduler:
    return as_scheduler("topk(1)" if spec in ONE_BY_ONE else spec)


def judge(trial: Trial, samples: int, seed: int = 0, n: int = LENGTH, llm: LLM | None = None) -> Verdict:
    """Decode, count, compare."""
    llm = ideal_llm() if llm is None else llm
    rng = random.Random(f"theory/{seed}/{trial.task}/{trial.scheduler}")
    questions = [_question(trial.task, rng, n) for _ in range(samples)]
    params = [
        SamplingParams(
            max_new_tokens=len(answers[0]) if answers else n,
            block_length=64,
            scheduler=trial.scheduler,
            steps=trial.steps,
            temperature=trial.temperature,
            cache="none",
            seed=seed + index,
        )
        for index, (_, _, answers) in enumerate(questions)
    ]
    outputs = llm.generate([text for text, _, _ in questions], params, max_batch_size=BATCH, progress=False)
    right = 0
    for output, (_, names, answers) in zip(outputs, questions, strict=True):
        answer = output.text.split()
        right += answer in answers if answers else sorted(answer) == sorted(names)
    measured, forwards = right / samples, float(np.mean([output.stats.forwards for output in outputs]))
    sigmas = deviation(right, trial.accuracy, samples)
    as_said = trial.forwards is None or forwards == trial.forwards
    ok = sigmas <= SIGMAS and as_said
    return Verdict(trial=trial, samples=samples, measured=measured, forwards=forwards, sigmas=sigmas, ok=ok)


def ideal_llm() -> LLM:
    """The ideal model with its tokenizer of words."""
    model = IdealDenoiser()
    return LLM(model, tokenizer=model.tokenizer())


def deviation(right: int, share: float, samples: int) -> float:
    """How unlikely so many right answers are, in standard deviations of a normal distribution; two-sided.

    From the binomial distribution itself: where a share is near 0, a single answer may be many of its own standard
    deviations away and yet be likely enough. Where there is no chance in it, 0 or infinity.
    """
    if share in (0.0, 1.0):
        return 0.0 if right == share * samples else math.inf
    chances = np.array([_log_chance(k, share, samples) for k in range(samples + 1)])
    below, above = (float(np.exp(part).sum()) for part in (chances[: right + 1], chances[right:]))
    tail = min(below, above)
    return 0.0 if tail >= 0.5 else -NormalDist().inv_cdf(max(tail, 1e-300))


def _log_chance(right: int, share: float, samples: int) -> float:
    ways = math.lgamma(samples + 1) - math.lgamma(right + 1) - math.lgamma(samples - right + 1)
    return ways + right * math.log(share) + (samples - right) * math.log1p(-share)


def _question(task: str, rng: random.Random, n: int) -> tuple[str, list[str], list[list[str]]]:
    """The words of a question, its names, and the right answers; none for a shuffle.

    The new name has the highest id of all, so that it loses a tie against those of the list.
    """
    names, new = rng.sample(NAMES[:-1], n), NAMES[-1]
    own = OPERATIONS[task]
    place = rng.randint(1, n)
    answers = [] if own.answers is None else [list(one) for one in own.answers(names, place, new)]
    return question(task, names, place, new), names, answers


def bits(task: str, counts: Sequence[int], samples: int, seed: int = 0) -> tuple[float, float]:
    """Bits that decoding in random order is off by, with their standard error, from the ideal model's own numbers.

    It is the mean of log2 p(right answer) - sum of log2 of the conditionals, over right answers drawn at random.
    """
    model, rng, n = IdealDenoiser(), random.Random(f"bits/{seed}/{task}"), sum(counts)
    found = []
    for _ in range(samples):
        text, names, answers = _question(task, rng, n)
        right = rng.choice(answers) if answers else rng.sample(names, n)
        ids = [model.ids[word] for word in text.split()]
        canvas = torch.tensor([*ids, *[model.mask_token_id] * n])
        order, total = rng.sample(range(n), n), 0.0
        for k in counts:
            now, order = order[:k], order[k:]
            scores = torch.log_softmax(model.logits(canvas[None])[0, len(ids) :].double(), dim=-1)
            for at in now:
                total -= float(scores[at, model.ids[right[at]]]) / math.log(2)
                canvas[len(ids) + at] = model.ids[right[at]]
        found.append(total - math.log2(len(answers) if answers else math.factorial(n)))
    return float(np.mean(found)), float(np.std(found, ddof=1) / math.sqrt(samples))


def judge_all(
    samples: int, seed: int = 0, advance: Callable[[], object] = lambda: None, only: Sequence[Trial] | None = None
) -> Iterator[Verdict]:
    """All trials, one after the other."""
    llm = ideal_llm()
    for trial in trials() if only is None else only:
        yield judge(trial, samples, seed, llm=llm)
        advance()
