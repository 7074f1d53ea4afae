"""Holes that leave their width open: how they are written, what is tried, what is kept and what it costs."""

import copy
import dataclasses
import itertools
import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import dllm.engine.denoise
from dllm import LLM, ConfigError, Grammar, GrammarError, Hole, PromptError, SamplingParams
from dllm.engine.document import CANDIDATES, expand, parse_template
from dllm.grammars import attach as attach_module
from tests.engine.test_llm import letters
from tests.support.fakes import VOCAB, MixDenoiser, ScriptedDenoiser

PARAMS = SamplingParams(block_length=4, seed=3)


@pytest.fixture(scope="module")
def llm():
    return LLM(MixDenoiser(), tokenizer=letters())


@pytest.fixture(scope="module")
def tiny():
    return LLM("tiny")


def sureness(out):
    """Read aloud: for each position, the last step that wrote it; the mean of the logarithms."""
    steps = out.trace.steps
    logs = []
    for position in {position for step in steps for position in step.positions}:
        last = max(i for i, step in enumerate(steps) if position in step.positions)
        assert not any(position in step.revoked for step in steps[last + 1 :])
        logs.append(math.log(steps[last].confidences[steps[last].positions.index(position)]))
    return sum(logs) / len(logs)


def alone(llm, make, widths, params):
    """Every width on its own, through the public API."""
    return [llm.infill(make(width), params) for width in widths]


# ---------------------------------------------------------------------------------------------------------------------
# how it is written


def test_a_range_has_no_width_and_a_width_is_its_own_range():
    hole = Hole(min=3, max=12)
    assert (hole.width, hole.min, hole.max) == (None, 3, 12)
    assert (Hole(12).width, Hole(12).min, Hole(12).max) == (12, 12, 12)
    assert Hole(min=3, max=3) == Hole(3) == Hole(width=3) != Hole(4)
    assert Hole(np.int64(3)) == Hole(3) and type(Hole(np.int64(3)).width) is int
    assert hole == Hole(min=np.int64(3), max=12) != Hole(min=3, max=11)
    assert len({hole, Hole(min=3, max=12), Hole(3)}) == 2
    assert repr(hole) == "Hole(min=3, max=12)" and repr(Hole(3)) == "Hole(width=3)"
    assert pickle.loads(pickle.dumps(hole)) == copy.copy(hole) == hole
    assert dataclasses.replace(Hole(3), width=4) == Hole(4)
    with pytest.raises(AttributeError):
        hole.min = 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "give both"),
        ({"min": 3}, "min=3, max=None: give both"),
        ({"max": 3}, "min=None, max=3: give both"),
        ({"min": 3, "max": 2}, "max=2 must be at least min=3"),
        ({"min": 0, "max": 2}, "Hole min=0 must be a whole number of at least 1"),
        ({"min": -1, "max": 2}, "min=-1"),
        ({"min": 1.0, "max": 2}, r"min=1\.0"),
        ({"min": 1, "max": "2"}, "Hole max='2' must be a whole number"),
        ({"min": 1, "max": True}, "max=True"),
        ({"min": 1, "max": math.inf}, "max=inf"),
        ({"width": 3, "min": 1, "max": 4}, r"width=3 with min=1, max=4: give a width"),
        ({"width": 3, "max": 4}, "width=3 with min=None, max=4"),
        ({"width": 3, "min": 3}, "width=3 with min=3, max=None"),
        ({"width": 0}, "Hole width=0 must be a whole number of at least 1"),
        ({"width": True}, "width=True"),
        ({"width": "a"}, "width='a'"),
    ],
)
def test_every_mistake_is_named(arguments, said):
    with pytest.raises(ConfigError, match=said):
        Hole(**arguments)


def test_in_text():
    assert parse_template("a<mask:3-12>b<mask:2>") == ["a", Hole(min=3, max=12), "b", Hole(2)]
    assert parse_template("< mask:1-2><mask: 3 - 12 >") == ["< mask:1-2>", Hole(min=3, max=12)]
    assert parse_template("<<mask:3-12> <mask:4-4>") == ["<mask:3-12> ", Hole(4)]


@pytest.mark.parametrize("hole", ["<mask:3->", "<mask:-3>", "<mask:1-2-3>", "<mask:1–2>", "<mask:1-x>", "<mask:1-2"])
def test_in_text_what_is_no_range(hole):
    with pytest.raises(PromptError, match="write <mask:N> for N tokens, <mask:3-12> for 3 to 12, or <<mask:") as error:
        parse_template("ab " + hole)
    assert "at column 4" in str(error.value)


@pytest.mark.parametrize(("hole", "said"), [("<mask:0-3>", "min=0"), ("<mask:5-3>", "max=3 must be at least min=5")])
def test_in_text_what_no_hole_can_have(hole, said):
    with pytest.raises(ConfigError, match=said):
        parse_template(hole)


# ---------------------------------------------------------------------------------------------------------------------
# what is tried


def widths(*holes):
    return [tuple(piece.width for piece in pieces if isinstance(piece, Hole)) for pieces in expand(["a", *holes, [3]])]


def test_widths():
    assert widths(Hole(3)) == [(3,)]
    assert widths(Hole(min=3, max=4)) == [(3,), (4,)]
    assert widths(Hole(min=1, max=8)) == [(k,) for k in range(1, 9)]
    assert widths(Hole(min=3, max=12)) == [(w,) for w in (3, 4, 6, 7, 8, 9, 11, 12)]
    # together, not their product; a fixed one stays
    assert widths(Hole(min=1, max=3), Hole(2), Hole(min=10, max=20)) == [
        (round(1 + k * 2 / 7), 2, round(10 + k * 10 / 7)) for k in range(8)
    ]
    assert expand(["a", Hole(2)]) == [["a", Hole(2)]] and expand(["a"]) == [["a"]]


def test_both_ends_are_tried_and_nothing_twice():
    for low, high in itertools.product((1, 2, 7), range(7, 120)):
        tried = [own for (own,) in widths(Hole(min=low, max=high))]
        assert tried[0] == low and tried[-1] == high
        assert tried == sorted(set(tried)) and len(tried) == min(CANDIDATES, high - low + 1)


# ---------------------------------------------------------------------------------------------------------------------
# what is kept


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scheduler": "topk(1)"},
        {"temperature": 1.5, "top_k": 5},
        {"cfg_scale": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", [3, 4])
def test_the_surest_is_kept(llm, changes, seed):
    params = SamplingParams(block_length=4, seed=seed, **changes)

    def make(width):
        return ["ab", Hole(width), "cd", Hole(3), [5]]

    singles = alone(llm, make, range(1, 7), params)
    best = max(singles, key=sureness)
    out = llm.infill(["ab", Hole(min=1, max=6), "cd", Hole(3), [5]], params)
    assert len({round(sureness(one), 6) for one in singles}) == 6
    for name in ("text", "token_ids", "prompt_token_ids", "holes", "seed", "finish_reason"):
        assert getattr(out, name) == getattr(best, name), name
    assert [step.positions for step in out.trace.steps] == [step.positions for step in best.trace.steps]


def test_not_always_the_same_width():
    kept = set()
    for seed in range(12):
        llm = LLM(MixDenoiser(seed=seed, scale=0.7))
        params = SamplingParams(scheduler="topk(1)")
        singles = alone(llm, lambda width: [[1, 2], Hole(width), [3]], range(1, 5), params)
        out = llm.infill([[1, 2], Hole(min=1, max=4), [3]], params)
        assert out.token_ids == max(singles, key=sureness).token_ids
        kept.add(len(out.token_ids) - 3)
    assert len(kept) > 1


def test_a_token_counts_by_its_last_commit(tiny):
    params = SamplingParams(scheduler="wino(accept=0.1, revoke=0.9)", block_length=16)
    document = "int f(int a, int b) {{ <mask:{}> }}"
    singles = alone(tiny, document.format, range(4, 12), params)
    assert any(step.revoked for one in singles for step in one.trace.steps)
    out = tiny.infill(document.format("4-11"), params)
    assert out.token_ids == max(singles, key=sureness).token_ids
    assert out.token_ids != max(singles, key=first_thoughts).token_ids


def first_thoughts(out):
    """As `sureness`, by the first commit."""
    first = {}
    for step in out.trace.steps:
        for position, confidence in zip(step.positions, step.confidences, strict=True):
            first.setdefault(position, math.log(confidence))
    return sum(first.values()) / len(first)


@pytest.mark.parametrize("p", [0.35, 0.6, 0.7, 0.9, 1.0])
@pytest.mark.parametrize("low", [2, 7, 11])
def test_of_equals_the_shortest(low, p):
    def script(ids):
        probabilities = torch.full((len(ids), VOCAB), (1 - p) / (VOCAB - 1), dtype=torch.float64)
        probabilities[:, 4] = p
        return probabilities.log()

    out = LLM(ScriptedDenoiser(script)).infill([[1], Hole(min=low, max=low + 7), [1]])
    assert out.token_ids == [1, *[4] * low, 1]


@pytest.mark.parametrize("width", [1, 2, 5])
def test_the_model_decides(width):
    """A model that is sure of its tokens only where the canvas has the length it likes."""

    def script(ids):
        p = 0.95 if len(ids) == width + 2 else 0.4
        probabilities = torch.full((len(ids), VOCAB), (1 - p) / (VOCAB - 1), dtype=torch.float64)
        probabilities[:, 4] = p
        return probabilities.log()

    assert LLM(ScriptedDenoiser(script)).infill([[1], Hole(min=1, max=6), [1]]).token_ids == [1, *[4] * width, 1]


def test_tiny_finds_out_how_many(tiny):
    document = '["Mary", "Linda", "Susan"]\nReverse the list.\n<mask:4-12>'
    out = tiny.infill(document)
    assert out.holes == ['["Susan", "Linda", "Mary"]'] and out.text.endswith(out.holes[0])
    assert out.text == tiny.infill(document.replace("4-12", str(out.stats.tokens))).text


# ---------------------------------------------------------------------------------------------------------------------
# under a grammar


def test_widths_that_do_not_fit_drop_out(llm):
    params = SamplingParams(grammar=Grammar.from_regex("a[b-z]{4}a"), seed=0)
    out = llm.infill("a<mask:2-7>a", params)
    alone = llm.infill("a<mask:4>a", params)
    assert out.token_ids == alone.token_ids and len(out.holes[0]) == 4
    assert out.stats.forwards == alone.stats.forwards  # nothing else has run
    # of one candidate that is left there is a stream
    assert list(llm.stream_infill("a<mask:2-7>a", params))[-1].output.token_ids == out.token_ids


def test_of_the_widths_that_fit_the_surest(llm):
    params = SamplingParams(grammar=Grammar.from_choices(["ab", "acid", "abcdefg"]), scheduler="topk(1)")
    out = llm.infill("a<mask:1-8>", params)
    singles = alone(llm, lambda width: ["a", Hole(width)], (1, 3, 6), params)
    assert out.token_ids == max(singles, key=sureness).token_ids
    assert out.stats.forwards == sum(one.stats.forwards for one in singles)


def test_none_fits_is_one_error(llm):
    params = SamplingParams(grammar=Grammar.from_regex("a[b-z]{12}a"))
    with pytest.raises(GrammarError) as widest:
        llm.infill("a<mask:5>a", params)
    with pytest.raises(GrammarError) as error:
        llm.infill("a<mask:2-5>a", params)
    assert str(error.value).endswith(str(widest.value))
    assert "<mask:2-5> (2, 3, 4, 5), none fits" in str(error.value)
    with pytest.raises(GrammarError) as fixed:
        llm.infill(["a", Hole(min=5, max=5), "a"], params)
    assert str(fixed.value) == str(widest.value)


def test_advice_is_sought_once_and_only_where_no_width_fits(llm, monkeypatch):
    asked, true = [], attach_module.advice

    def advice(grammar, compiled, canvas):
        asked.append(len(canvas.ids))
        return true(grammar, compiled, canvas)

    monkeypatch.setattr(attach_module, "advice", advice)
    llm.infill("a<mask:2-5>a", SamplingParams(grammar=Grammar.from_regex("a[b-z]{5}a")))
    assert asked == []
    with pytest.raises(GrammarError, match="with 7 more tokens"):
        llm.infill("a<mask:2-5>a", SamplingParams(grammar=Grammar.from_regex("a[b-z]{12}a")))
    assert asked == [7]


def test_tiny_under_a_grammar(tiny):
    out = tiny.infill("x = <mask:1-9>;", SamplingParams(grammar=Grammar.from_regex("x = [0-9]{6};")))
    assert out.text == f"x = {out.holes[0]};" and len(out.holes[0]) == 6 and out.holes[0].isdigit()


# ---------------------------------------------------------------------------------------------------------------------
# several documents, samples, seeds, streams


def test_documents_of_all_kinds_in_one_call(llm):
    documents = ["a<mask:2>b", ["c", Hole(min=1, max=5)], "<mask:1-3>d<mask:2>", ["e", Hole(4), [6]]]
    params = [SamplingParams(seed=seed, temperature=0.8) for seed in range(4)]
    singles = [llm.infill(document, one) for document, one in zip(documents, params, strict=True)]
    for size in (1, 3, 32):
        outs = llm.infill(documents, params, max_batch_size=size)
        assert [out.token_ids for out in outs] == [out.token_ids for out in singles]
        assert [out.stats.forwards for out in outs] == [out.stats.forwards for out in singles]
    assert [len(out.holes) for out in outs] == [1, 1, 2, 1]


def test_samples_each_keep_their_own(llm):
    params = SamplingParams(seed=5, n=3, temperature=1.5, scheduler="topk(1)")
    out = llm.infill("ab<mask:1-4>c", params)
    assert [one.seed for one in out.samples] == [5, 6, 7]
    for sample in out.samples:
        one = SamplingParams(seed=sample.seed, temperature=1.5, scheduler="topk(1)")
        assert sample.token_ids == llm.infill("ab<mask:1-4>c", one).token_ids
        assert sample.stats.forwards == 1 + 2 + 3 + 4


def test_a_seed_settles_it(llm):
    params = SamplingParams(temperature=2.0, seed=9)
    assert len({tuple(llm.infill("a<mask:2-6>", params).token_ids) for _ in range(3)}) == 1
    unseeded = llm.infill("a<mask:2-6>", SamplingParams(temperature=2.0))
    again = SamplingParams(temperature=2.0, seed=unseeded.seed)
    assert llm.infill("a<mask:2-6>", again).token_ids == unseeded.token_ids


def test_a_stream_follows_one_canvas(llm):
    with pytest.raises(ConfigError, match=r"8 of its widths are tried; .* use infill\(\)"):
        llm.stream_infill("a<mask:2-90>", PARAMS)
    assert list(llm.stream_infill(["a", Hole(min=3, max=3)], PARAMS))[-1].output.text


def test_the_widest_has_to_fit_the_context(tiny):
    with pytest.raises(PromptError, match=r"document's holes is 600 tokens; .* holds 512"):
        tiny.infill("a<mask:3-600>")
    with pytest.raises(PromptError, match=r"item 1 of 2: the document, holes included, is \d+ tokens"):
        tiny.infill(["a<mask:3>", "a b c<mask:3-511>"])


# ---------------------------------------------------------------------------------------------------------------------
# costs


@pytest.mark.parametrize("cache", ["none", "prefix"])
def test_stats_count_all_that_ran(tiny, cache):
    params = SamplingParams(cache=cache, block_length=4, scheduler="topk(1)")
    singles = alone(tiny, lambda width: ["int f() { return ", Hole(width), "; }"], range(2, 6), params)
    out = tiny.infill("int f() { return <mask:2-5>; }", params)
    for name in ("forwards", "refreshes", "slots"):
        assert getattr(out.stats, name) == sum(getattr(one.stats, name) for one in singles), name
    assert out.stats.forwards == 2 + 3 + 4 + 5 and out.stats.cache == cache
    assert out.stats.tokens == len(out.trace.steps)
    assert out.stats.tokens_per_forward == out.stats.tokens / 14


@pytest.mark.parametrize("size", [1, 3, 32])
def test_time_that_candidates_share_passes_once(llm, monkeypatch, size):
    now, laps = itertools.count(), []

    def perf_counter():
        laps.append(float(next(now) ** 2))  # rounds of different lengths
        return laps[-1]

    monkeypatch.setattr(dllm.engine.denoise, "time", SimpleNamespace(perf_counter=perf_counter))
    out = llm.infill("a<mask:1-5>", SamplingParams(scheduler="topk(1)"), max_batch_size=size)
    rounds = [end - began for began, end in zip(laps[::2], laps[1::2], strict=True)]
    assert len(rounds) == {1: 15, 3: 7, 32: 5}[size]
    assert out.stats.seconds == sum(rounds) and out.stats.forwards == 15


def test_the_search_for_widths_is_grammar_time(llm):
    out = llm.infill("a<mask:2-7>a", SamplingParams(grammar=Grammar.from_regex("a[b-z]{4}a")))
    assert out.stats.grammar_seconds > 0 and out.stats.witness_tokens <= out.stats.tokens == 4


def test_from_a_shell(tmp_path):
    from typer.testing import CliRunner

    from dllm.cli.app import app

    path = tmp_path / "list.txt"
    path.write_text('["Mary", "Linda", "Susan"]\nReverse the list.\n<mask:4-12>')
    result = CliRunner().invoke(app, ["infill", str(path)])
    assert result.exit_code == 0 and result.stdout.endswith('\n["Susan", "Linda", "Mary"]\n')
