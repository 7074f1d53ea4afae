"""The batcher: whatever comes, goes, fails or runs out of memory, a row's tokens are those of the row alone."""

import gc
import random
import tracemalloc
import warnings
import weakref
from itertools import product
from pathlib import Path

import pytest
import torch

import dllm.engine.memory
from dllm import (
    LLM,
    Batcher,
    ConfigError,
    DllmError,
    Grammar,
    GrammarError,
    Hole,
    Interrupted,
    MemoryLimitError,
    ModelError,
    PromptError,
    SamplingParams,
    StepError,
)
from dllm.engine.row import Row
from dllm.schedulers import as_scheduler
from dllm.schedulers.threshold import Threshold
from tests.support.fakes import MixDenoiser
from tests.support.pairwise import marked

GOLDEN = Path(__file__).parents[1] / "golden"
STATEFUL = "adablock(tau=0.01, delimiters='3 14 15 92 65 35 89')+credit+localleap(anchor=0.05)"
SPECS = (
    STATEFUL,
    "topk(2)",
    "factor(20)",
    "klass(0.02, epsilon=1)",
    "credit+threshold(0.05)",
    "wino(0.02, revoke=0.1)",
)
CACHES = (
    "none",
    "prefix",
    "dual",
    "window(2, right=1, every=3, keep_prompt=true)",
    "suffix(4, every=2)",
    "delayed(every=3)",
    "drift",
)
EXTRAS = ({}, {"temperature": 0.8, "top_p": 0.9}, {"cfg_scale": 0.7})


@pytest.fixture(scope="module")
def native():
    return LLM(GOLDEN / "llada", dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def tiny():
    return LLM("tiny")


def mixed(count, caches=CACHES, specs=SPECS, seed=0):
    """Prompts of random lengths with parameters that differ in everything."""
    rng = random.Random(seed)
    params = [
        SamplingParams(
            max_new_tokens=rng.randrange(3, 14),
            block_length=rng.choice((4, 8, 32)),
            scheduler=specs[i % len(specs)],
            cache=rng.choice(caches),
            seed=i,
            n=rng.choice((1, 1, 1, 2)),
            **EXTRAS[i % 3],
        )
        for i in range(count)
    ]
    return [rng.choices(range(200), k=rng.randrange(1, 20)) for _ in range(count)], params


def alone(llm, prompts, params):
    return [llm.generate(prompt, own, max_batch_size=1) for prompt, own in zip(prompts, params, strict=True)]


def same(out, expected):
    """Whether tokens, order and counts are those of another run."""
    assert len(out.samples) == len(expected.samples)
    for one, other in zip(out.samples, expected.samples, strict=True):
        assert (one.token_ids, one.finish_reason) == (other.token_ids, other.finish_reason)
        for name in ("positions", "token_ids", "confidences", "revoked", "length"):
            assert [getattr(s, name) for s in one.trace.steps] == [getattr(s, name) for s in other.trace.steps]
        for name in ("forwards", "refreshes", "positions_fed", "tokens", "slots"):
            assert getattr(one.stats, name) == getattr(other.stats, name), name


def drain(batcher):
    events = []
    while batcher.busy:
        events += batcher.step()
    return events


def fail_above(monkeypatch, model, most, make=lambda: torch.OutOfMemoryError("CUDA out of memory")):
    """The model runs out of memory above so many lanes, in turns before and after it has written K/V."""
    forward, count = model.forward_rows, []

    def short(rows):
        if len(rows) <= most:
            return forward(rows)
        count.append(len(rows))
        if len(count) % 2:
            forward(rows)
        raise make()

    monkeypatch.setattr(model, "forward_rows", short)
    return count


def spy(monkeypatch, model):
    """The rows of every forward."""
    forward, calls = model.forward_rows, []

    def watched(rows):
        calls.append(list(rows))
        return forward(rows)

    monkeypatch.setattr(model, "forward_rows", watched)
    return calls


def live_rows():
    return sum(type(one) is Row for one in gc.get_objects())


@pytest.mark.parametrize("max_refreshes", [None, 1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_enters_and_leaves_when_tokens_are_those_of_single_runs(native, seed, max_refreshes):
    prompts, params = mixed(24, seed=seed)
    expected = alone(native, prompts, params)
    rng, batcher = random.Random(seed), Batcher(native, max_batch_size=5, max_refreshes=max_refreshes)
    tickets, waiting, taken_back = {}, list(range(24)), set()
    while waiting or batcher.busy:
        for _ in range(min(len(waiting), rng.choice((0, 0, 1, 3)))):
            i = waiting.pop(rng.randrange(len(waiting)))
            tickets[i] = batcher.add(prompts[i], params[i])
        if tickets and rng.random() < 0.15:
            i = rng.choice(list(tickets))
            if not tickets[i].done:
                batcher.cancel(tickets[i])
                taken_back.add(i)
        for event in batcher.step():
            assert not event.ticket.cancelled
        assert batcher.live <= 5
    assert taken_back and len(tickets) == 24
    for i, ticket in tickets.items():
        assert ticket.done and ticket.cancelled == (i in taken_back) and ticket.error is None
        if i in taken_back:
            assert ticket.output is None
        else:
            same(ticket.output, expected[i])


def test_conversations_documents_and_grammars_share_rounds(tiny):
    reverse = '["Mary", "Linda", "Susan"]\nReverse the list.\n'
    messages = [{"role": "user", "content": "Name: Ana, Age: 31, City: Rome\nWrite JSON with keys: age, name"}]
    json = SamplingParams(grammar=Grammar.builtin("json"), max_new_tokens=48)
    cpp = SamplingParams(grammar=Grammar.builtin("cpp"), scheduler="topk(2)+credit", cache="dual")
    range_of_widths = ["int add(int a, int b) { return ", Hole(min=2, max=5), "; }"]
    batcher = Batcher(tiny, max_batch_size=3, max_refreshes=1)
    tickets = [
        batcher.add(reverse),
        batcher.add_chat(messages, json),
        batcher.add_infill(range_of_widths, cpp),
        batcher.add_infill(range_of_widths),
        batcher.add(reverse, SamplingParams(n=3, temperature=0.5, seed=4, cache="none")),
    ]
    drain(batcher)
    same(tickets[0].output, tiny.generate(reverse))
    same(tickets[1].output, tiny.chat(messages, json))
    same(tickets[2].output, tiny.infill(range_of_widths, cpp))
    same(tickets[3].output, tiny.infill(range_of_widths))
    same(tickets[4].output, tiny.generate(reverse, SamplingParams(n=3, temperature=0.5, seed=4, cache="none")))
    assert Grammar.builtin("cpp").accepts(tickets[2].output.text)


def test_events_tell_the_story_of_a_stream(tiny):
    prompt = '["Mary", "Linda", "Susan"]\nReverse the list.\n'
    params = SamplingParams(scheduler="topk(3)")
    expected, batcher = list(tiny.stream(prompt, params)), Batcher(tiny, max_batch_size=2)
    ticket = batcher.add(prompt, params)
    batcher.add("2 + 3 = ", params)
    seen = []
    while batcher.busy:
        seen += [(e.step.positions, e.text, e.canvas, e.finished) for e in batcher.step() if e.ticket is ticket]
    assert seen == [(e.positions, e.text, e.canvas, e.output is not None) for e in expected]
    same(ticket.output, expected[-1].output)


def test_no_forward_is_made_for_finished_waiting_or_cancelled_rows():
    model = MixDenoiser(seed=3)
    batcher = Batcher(LLM(model), max_batch_size=3)
    tickets = [batcher.add([i, 1], SamplingParams(max_new_tokens=3 + i, scheduler="topk")) for i in range(8)]
    batcher.cancel(tickets[7])
    assert (batcher.live, batcher.waiting) == (0, 7)
    batcher.step()
    batcher.step()
    assert (batcher.live, batcher.waiting, sum(b for b, _ in model.calls)) == (3, 4, 6)
    batcher.cancel(tickets[2])
    batcher.cancel(tickets[2])
    assert batcher.live == 2, "the slot is free at once"
    batcher.step()
    assert batcher.live <= 3 and not tickets[3].done
    drain(batcher)
    outputs = [ticket.output for ticket in tickets if ticket.output is not None]
    assert len(outputs) == 6 and tickets[2].cancelled and tickets[2].so_far is None
    assert sum(b for b, _ in model.calls) == sum(out.stats.forwards for out in outputs) + 2
    assert batcher.step() == [] and not batcher.busy


def test_cancelling_frees_keys_and_values_at_once(native):
    batcher = Batcher(native, max_batch_size=4)
    params = SamplingParams(max_new_tokens=12, block_length=4, scheduler="topk", cache="dual")
    gone, stays = batcher.add([1, 2, 3], params), batcher.add([1, 2, 3], params)
    events = batcher.step()
    stores = [weakref.ref(lane.keys) for event in events for lane in event._request.row.lanes]
    assert len(stores) == 2 and all(store() is not None for store in stores)
    batcher.cancel(gone)
    assert sum(store() is not None for store in stores) == 1, "though the event is still held"
    drain(batcher)
    same(stays.output, native.generate([1, 2, 3], params))
    assert all(store() is None for store in stores)


class Cheap:
    """Answers at once: token 1 everywhere, surely at two of three positions. Without K/V, for long queues."""

    vocab_size, mask_token_id, eos_token_ids, max_length = 8, 6, (7,), None
    capabilities, lookback, device = frozenset(), 0, torch.device("cpu")

    def __init__(self):
        self.most = self.rows = 0

    def logits(self, input_ids, attention_mask=None):
        raise AssertionError

    def new_kv(self, length):
        raise AssertionError

    def forward_rows(self, rows):
        self.most, self.rows = max(self.most, len(rows)), self.rows + len(rows)
        found = []
        for row in rows:
            logits = torch.zeros(len(row.wanted), 8)
            logits[:, 1] = torch.where(row.wanted % 3 > 0, 9.0, 1.0)
            found.append(logits)
        return found


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.full)])
def test_thousands_of_prompts_wait_in_bounded_memory(count):
    rng, model = random.Random(0), Cheap()
    llm = LLM(model)
    params = [SamplingParams(max_new_tokens=k, scheduler="threshold(0.5)") for k in range(1, 9)]
    batcher = Batcher(llm, max_batch_size=16)
    made = [rng.choices(range(6), k=rng.randrange(1, 100)) for _ in range(count)]
    tracemalloc.start()
    tickets = [batcher.add(prompt, params[rng.randrange(8)]) for prompt in made]
    queued = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    # what waits is its ids, four bytes each, and a few objects: no canvas
    assert queued <= count * 1500 + 5 * sum(map(len, made)), queued
    most, forwards, finished = 0, 0, 0
    before = live_rows()
    while batcher.busy:
        finished += sum(event.finished for event in batcher.step())
        forwards += 1
        if forwards % 100 == 0:
            most = max(most, live_rows() - before)
    assert finished == count and model.most == 16 and 0 < most <= 17
    assert sum(ticket.output.stats.forwards for ticket in tickets) == model.rows
    assert all(ticket.output.prompt_token_ids == prompt for ticket, prompt in zip(tickets, made, strict=True))
    assert live_rows() == before, "outputs hold no canvas"


class Breaks(Threshold):
    """Raises what it is given, where it is told to, once the row is at that step."""

    where, at, error = "select", 0, ZeroDivisionError("by zero")

    def _maybe(self, where, view):
        if where == self.where and view.step == self.at:
            raise self.error

    def init(self, view):
        self._maybe("init", view)
        return super().init(view)

    def wants(self, view, state):
        self._maybe("wants", view)
        return view.positions[:0] if hasattr(view, "positions") else torch.arange(0)

    def transform(self, view, positions, logits, state):
        self._maybe("transform", view)
        return logits, state

    def select(self, view, state):
        self._maybe("select", view)
        return super().select(view, state)


def breaks(where, at, error):
    kind = type("Breaks", (Breaks,), {"where": where, "at": at, "error": error})
    return kind(0.05)


@pytest.mark.parametrize("cache", ["none", "dual"])
def test_a_row_that_raises_fails_alone(native, cache):
    prompts, params = mixed(6, caches=(cache,), seed=7)
    expected = alone(native, prompts, params)
    cases = [
        ("init", 0, ZeroDivisionError("by zero"), StepError, "before its first step"),
        ("wants", 1, KeyError("x"), StepError, "at step 1 of a row of 15 tokens the request raised KeyError: 'x'"),
        ("transform", 2, ValueError("odd"), StepError, "raised ValueError: odd; see its __cause__ (scheduler"),
        ("select", 1, ConfigError("no such thing"), ConfigError, "no such thing"),
        ("select", 1, RuntimeError("out of memory"), MemoryLimitError, "row of 15 tokens"),
    ]
    bad = [
        SamplingParams(max_new_tokens=12, block_length=4, cache=cache, scheduler=breaks(where, at, error))
        for where, at, error, *_ in cases
    ]
    outs = native.generate(
        [p for pair in zip(prompts, [[1, 2, 3]] * 5, strict=False) for p in pair] + prompts[5:],
        [p for pair in zip(params, bad, strict=False) for p in pair] + params[5:],
        max_batch_size=4,
        on_error="return",
    )
    for out, one in zip([*outs[0:10:2], outs[10]], expected, strict=True):
        same(out, one)
    for found, (_, _, raised, kind, says) in zip(outs[1:10:2], cases, strict=True):
        assert type(found) is kind and says in str(found)
        assert found is raised or found.__cause__ is raised
    before = live_rows()
    del outs
    gc.collect()
    assert live_rows() == before, "errors that are kept hold no canvas"


def test_nan_logits_of_one_row_and_a_grammar_that_does_not_fit(tiny, monkeypatch):
    forward = tiny.model.forward_rows
    poisoned = tiny.tokenizer.encode("poison")

    def poison(rows):
        return [
            logits * float("nan") if row.token_ids[: len(poisoned)].tolist() == poisoned else logits
            for row, logits in zip(rows, forward(rows), strict=True)
        ]

    prompt = '["Mary", "Linda", "Susan"]\nReverse the list.\n'
    good = tiny.generate(prompt)
    monkeypatch.setattr(tiny.model, "forward_rows", poison)
    narrow = SamplingParams(grammar=Grammar.from_regex("a{500}"), max_new_tokens=8)
    asked = [prompt, "poison " + prompt, prompt, "", prompt]
    params = [SamplingParams(), SamplingParams(), narrow, SamplingParams(), SamplingParams()]
    outs = tiny.generate(asked, params, on_error="return")
    same(outs[0], good)
    same(outs[4], good)
    assert [type(out) for out in outs[1:4]] == [ModelError, GrammarError, PromptError]
    assert "NaN" in str(outs[1]) and "the shortest" in str(outs[2]) and "empty" in str(outs[3])
    assert isinstance(tiny.generate("", on_error="return"), PromptError)
    with pytest.raises(ModelError, match="NaN"):
        tiny.generate(asked[:2])
    with pytest.raises(ConfigError, match=r"on_error='ignore' must be one of: raise, return"):
        tiny.generate(prompt, on_error="ignore")


def test_with_raise_mistakes_show_before_the_first_forward(tiny, monkeypatch):
    calls = spy(monkeypatch, tiny.model)
    narrow = SamplingParams(grammar=Grammar.from_regex("a{500}"), max_new_tokens=8)
    usual = SamplingParams(max_new_tokens=8)
    for size in (1, 2, 32):
        with pytest.raises(GrammarError, match=r"item 4 of 6: .*the shortest"):
            tiny.generate(["a"] * 6, [usual] * 4 + [narrow] + [usual], max_batch_size=size)
        with pytest.raises(PromptError, match="item 5 of 6: prompt is empty"):
            tiny.generate(["a"] * 5 + [""], [narrow] * 6, max_batch_size=size)
        documents = ["int f() { return <mask:3>; }"] * 3 + ["int f() { return ) <mask:3>; }"]
        with pytest.raises(GrammarError, match=r"item 3 of 4: [\s\S]*\^"):
            tiny.infill(documents, SamplingParams(grammar=Grammar.builtin("cpp")), max_batch_size=size)
        with pytest.raises(ZeroDivisionError):
            tiny.generate(["a"] * 3, SamplingParams(scheduler=breaks("init", 0, ZeroDivisionError())))
    with pytest.raises(GrammarError, match=r"^(?!item)"):
        tiny.generate("a", narrow)
    documents = [["a", Hole(4)], ["a", Hole(4), "b", Hole(4), "c", Hole(4)]]
    with pytest.raises(ConfigError, match="fewer than the 3 blocks of 12"):  # the budget is the document's own
        tiny.infill(documents, SamplingParams(steps=2, scheduler="llada", block_length=4), max_batch_size=1)
    assert not calls


def test_budgets_of_steps_are_each_prompts_own_on_block_causal_models(monkeypatch):
    llm = LLM(GOLDEN / "sdar", dtype="float32", device="cpu", mask_token_id=1)
    calls = spy(monkeypatch, llm.model)
    params = SamplingParams(steps=2, scheduler="llada", max_new_tokens=8, block_length=8, ignore_eos=True)
    with pytest.raises(ConfigError, match="fewer than the 3 blocks of 8"):
        llm.generate([[5, 6, 7, 8], [5, 6, 7]], params, max_batch_size=1)
    assert not calls


def test_a_model_that_fails_only_on_batches_is_told_on(native, monkeypatch):
    prompts, params = mixed(5, seed=9)
    expected = alone(native, prompts, params)
    forward = native.model.forward_rows

    def single(rows):
        if len({row.kv is None for row in rows}) > 1 or len(rows) > 2:
            raise ValueError("one row, please")
        return forward(rows)

    monkeypatch.setattr(native.model, "forward_rows", single)
    with pytest.warns(RuntimeWarning, match=r"rows raised \(ValueError: one row, please\)"):
        outs = native.generate(prompts, params)
    for out, one in zip(outs, expected, strict=True):
        same(out, one)


ERRORS = {
    "cuda": lambda: torch.OutOfMemoryError("CUDA out of memory"),
    "cpu": lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    "python": MemoryError,
    "onednn": lambda: RuntimeError("could not create a primitive"),
}


@pytest.mark.parametrize(("cache", "most", "error"), marked(list(product(CACHES, (2, 5), ERRORS))))
def test_out_of_memory_halves_the_batch_and_changes_nothing(native, monkeypatch, cache, most, error):
    prompts, params = mixed(14, caches=(cache,), seed=most)
    expected = alone(native, prompts, params)
    with monkeypatch.context() as patched:
        tried = fail_above(patched, native.model, most, ERRORS[error])
        with pytest.warns(RuntimeWarning, match="out of memory with .* going on with") as said:
            outs = native.generate(prompts, params, max_batch_size=12)
    for out, one in zip(outs, expected, strict=True):
        same(out, one)
    assert len(said) <= 3 and len(tried) <= 5, "the lower number is kept"


def test_memory_that_runs_out_midway(native, monkeypatch):
    """Rows that are put back in the midst of a block keep what they have stored, those about to refresh drop it."""
    prompts, params = mixed(8, caches=CACHES, specs=(STATEFUL, "topk(1)"), seed=1)
    expected = alone(native, prompts, params)
    for first in range(1, 8):
        forward, count = native.model.forward_rows, [0]

        def shrinks(rows, first=first, forward=forward, count=count):
            count[0] += 1
            found = forward(rows)
            if count[0] >= first and len(rows) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return found

        with monkeypatch.context() as patched, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            patched.setattr(native.model, "forward_rows", shrinks)
            batcher = Batcher(native, max_batch_size=8, max_refreshes=2 if first % 2 else None)
            tickets = [batcher.add(prompt, own) for prompt, own in zip(prompts, params, strict=True)]
            drain(batcher)
        assert said and batcher.max_batch_size <= 3
        for ticket, one in zip(tickets, expected, strict=True):
            same(ticket.output, one)


def test_memory_that_runs_out_behind_the_forward(native, monkeypatch):
    """The transforms of other rows have run by then; their credits must not be counted twice."""
    prompts, params = mixed(6, caches=CACHES[2:], specs=(STATEFUL, "credit+topk(1)"), seed=5)
    expected = alone(native, prompts, params)
    calls = spy(monkeypatch, native.model)

    class Hungry(Threshold):
        def transform(self, view, positions, logits, state):
            if len(calls) >= 4 and len(calls[-1]) > 4:
                raise MemoryError
            return logits, state

    hungry = SamplingParams(max_new_tokens=30, block_length=4, scheduler=Hungry(1.0), cache="dual")
    with pytest.warns(RuntimeWarning, match="going on with"):
        outs = native.generate([*prompts, [1, 2]], [*params, hungry])
    for out, one in zip(outs, expected, strict=False):
        same(out, one)


def test_a_row_too_large_alone_fails_alone(native, monkeypatch):
    prompts, params = mixed(6, caches=("dual",), seed=2)
    expected = alone(native, prompts, params)
    forward = native.model.forward_rows

    def short(rows):
        if any(len(row.token_ids) > 60 for row in rows):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(rows)

    monkeypatch.setattr(native.model, "forward_rows", short)
    with pytest.warns(RuntimeWarning, match="going on with"):
        outs = native.generate(
            [*prompts[:3], [1] * 60, *prompts[3:]],
            [*params[:3], SamplingParams(max_new_tokens=4), *params[3:]],
            on_error="return",
        )
    big = outs.pop(3)
    assert isinstance(big, MemoryLimitError) and "row of 64 tokens" in str(big) and "shorter" in str(big)
    for out, one in zip(outs, expected, strict=True):
        same(out, one)
    with pytest.raises(MemoryLimitError, match="row of 64 tokens"):
        native.generate([1] * 60, SamplingParams(max_new_tokens=4))


@pytest.mark.parametrize("forward", [1, 4, 9])
def test_ctrl_c_returns_what_is_finished(native, monkeypatch, forward):
    prompts = [[i, 1] for i in range(6)]
    params = [SamplingParams(max_new_tokens=k, scheduler="topk", n=1 + (k == 2)) for k in (5, 1, 2, 3, 9, 1)]
    expected = alone(native, prompts, params)
    run, calls = native.model.forward_rows, []

    def interrupted(rows):
        calls.append(1)
        if len(calls) == forward:
            raise KeyboardInterrupt
        return run(rows)

    monkeypatch.setattr(native.model, "forward_rows", interrupted)
    with pytest.raises(KeyboardInterrupt) as stopped:
        native.generate(prompts, params, max_batch_size=2)
    assert isinstance(stopped.value, Interrupted)
    outputs = stopped.value.outputs
    finished = [i for i, out in enumerate(outputs) if out is not None]
    assert len(outputs) == 6 and f"{len(finished)} of 6" in str(stopped.value)
    assert finished == {1: [], 4: [1, 2], 9: [0, 1, 2, 3]}[forward]
    for i in finished:
        if len(outputs[i].samples) == params[i].n:
            same(outputs[i], expected[i])


def test_samples_that_were_finished_are_kept(native, monkeypatch):
    params = SamplingParams(max_new_tokens=2, scheduler="topk", n=5, temperature=1.0, seed=1)
    expected = native.generate([1, 2], params)
    run, calls = native.model.forward_rows, []

    def interrupted(rows):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return run(rows)

    monkeypatch.setattr(native.model, "forward_rows", interrupted)
    with pytest.raises(Interrupted) as stopped:
        native.generate([1, 2], params, max_batch_size=1)
    (kept,) = stopped.value.outputs
    assert [s.token_ids for s in kept.samples] == [s.token_ids for s in expected.samples[: len(kept.samples)]]
    assert 1 <= len(kept.samples) < 5


@pytest.mark.parametrize("limit", [1, 3])
def test_refreshes_are_staggered(native, monkeypatch, limit):
    specs = ("factor(1000000)", "topk(2)", STATEFUL)
    prompts, params = mixed(12, caches=("dual", "prefix"), specs=specs, seed=4)
    expected = alone(native, prompts, params)
    calls = spy(monkeypatch, native.model)
    batcher = Batcher(native, max_batch_size=12, max_refreshes=limit)
    tickets = [batcher.add(prompt, own) for prompt, own in zip(prompts, params, strict=True)]
    while batcher.busy:
        before = len(calls)
        assert batcher.step() and len(calls) == before + 1
        fed_whole = [row for row in calls[-1] if len(row.token_ids) == row.kv.length]
        assert len(fed_whole) <= 2 * limit, "a guided row has two lanes"
    for ticket, one in zip(tickets, expected, strict=True):
        same(ticket.output, one)


@pytest.mark.parametrize("limit", [1, 2])
def test_nobody_starves(native, limit):
    """All blocks are committed at once, so that all six rows are due in every round: they take turns."""
    params = SamplingParams(max_new_tokens=24, block_length=4, scheduler="factor(1000000)", cache="dual")
    batcher = Batcher(native, max_batch_size=6, max_refreshes=limit)
    tickets = [batcher.add([i, 1], params) for i in range(6)]
    turns = [[tickets.index(event.ticket) for event in batcher.step()] for _ in range(12 // limit)]
    assert turns == [[(limit * k + i) % 6 for i in range(limit)] for k in range(12 // limit)]
    drain(batcher)
    assert all(ticket.output.stats.refreshes == 6 for ticket in tickets)


def test_as_many_rows_as_fit_into_memory(native, monkeypatch):
    params = SamplingParams(max_new_tokens=8, scheduler="topk", cache="dual", ignore_eos=True)
    calls = spy(monkeypatch, native.model)

    def widest(free, **options):
        monkeypatch.setattr(dllm.engine.memory, "free_bytes", lambda device: free)
        calls.clear()
        native.generate([[1, 2, 3]] * 40, params, **options)
        return max(map(len, calls))

    one = dllm.engine.memory.row_bytes(native.model, _row(native, params))
    assert widest(None) == widest(1 << 40) == 32
    assert widest(int(5.5 * one / dllm.engine.memory.SHARE)) == 5
    assert widest(0) == 1, "a row alone always runs"
    assert widest(0, max_batch_size=7) == 7 and widest(1 << 40, max_batch_size=40) == 40


def _row(llm, params):
    from dllm.engine.answer import AnswerDraft

    return AnswerDraft.of(llm.engine, [1, 2, 3], params).sample(0).row


def test_what_a_row_takes_grows_with_what_it_keeps(native):
    def taken(**options):
        return dllm.engine.memory.row_bytes(native.model, _row(native, SamplingParams(**options)))

    plain = taken(max_new_tokens=32, cache="none")
    assert taken(max_new_tokens=32, cache="dual") > plain < taken(max_new_tokens=60, cache="none")
    assert taken(max_new_tokens=32, cache="none", cfg_scale=1.0) > plain
    spec, length = native.model.spec, 35
    kept = 2 * spec.layers * spec.kv_heads * spec.head_dim * length * 4
    assert taken(max_new_tokens=32, cache="dual") - plain == kept
    keys = native.model.new_kv(length)
    assert kept == keys.keys.nbytes + keys.values.nbytes
    assert dllm.engine.memory.row_bytes(MixDenoiser(), _row(native, SamplingParams(max_new_tokens=4))) is None
    free = dllm.engine.memory.free_bytes(torch.device("cpu"))
    assert free is None or free > 0
    assert dllm.engine.memory.free_bytes(torch.device("meta")) is None


def test_wrong_arguments_are_named(native):
    for options, says in (
        ({"max_batch_size": 0}, "max_batch_size=0"),
        ({"max_refreshes": 0}, "max_refreshes=0"),
        ({"max_refreshes": "few"}, "max_refreshes='few'"),
    ):
        with pytest.raises(ConfigError, match=says):
            Batcher(native, **options)
    batcher = Batcher(native)
    for call in (lambda: batcher.add(""), lambda: batcher.add([]), lambda: batcher.add([1], "fast")):
        with pytest.raises(DllmError):
            call()
    with pytest.raises(PromptError, match="no hole"):
        batcher.add_infill([[1, 2]])
    with pytest.raises(PromptError, match="tokenizer"):
        batcher.add_chat([{"role": "user", "content": "a"}])
    assert not batcher.busy and as_scheduler("threshold") is not None
