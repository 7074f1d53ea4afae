"""`AsyncLLM`: the tokens of `LLM.generate`; rows freed when nobody waits; failures alone; closing."""

import asyncio
import gc
import threading
import time
from contextlib import aclosing, suppress

import pytest

from dllm import (
    LLM,
    AsyncLLM,
    BusyError,
    ClosedError,
    ConfigError,
    Grammar,
    GrammarError,
    Hole,
    PromptError,
    SamplingParams,
    StepError,
)
from dllm.engine.answer import AnswerDraft
from tests.support.fakes import MixDenoiser

REVERSE = '["Mary", "Linda", "Susan"]\nReverse the list.\n'
CHAT = [{"role": "user", "content": "Name: Ana, Age: 31, City: Rome\nWrite JSON with keys: age, name"}]


class SlowDenoiser(MixDenoiser):
    """Counts its forwards, and can be held before each of them."""

    def __init__(self, seconds=0.0, bad=()):
        super().__init__()
        self.seconds, self.bad, self.rows = seconds, bad, []

    def logits(self, input_ids, attention_mask=None):
        time.sleep(self.seconds)
        self.rows.append(len(input_ids))
        if any(int(ids[0]) in self.bad for ids in input_ids):
            raise ValueError("this row is bad")
        return super().logits(input_ids, attention_mask)


def served(model, work, **options):
    """What a coroutine function of an engine returns; nothing waits for ever."""

    async def run():
        async with asyncio.timeout(60), AsyncLLM(model if isinstance(model, LLM) else LLM(model), **options) as engine:
            return await work(engine)

    return asyncio.run(run())


async def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.005)


def test_tokens_are_those_of_generate():
    llm = LLM("tiny")
    prompts = [REVERSE, "a", '["Ana"]\nReverse the list.\n'] * 3
    params = [SamplingParams(max_new_tokens=8 + n, temperature=0.5 * (n % 2), seed=n) for n in range(9)]
    params[4] = SamplingParams(max_new_tokens=20, grammar=Grammar.builtin("json"), seed=3, temperature=0.7)
    params[5] = SamplingParams(max_new_tokens=12, n=3, seed=7, temperature=1.0)

    async def work(engine):
        return await asyncio.gather(*map(engine.generate, prompts, params))

    expected = [llm.generate(prompt, own) for prompt, own in zip(prompts, params, strict=True)]
    found = served(llm, work)
    assert [[one.token_ids for one in out.samples] for out in found] == [
        [one.token_ids for one in out.samples] for out in expected
    ]
    assert [out.text for out in found] == [out.text for out in expected] and found[0].seed == 0


def test_chat_infill_and_streams_are_those_of_the_llm():
    llm = LLM("tiny")
    document = [REVERSE, Hole(7)]

    async def work(engine):
        outs = [await engine.chat(CHAT), await engine.infill(document)]
        outs += [await engine.infill([REVERSE, Hole(min=4, max=12)])]
        streams = [engine.stream(REVERSE), engine.stream_chat(CHAT), engine.stream_infill(document)]
        return outs, [[event async for event in stream] for stream in streams]

    outs, streams = served(llm, work)
    assert outs[0].text == '{"age": 31, "name": "Ana"}'
    assert [out.text for out in outs[1:]] == [REVERSE + '["Susan", "Linda", "Mary"]'] * 2
    expected = [llm.stream(REVERSE), llm.stream_chat(CHAT), llm.stream_infill(document)]
    for found, own in zip(streams, map(list, expected), strict=True):
        assert [(event.positions, event.token_ids, event.text, event.canvas) for event in found] == [
            (event.positions, event.token_ids, event.text, event.canvas) for event in own
        ]
        assert found[-1].output is not None and found[-1].output.token_ids == own[-1].output.token_ids


def test_requests_share_forwards():
    model = SlowDenoiser(0.01)

    async def work(engine):
        await asyncio.gather(*(engine.generate([1 + n, 2], SamplingParams(max_new_tokens=8)) for n in range(6)))

    served(model, work)
    assert len(model.rows) < 6 * 8, "they were denoised together"


@pytest.mark.parametrize("how", ["task", "stream", "left"])
def test_who_gives_up_has_no_row_in_the_next_forward(how):
    model = SlowDenoiser(0.02)
    long = SamplingParams(max_new_tokens=400, scheduler="topk(1)", ignore_eos=True)

    async def work(engine):
        if how == "task":
            task = asyncio.create_task(engine.generate([1, 2], long))
            await until(lambda: model.rows)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        elif how == "stream":
            async with aclosing(engine.stream([1, 2], long)) as events:
                async for _ in events:
                    break
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    async for _ in engine.stream([1, 2], long):
                        pass
        after = len(model.rows)
        await asyncio.sleep(0.2)
        assert len(model.rows) <= after + 1 and engine.running == 0 and engine.waiting == 0
        return await engine.generate([1, 2], SamplingParams(max_new_tokens=4))

    assert (
        served(model, work).token_ids == LLM(MixDenoiser()).generate([1, 2], SamplingParams(max_new_tokens=4)).token_ids
    )


def test_one_cancelled_among_others_changes_none_of_them():
    model, params = SlowDenoiser(0.01), SamplingParams(max_new_tokens=12, ignore_eos=True, scheduler="topk(1)")

    async def work(engine):
        tasks = [asyncio.create_task(engine.generate([1 + n, 2], params)) for n in range(5)]
        await until(lambda: len(model.rows) > 2)
        tasks[1].cancel()
        tasks[3].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = served(model, work)
    for n, out in enumerate(found):
        if n in (1, 3):
            assert isinstance(out, asyncio.CancelledError)
        else:
            assert out.token_ids == LLM(MixDenoiser()).generate([1 + n, 2], params).token_ids


def test_a_request_fails_alone():
    narrow = SamplingParams(max_new_tokens=4, grammar=Grammar.from_regex("[0-9]{40}"))

    async def work(engine):
        asked = [engine.generate(REVERSE), engine.generate("", None), engine.generate("a", narrow)]
        asked += [engine.infill("no hole"), engine.generate(REVERSE, SamplingParams(stop_token_ids=[99999]))]
        return await asyncio.gather(*asked, return_exceptions=True)

    found = served(LLM("tiny"), work)
    assert found[0].text == '["Susan", "Linda", "Mary"]'
    assert [type(one) for one in found[1:]] == [PromptError, GrammarError, PromptError, ConfigError]


def test_a_row_that_raises_in_the_forward_fails_alone():
    async def work(engine):
        asked = [engine.generate([n, 2], SamplingParams(max_new_tokens=4)) for n in (1, 5, 3)]
        return await asyncio.gather(*asked, return_exceptions=True)

    first, bad, third = served(SlowDenoiser(bad={5}), work)
    assert isinstance(bad, StepError) and "this row is bad" in str(bad)
    for n, out in ((1, first), (3, third)):
        assert out.token_ids == LLM(MixDenoiser()).generate([n, 2], SamplingParams(max_new_tokens=4)).token_ids


def test_a_grammar_that_takes_long_holds_up_nobody_else(monkeypatch):
    llm, began, go = LLM("tiny"), threading.Event(), threading.Event()
    slow = Grammar.from_regex("[a-c]+")
    compile_as_before = slow.compile

    def held(*args, **options):
        began.set()
        assert go.wait(30)
        return compile_as_before(*args, **options)

    monkeypatch.setattr(slow, "compile", held)

    async def work(engine):
        task = asyncio.create_task(engine.generate("a", SamplingParams(max_new_tokens=4, grammar=slow)))
        await until(began.is_set)
        out = await engine.generate(REVERSE)
        assert not task.done()
        go.set()
        return out, await task

    out, held_up = served(llm, work)
    assert out.text == '["Susan", "Linda", "Mary"]' and slow.accepts(held_up.text)


def test_a_grammar_beyond_the_limit_is_refused():
    grammar = Grammar.from_regex("(ab|cd|[ef]{2,400})*x")

    async def work(engine):
        with pytest.raises(GrammarError, match="limit is 50 scanner states"):
            await engine.generate("a", SamplingParams(grammar=grammar))
        with pytest.raises(GrammarError, match="limit is 50"):
            await engine.ready(lambda: grammar)
        return await engine.generate(REVERSE)

    assert served(LLM("tiny"), work, grammar_limit=50).text == '["Susan", "Linda", "Mary"]'


def test_the_queue_has_an_end():
    model = SlowDenoiser(0.05)

    async def work(engine):
        tasks = [asyncio.create_task(engine.generate([1, 2], SamplingParams(max_new_tokens=4))) for _ in range(6)]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found].count(BusyError) == 6 - 2
        return await engine.generate([1, 2], SamplingParams(max_new_tokens=4))

    assert len(served(model, work, max_batch_size=1, max_waiting=2).token_ids) <= 4


def test_closing_ends_what_is_under_way_and_draining_waits_for_it():
    long = SamplingParams(max_new_tokens=300, scheduler="topk(1)", ignore_eos=True)

    async def closing(engine):
        task = asyncio.create_task(engine.generate([1, 2], long))
        await until(lambda: engine.running)
        assert not await engine.drain(0.05)
        with pytest.raises(ClosedError):
            await engine.generate([1, 2])
        await engine.close()
        await engine.close()
        with pytest.raises(ClosedError, match="before the request was done"):
            await task

    async def draining(engine):
        task = asyncio.create_task(engine.generate([1, 2], SamplingParams(max_new_tokens=8)))
        await until(lambda: engine.running)
        assert await engine.drain(30)
        return (await task).token_ids

    served(SlowDenoiser(0.01), closing)
    assert (
        served(SlowDenoiser(0.01), draining)
        == LLM(MixDenoiser()).generate([1, 2], SamplingParams(max_new_tokens=8)).token_ids
    )


def test_several_event_loops_ask_one_engine():
    llm = LLM("tiny")
    engine, found = AsyncLLM(llm), {}

    def ask(n):
        async def both():
            return await asyncio.gather(engine.generate(REVERSE), engine.generate("a", SamplingParams(seed=n)))

        found[n] = asyncio.run(both())

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    asyncio.run(engine.close())
    assert len(found) == 4 and {outs[0].text for outs in found.values()} == {'["Susan", "Linda", "Mary"]'}


def test_a_loop_that_is_gone_leaves_no_row():
    model = SlowDenoiser(0.01)
    engine = AsyncLLM(LLM(model))

    async def begin():
        stream = engine.stream([1, 2], SamplingParams(max_new_tokens=400, scheduler="topk(1)", ignore_eos=True))
        await anext(stream)

    asyncio.run(begin())
    end = time.monotonic() + 10
    while engine.running and time.monotonic() < end:
        time.sleep(0.01)
    assert engine.running == 0 and engine.waiting == 0
    asyncio.run(engine.close())


def test_one_that_is_never_closed_ends_with_its_last_reference():
    engine = AsyncLLM(LLM(MixDenoiser()))
    asyncio.run(engine.generate([1, 2], SamplingParams(max_new_tokens=2)))
    thread = engine._stepper._thread
    assert thread.is_alive()
    del engine
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_what_is_collected_in_the_middle_of_something_waits_for_no_lock():
    """A collection of garbage may run while the thread that it runs on holds the lock."""
    engine = AsyncLLM(LLM(SlowDenoiser(0.01)))

    async def begin():
        long = SamplingParams(max_new_tokens=400, scheduler="topk(1)", ignore_eos=True)
        following = await engine.begin(AnswerDraft.of, [1, 2], long)
        await anext(following)
        return following

    held = [asyncio.run(begin())]
    stepper, done = engine._stepper, threading.Event()

    def collect():
        nonlocal engine
        with stepper._changing:
            held.clear()
            engine = None
            gc.collect()
        done.set()

    threading.Thread(target=collect, daemon=True).start()
    assert done.wait(20), "it waits for a lock that it holds"
    stepper.join(20)
    assert not stepper._thread.is_alive() and stepper.open == 0


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="AsyncLLM takes an LLM"):
        AsyncLLM("tiny")
    with pytest.raises(ConfigError, match="max_waiting"):
        AsyncLLM(LLM(MixDenoiser()), max_waiting=0)
    with pytest.raises(GrammarError, match="grammar_limit"):
        AsyncLLM(LLM(MixDenoiser()), grammar_limit=0)

    async def work(engine):
        with pytest.raises(ConfigError, match="follows one sample"):
            await anext(engine.stream([1], SamplingParams(n=2)))
        with pytest.raises(ConfigError, match="widths are tried"):
            await anext(engine.stream_infill([[1], Hole(min=1, max=3)]))
        with pytest.raises(ConfigError, match="params"):
            await engine.generate([1], "hot")

    served(MixDenoiser(), work)
