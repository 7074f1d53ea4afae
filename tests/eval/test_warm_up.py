"""What happens once (the first forward, the template, what a scheduler sets up) is in no timed region."""

from dataclasses import dataclass, replace

import pytest
import torch

from dllm import LLM
from dllm.bench import tiny_speed
from dllm.bench.against_literal import Request, compare_with_literal
from dllm.bench.cache_report import cache_report
from dllm.bench.clock import in_turn
from dllm.bench.literal import Literal
from dllm.eval import jobs
from dllm.eval.compare import Plan, compare
from dllm.eval.tiny.items import tiny_task
from dllm.models.network.decoder import Decoder
from dllm.schedulers import Scheduler, register
from dllm.schedulers.threshold import Threshold
from dllm.tokenizer import Tokenizer
from tests.support.clock import JUMP, JumpingClock


@pytest.fixture
def clock(monkeypatch):
    return JumpingClock(monkeypatch)


@pytest.fixture(scope="module")
def tiny():
    return LLM("tiny", device="cpu")


def plan_of(llm, schedulers, tasks=("copy", "json", "fill_json"), **more):
    """Items of every kind: a prompt, a conversation, a document."""
    return Plan.make({"tiny": llm}, [tiny_task(name, 2, 0) for name in tasks], schedulers, **more)


def test_no_scheduler_is_charged_for_what_happens_once(tiny, clock):
    clock.first(Decoder, "_run")
    clock.first(Tokenizer, "apply_chat_template")
    lines = compare(plan_of(tiny, ["topk({1,2})", "threshold(0.9)"]))
    assert clock.jumps == 2 and len(lines) == 18
    assert max(line["seconds"] + line["share_seconds"] for line in lines) < JUMP / 2


def test_what_a_scheduler_does_once_is_nobodys_time(tiny, clock):
    @register("sets_up")
    @dataclass(frozen=True)
    class SetsUp(Threshold):
        tau: float = 0.9

    clock.first(SetsUp, "select")
    for batch_size in (1, 16):
        lines = compare(plan_of(tiny, ["topk(8)", "sets_up"], batch_size=batch_size))
        assert clock.jumps == 1 and max(line["share_seconds"] for line in lines) < JUMP / 2
        assert issubclass(SetsUp, Scheduler)


def test_every_variant_is_warmed_alike_once_a_kind(tiny, monkeypatch):
    decoded = []
    lines = jobs._lines

    def counted(llm, job):
        decoded.append((job.variant.scheduler, tuple((index, kind) for index, kind, _ in job.asked)))
        return lines(llm, job)

    monkeypatch.setattr(jobs, "_lines", counted)
    compare(plan_of(tiny, ["topk(8)", "threshold(0.9)"], tasks=("copy", "sort", "json"), batch_size=1))
    twice = [(name, asked[0][1]) for at, (name, asked) in enumerate(decoded) if (name, asked) in decoded[at + 1 :][:1]]
    assert sorted(twice) == sorted(
        (name, kind) for name in ("topk(8)", "threshold(0.9)") for kind in ("chat", "prompt")
    )
    assert len(decoded) == 2 * 3 * 2 + len(twice)


def test_variants_take_turns_in_being_first(tiny, monkeypatch):
    order = []
    work = jobs.run_job
    monkeypatch.setattr(jobs, "run_job", lambda llm, job: order.append(job.variant.scheduler) or work(llm, job))
    plan = plan_of(tiny, ["topk(8)", "topk(16)", "topk(32)"], tasks=("copy",), batch_size=1)
    lines = compare(plan)
    assert order == ["topk(8)", "topk(16)", "topk(32)", "topk(16)", "topk(32)", "topk(8)"]
    assert [line["scheduler"] for line in lines] == ["topk(8)"] * 2 + ["topk(16)"] * 2 + ["topk(32)"] * 2
    assert [line["text"] for line in compare(replace(plan, batch_size=2))] == [line["text"] for line in lines]


@pytest.mark.parametrize("kind", ["generate_until", "loglikelihood", "loglikelihood_rolling"])
def test_the_harness(tiny, clock, kind):
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance

    from dllm.eval.lm_harness import DllmLM

    arguments = {
        "generate_until": ("a b", {"until": ["\n"], "max_gen_toks": 8}),
        "loglikelihood": ("a b", " c d e"),
        "loglikelihood_rolling": ("a b c d",),
    }
    clock.first(Decoder, "_run")
    model = DllmLM(tiny, mc_num=4, greedy=True)
    requests = [Instance(kind, doc={}, arguments=arguments[kind], idx=i) for i in range(2)]
    answers = getattr(model, kind)(requests, disable_tqdm=True)
    assert clock.jumps == 1 and len(answers) == 2
    assert model.costs[kind].requests == 2 and model.costs[kind].seconds < JUMP / 2


def test_calls_in_turn(clock):
    calls = []

    def first(name):
        if name not in calls:
            clock.jump()
        calls.append(name)

    seconds, _ = in_turn({name: lambda name=name: first(name) for name in "ab"}, 2)
    assert calls == ["a", "b", *"abab"] and max(map(max, seconds.values())) < JUMP / 2
    short = {name: lambda name=name: calls.append(f"short {name}") for name in "ab"}
    in_turn({name: lambda name=name: calls.append(name) for name in "ab"}, 1, short)
    assert calls[-4:] == ["short a", "short b", "a", "b"]


def test_the_bench(tiny, clock, monkeypatch):
    from tests.bench.test_bench import SMALL

    monkeypatch.setattr("dllm.bench.against_literal.shape_a", lambda: SMALL)
    clock.first(Decoder, "_run")
    clock.first(Literal, "_forward")
    for requests in ([Request([1, 2, 3], 16)], [Request([1, 2, 3], 16), Request([4] * 9, 16)]):
        found = compare_with_literal(requests, torch.float32, 1, block=16)
        assert max(found.literal, found.single, found.batch or 0) < JUMP / 2
    assert clock.jumps == 2


def test_the_caches(tiny, clock, monkeypatch):
    clock.first(Tokenizer, "apply_chat_template")
    report = cache_report(tiny, [tiny_task(name, 4, 0) for name in ("copy", "json")], ["dual"])
    assert min(row.tokens_per_second for row in report.rows) > 100 / JUMP
    monkeypatch.setattr(tiny_speed, "PROMPTS", 2)
    monkeypatch.setattr(tiny_speed, "CACHES", ("none", "dual"))
    monkeypatch.setattr(tiny_speed, "LLM", lambda name: tiny)
    from dllm.cache.dual import DualCache

    clock.first(DualCache, "feed")
    assert min(one.tokens_per_second for one in tiny_speed.tiny_speeds(1)) > 100 / JUMP
    assert clock.jumps == 2
