"""Requests drawn at random: a model, a composed scheduler, a cache, parameters, prompts; and what holds of each answer.

Every part is legal most of the time, so that most requests run; now and then one is not, and must be refused in a line.
"""

from __future__ import annotations

import json
import math
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from dllm import LLM, DllmError, Grammar, Hole, SamplingParams
from dllm.outputs import RequestOutput
from dllm.testing.checkpoints import make_checkpoint
from dllm.trace import Trace
from tests.support.fakes import MixDenoiser

SECONDS = 60.0
"""Of CPU time that no request may take."""
EXAMPLES = ("llada", "dream", "sdar", "llada2", "fast-dllm-v2", "modernbert", "llada-moe", "a2d-qwen3-bd3lm")
"""Families of random checkpoints; four of them see blocks one after the other."""
MODELS = ("tiny", *EXAMPLES, "mix")
"""`mix` is an object that offers neither K/V nor a tokenizer."""
NUMBERS = ("0", "0.02", "0.1", "0.5", "0.9", "1")
FLAGS = ("true", "false")
SCHEDULERS: dict[str, dict[str, tuple[str, ...]]] = {
    "llada": {"remasking": ("low_confidence", "random"), "logits_eos_inf": FLAGS, "confidence_eos_eot_inf": FLAGS},
    "topk": {"k": ("1", "2", "5", "100"), "by": ("confidence", "margin", "entropy", "random", "left_to_right")},
    "threshold": {"tau": NUMBERS},
    "factor": {"f": ("0", "0.5", "1", "20", "1e300")},
    "dream": {"alg": ("entropy", "origin", "maskgit_plus", "topk_margin"), "alg_temp": ("0", "0.3", "10")},
    "localleap": {"anchor": NUMBERS, "relaxed": NUMBERS, "radius": ("0", "1", "4", "1000")},
    "eb": {"gamma": ("0", "0.001", "20"), "by": ("entropy", "confidence", "margin")},
    "hierarchy": {"high": NUMBERS, "low": NUMBERS},
    "block_first": {},
    "dus": {"base": ("2", "3", "64", "100000"), "strides": ("published", "powers")},
    "saber": {"mu": ("1", "2", "4", "1e9"), "n": ("1", "2", "5", "100"), "back": ("published", "fallen")},
    "klass": {
        "tau": NUMBERS,
        "epsilon": ("0", "0.01", "1"),
        "history": ("1", "2", "9"),
        "scope": ("canvas", "block"),
    },
    "credit": {"decay": NUMBERS, "power": ("0", "0.2", "3"), "strength": ("0", "0.7", "50")},
    "stable": {"k": ("0", "1", "3"), "entropy": ("0", "0.005", "2", "99")},
    "sched": {
        "high": ("0", "2", "7.5"),
        "low": ("0", "1", "9"),
        "shape": ("cosine", "linear", "exp"),
        "rate": ("0", "4", "1e9"),
        "change": NUMBERS,
    },
    "cora": {"tau": NUMBERS, "steps": ("1", "2", "9")},
    "slowfast": {
        "tau": NUMBERS,
        "explore": ("1", "2", "6"),
        "reach": NUMBERS,
        "window": ("1", "2", "5"),
        "spread": ("0", "1", "100"),
    },
    "pc": {"decay": NUMBERS, "cap": ("0", "1", "10"), "table": ("flat", "auto", "none.json"), "k": ("1", "3", "100")},
    "remdm": {"n": ("1", "3", "100"), "loops": ("0", "2", "20"), "at": NUMBERS},
    "rcr": {},
    "p2": {},
    "multiblock": {"entropy": ("0", "0.5", "3", "99"), "add": NUMBERS},
    "prophet": {
        "early": ("0", "2", "7.5"),
        "middle": ("0", "1", "5"),
        "late": ("0", "0.5", "2.5"),
        "region": ("answer", "0:4", "3:900", "-4:-1", "' Answer:'", "x"),
        "place": NUMBERS,
        "width": ("1", "5", "50"),
        "spaced": FLAGS,
    },
    "eotp": {"mode": ("safe", "paper")},
    "wino": {
        "accept": NUMBERS,
        "revoke": NUMBERS,
        "shadow": ("block", "alone"),
        "cap": ("previous", "step"),
    },
    "adablock": {
        "tau": NUMBERS,
        "window": NUMBERS,
        "basis": ("length", "generated"),
        "delimiters": ("newline", "llada", "dream", "'3 14 15 92 65'", "'10'", "x"),
    },
    "edit": {"tau": NUMBERS, "passes": ("0", "1", "3")},
    "llada2": {"tau": NUMBERS, "least": ("1", "3", "100")},
    "learn2pd": {"filter": ("auto", "nothing.safetensors"), "gamma": NUMBERS},
}
"""Every scheduler with its arguments and values for them, nearly all legal."""
PASSES = 16
"""The most passes of `edit` over a block, its default."""
CACHES: dict[str, dict[str, tuple[str, ...]]] = {
    "none": {},
    "prefix": {"keep_prompt": FLAGS, "neighbour": ("always", "needed")},
    "dual": {"keep_prompt": FLAGS, "neighbour": ("always", "needed")},
    "exact": {},
    "window": {"left": ("0", "2", "16"), "right": ("0", "1", "900"), "every": ("1", "3", "8"), "keep_prompt": FLAGS},
    "suffix": {"keep": ("0", "3", "64"), "every": ("none", "1", "2"), "keep_prompt": FLAGS},
    "delayed": {"every": ("1", "4"), "keep_prompt": FLAGS},
    "drift": {"tau": NUMBERS, "layer": ("0", "1", "-1", "9"), "keep_prompt": FLAGS},
    "entropy": {"tau": NUMBERS, "keep_prompt": FLAGS},
}
"""Every cache, likewise."""
ODD = ("-1", "nan", "inf", "1e999", "x", "", "99999999999999999999", "none", "true", "0", "'", "(", "1:2", "0.5.1")
ODD += ("\x1b[2J",)
"""What stands in the place of an argument's value now and then."""
PROMPTS = (
    *('["Mary", "Linda", "Susan"]\nReverse the list.\n', "Name: Ana, Age: 31\nWrite JSON with keys: age, name\n"),
    *("x", "int add(int a, int b) { return", "é日😀 \n\n", "Answer: 1 + 2 =", "a" * 70, "\x00\x1b[2J", " "),
)
STOPS = (["\n"], ["a", "e"], ["zzz"], ["}"], ["\n\n", ","], [" "])
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "string", "maxLength": 4}},
    "required": ["a"],
    "additionalProperties": False,
}
GRAMMARS: dict[str, Callable[[], Grammar]] = {
    "json": lambda: Grammar.builtin("json"),
    "arithmetic": lambda: Grammar.builtin("arithmetic"),
    "schema": lambda: Grammar.from_json_schema(SCHEMA),
    "pattern": lambda: Grammar.from_regex(r"([a-zé]{1,5} ?){1,4}|[0-9]{2,}"),
    "choices": lambda: Grammar.from_choices(["yes", "no", "yes, no", "", "é"]),
    "lark": lambda: Grammar.from_lark('start: NAME ("," NAME)* ["!"]\nNAME: /[a-z]+/\n%ignore " "'),
}
Note = Counter[str]


@cache
def model(name: str) -> LLM:
    """A small model of that name; the checkpoints are random, with a token for each byte."""
    if name == "tiny":
        return LLM("tiny", dtype="float32", device="cpu")
    if name == "mix":
        return LLM(MixDenoiser(vocab_size=240))
    with tempfile.TemporaryDirectory() as home:
        folder = make_checkpoint(name, Path(home) / name, seed=3)
        return LLM(folder, dtype="float32", device="cpu")


@cache
def grammar(name: str) -> Grammar:
    return GRAMMARS[name]()


# --- what is asked ----------------------------------------------------------------------------------------------------


def component(rng: random.Random, name: str, legal: dict[str, tuple[str, ...]], odd: float) -> str:
    """A part of a spec with some of its arguments, the first of them at times without its name."""
    chosen = [key for key in legal if rng.random() < 0.5]
    values = {key: rng.choice(ODD if rng.random() < odd else legal[key]) for key in chosen}
    words = [f"{key}={value}" for key, value in values.items()]
    if chosen and chosen[0] == next(iter(legal)) and rng.random() < 0.5:
        words[0] = values[chosen[0]]
    rng.shuffle(words[1:])
    if rng.random() < odd:
        words.append(rng.choice(("k=1", "tau=0.5", "zork=1", "")))
    return f"{name}({', '.join(words)})" if words or rng.random() < 0.1 else name


def scheduler(rng: random.Random, odd: float) -> str:
    """One to four of them, joined."""
    names = rng.sample(list(SCHEDULERS), rng.choice((1, 1, 1, 2, 2, 3, 4)))
    spec = rng.choice(("+", "+", " + ")).join(component(rng, name, SCHEDULERS[name], odd) for name in names)
    return spec if rng.random() >= odd else spec + rng.choice(("+", "+nothing", ")", "+topk+topk", " threshold"))


def params(rng: random.Random, llm: LLM, odd: float) -> dict[str, Any]:
    """Arguments of `SamplingParams`; a seed is always among them."""
    length = rng.choice((1, 2, 5, 7, 12, 16, 24, 33))
    found: dict[str, Any] = {"max_new_tokens": length, "seed": rng.randrange(1 << 20)}
    if rng.random() < 0.85:
        found["scheduler"] = scheduler(rng, odd)
    if rng.random() < 0.8:
        found["block_length"] = rng.choice((1, 3, 4, 8, 16, 32, 100))
    if rng.random() < 0.6:
        name = rng.choice(list(CACHES))
        found["cache"] = component(rng, name, CACHES[name], odd)
    reads_steps = any(name in str(found.get("scheduler")) for name in ("llada", "dream"))
    if rng.random() < (0.6 if reads_steps else 0.03):
        found["steps"] = rng.choice((1, 3, length, 2 * length, 1000))
    if rng.random() < 0.4:
        found |= {"temperature": rng.choice((0.3, 1.0, 5.0))}
        found |= {"top_p": rng.choice((0.01, 0.9, 1.0))} if rng.random() < 0.5 else {}
        found |= {"top_k": rng.choice((1, 5, 10_000))} if rng.random() < 0.5 else {}
    choices: dict[str, tuple[float, tuple[Any, ...]]] = {
        "cfg_scale": (0.15, (0.5, 2.0)),
        "n": (0.15, (2, 3)),
        "stop": (0.15, STOPS),
        "ignore_eos": (0.25, (True,)),
        "cut_at_eos": (0.2, ("end",)),
        "min_new_tokens": (0.2, (1, length // 2, length)),
        "stop_token_ids": (0.15, ((5, 97), (64,), (1, 257))),
        "logprobs": (0.15, (0, 3)),
        "logit_bias": (0.2, ({5: -math.inf, 97: 3.0}, {1: -math.inf}, {257: 4.0}, {64: 1e4}, {7: -1e4})),
    }
    found |= {name: rng.choice(values) for name, (share, values) in choices.items() if rng.random() < share}
    if rng.random() < 0.2 and llm.tokenizer is not None:
        found["grammar"] = grammar(rng.choice(list(GRAMMARS)))
        for name in ("stop", "stop_token_ids", "cut_at_eos", "min_new_tokens"):
            if rng.random() < 0.95:
                found.pop(name, None)
    if rng.random() < odd:
        wrong = rng.choice(("temperature", "top_p", "top_k", "steps", "n", "block_length", "max_new_tokens", "stop"))
        found[wrong] = rng.choice((-1, 0, 1.5, "x", None, math.nan, 1 << 70, [], True, {}))
    return found


def prompt(rng: random.Random, llm: LLM, odd: float) -> Any:
    """Text, or ids; at times none that a model could take."""
    if rng.random() < odd:
        return rng.choice(("", [], [llm.model.mask_token_id], [1 << 40], [-1], [3, "x"], [None]))
    if llm.tokenizer is None or rng.random() < 0.5:
        return [rng.randrange(97, 200) for _ in range(rng.choice((1, 2, 6, 17, 40)))]
    return rng.choice(PROMPTS)


def document(rng: random.Random, llm: LLM, odd: float) -> list[Any]:
    """Text or ids with one to three holes between them."""
    parts: list[Any] = []
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.8:
            given = prompt(rng, llm, odd)
            parts += given if isinstance(given, list) else [given]
        few, wide = rng.randint(1, 9), rng.randint(0, 4)
        parts.append(Hole(min=few, max=few + wide) if rng.random() < 0.15 else Hole(few))
    return [*parts, *([rng.randrange(97, 200)] * rng.randint(0, 4))]


# --- what holds -------------------------------------------------------------------------------------------------------


def check(rng: random.Random, names: tuple[str, ...] = MODELS) -> Note:
    """A batch of one to four requests of one model: each is refused with a `DllmError`, or has an answer of which all
    holds that is promised, and which is the same alone.

    Raises:
        AssertionError: something does not hold, or takes too long.
    """
    llm, odd = model(rng.choice(names)), rng.choice((0.0, 0.0, 0.0, 0.03, 0.2))
    infills = rng.random() < 0.2
    made, seen = list[tuple[Any, SamplingParams]](), Note()
    for _ in range(rng.choice((1, 2, 3, 4))):
        asked = (document if infills else prompt)(rng, llm, odd)
        chosen = params(rng, llm, odd)
        try:
            made.append((asked, SamplingParams(**chosen)))
        except DllmError as error:
            _one_line(error, chosen)
            seen += Note({"requests": 1, "parameters refused": 1})
    if not made:
        return seen
    ask = llm.infill if infills else llm.generate
    began = time.process_time()
    together = ask(
        [asked for asked, _ in made],
        [own for _, own in made],
        max_batch_size=rng.choice((None, 1, 2)),
        on_error="return",
    )
    spent = time.process_time() - began
    assert spent < SECONDS, f"{made} took {spent:.1f} s"
    for (asked, own), out in zip(made, together, strict=True):
        seen["requests"] += 1
        told = f"{llm!r}: {asked!r}, {own.to_dict()}"
        alone = _alone(rng, llm, infills, asked, own, told)
        if isinstance(out, DllmError):
            _one_line(out, told)
            assert type(alone) is type(out), f"{told}: in a batch {out!r}, alone {alone!r}"
            seen["requests refused"] += 1
            continue
        assert isinstance(alone, RequestOutput), f"{told}: alone {alone!r}"
        assert len(out.samples) == len(alone.samples) == own.n, told
        for one, same in zip(out.samples, alone.samples, strict=True):
            _check_same(one, same, told)
            _check_answer(llm, one, own, told)
            (_check_document if infills else _check_generated)(llm, asked, one, own, told)
        seen["answers"] += len(out.samples)
        seen["answers under a grammar"] += len(out.samples) * (own.grammar is not None)
        seen["rows compared with themselves alone"] += len(out.samples) * (len(made) > 1)
    return seen


def _one_line(error: DllmError, told: object) -> None:
    assert len(str(error)) < 2000, f"{told}: an error of {len(str(error))} characters"


def _alone(rng: random.Random, llm: LLM, infills: bool, asked: Any, own: SamplingParams, told: str) -> Any:
    """The answer to one request, or its error; at times step by step."""
    try:
        if rng.random() < 0.15 and own.n == 1 and not infills:
            *_, last = llm.stream(asked, own)
            assert last.output is not None and last.text == last.output.text, told
            return last.output
        return (llm.infill if infills else llm.generate)(asked, own)
    except DllmError as error:
        return error


def _check_same(one: RequestOutput, same: RequestOutput, told: str) -> None:
    assert one.token_ids == same.token_ids, f"{told}: in a batch {one.token_ids}, alone {same.token_ids}"
    assert (one.text, one.finish_reason, one.seed) == (same.text, same.finish_reason, same.seed), told
    assert [step.confidences for step in one.trace.steps] == [step.confidences for step in same.trace.steps], told
    assert one.stats.forwards == same.stats.forwards, told


def _check_answer(llm: LLM, out: RequestOutput, own: SamplingParams, told: str) -> None:
    """What holds of every output."""
    mask, trace = llm.model.mask_token_id, out.trace
    assert mask not in out.token_ids, f"{told}: a mask in {out.token_ids}"
    assert out.finish_reason in ("stop", "length"), told
    canvases = list(trace.replay())
    last = canvases[-1] if canvases else trace.canvas
    whole = last[trace.prompt_length :][: len(out.token_ids)]
    assert whole == out.token_ids, f"{told}: the trace leads to {whole}, the output is {out.token_ids}"
    assert trace.canvas[: trace.prompt_length] == last[: trace.prompt_length], f"{told}: the prompt has changed"
    again = Trace.from_jsonl(trace.to_jsonl())
    assert list(again.replay()) == canvases and len(list(again.render())) == len(canvases), told
    json.dumps(out.to_dict(), allow_nan=False)
    masks = trace.canvas.count(mask)
    # each forward fills a mask for good, or is a pass of `edit` over a block without any
    most = masks * (1 + PASSES * ("edit" in str(own.scheduler) + str(trace.params.get("scheduler"))))
    assert len(trace.steps) <= most, f"{told}: {len(trace.steps)} steps for {masks} masks"
    assert all(0.0 <= c <= 1.0 + 1e-6 for step in trace.steps for c in step.confidences), told
    if own.grammar is not None:
        assert own.grammar.accepts(out.text), f"{told}: wrote {out.text!r}"


def _check_generated(llm: LLM, asked: Any, out: RequestOutput, own: SamplingParams, told: str) -> None:
    """What holds of an answer to a prompt."""
    ids = asked if isinstance(asked, list) else llm.tokenizer.encode(asked)
    assert out.prompt_token_ids == ids, f"{told}: the prompt became {out.prompt_token_ids}"
    assert len(out.token_ids) <= own.max_new_tokens, f"{told}: {len(out.token_ids)} tokens"
    if not own.ignore_eos:
        assert not set(out.token_ids) & set(llm.model.eos_token_ids), f"{told}: an end in {out.token_ids}"
    assert not set(out.token_ids) & set(own.stop_token_ids), f"{told}: a stop id in {out.token_ids}"
    planted = "prophet" in str(own.scheduler)  # may put a text of its own on the canvas
    if own.min_new_tokens and not own.stop:
        assert len(out.token_ids) >= own.min_new_tokens, f"{told}: only {out.token_ids}"
    banned = {token for token, bias in own.biases.items() if bias == -math.inf}
    if not planted and own.grammar is None:
        assert not banned & set(out.token_ids), f"{told}: banned ids in {out.token_ids}"
    if out.finish_reason == "length":
        assert len(out.token_ids) == own.max_new_tokens, f"{told}: {len(out.token_ids)} tokens, and 'length'"
    assert not any(stop in out.text for stop in own.stop), f"{told}: a stop string in {out.text!r}"
    assert out.stats.forwards >= len(out.trace.steps), told


def _check_document(llm: LLM, asked: list[Any], out: RequestOutput, own: SamplingParams, told: str) -> None:
    """What holds of a document: what was given stands where it stood, every hole has its width."""
    given, mask = out.prompt_token_ids, llm.model.mask_token_id
    assert len(out.token_ids) == len(given), told
    assert all(b in (a, mask) for a, b in zip(out.token_ids, given, strict=True)), f"{told}: given text has changed"
    holes = [part for part in asked if isinstance(part, Hole)]
    assert sum(hole.min for hole in holes) <= given.count(mask) <= sum(hole.max for hole in holes), told
    assert out.finish_reason == "stop", told
    if all(isinstance(part, Hole | int) for part in asked) and all(hole.min == hole.max for hole in holes):
        wanted = [one for part in asked for one in ([mask] * part.max if isinstance(part, Hole) else [part])]
        assert given == wanted, f"{told}: the document became {given}"
