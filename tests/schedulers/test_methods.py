"""Every published method against its paper read aloud (`tests.references.methods`), step by step, alone and joined."""

import json
import random

import pytest
import torch

from dllm import LLM, ConfigError, SamplingParams
from dllm.schedulers import PositionPrior, as_scheduler
from dllm.views import Setting
from tests.references import methods as ref
from tests.support.fakes import EOS, VOCAB, MixDenoiser, ScriptedDenoiser, wish

DELIMITERS = tuple(range(0, VOCAB - 2, 3))
ADA = "delimiters='" + " ".join(map(str, DELIMITERS)) + "'"
METHODS = {
    "threshold(0.4)": lambda: [ref.Threshold(0.4)],
    "localleap(anchor=0.6, relaxed=0.2, radius=2)": lambda: [ref.LocalLeap(0.6, 0.2, 2)],
    "localleap(anchor=0.3, relaxed=0.5, radius=1)": lambda: [ref.LocalLeap(0.3, 0.5, 1)],
    "eb(0)": lambda: [ref.EntropyBounded(0)],
    "eb(1.5)": lambda: [ref.EntropyBounded(1.5)],
    "eb(3, by=confidence)": lambda: [ref.EntropyBounded(3, "confidence")],
    "hierarchy(high=0.7, low=0.3)": lambda: [ref.Hierarchy(0.7, 0.3)],
    "dus": lambda: [ref.Dilated(2)],
    "dus(3)": lambda: [ref.Dilated(3)],
    "dus(3, strides=powers)": lambda: [ref.Dilated(3, powers=True)],
    "klass(0.2, epsilon=0.5)": lambda: [ref.Klass(0.2, 0.5, 2)],
    "klass(0.1, epsilon=2, history=1)": lambda: [ref.Klass(0.1, 2, 1)],
    "klass(0.1, epsilon=1, history=3)": lambda: [ref.Klass(0.1, 1, 3)],
    "klass(0.2, epsilon=0.5, scope=block)": lambda: [ref.Klass(0.2, 0.5, 2, "block")],
    "credit(strength=2)+threshold(0.6)": lambda: [ref.Credit(0.8, 0.2, 2.0), ref.Threshold(0.6)],
    "credit(decay=0.3, power=1, strength=1.5)+topk": lambda: [ref.Credit(0.3, 1.0, 1.5)],
    f"adablock(tau=0.2, {ADA})+threshold(0.4)": lambda: [
        ref.AdaBlock(0.2, 0.25, "length", DELIMITERS),
        ref.Threshold(0.4),
    ],
    f"adablock(tau=0.1, window=0.6, basis=generated, {ADA})+topk": lambda: [
        ref.AdaBlock(0.1, 0.6, "generated", DELIMITERS)
    ],
    "prophet(early=2, middle=1.8, late=1.5)+topk": lambda: [ref.Prophet(2, 1.8, 1.5)],
    "prophet(early=3, middle=2, late=1, region='2:7')+topk": lambda: [ref.Prophet(3, 2, 1, (2, 7))],
    "prophet(early=3, middle=2, late=1, region='2:7')+topk(3)": lambda: [ref.Prophet(3, 2, 1, (2, 7)), ref.Best(3)],
    "stable(1, entropy=2)+topk": lambda: [ref.Stable(1, 2.0)],
    "stable(2, entropy=1.2)+threshold(0.4)": lambda: [ref.Stable(2, 1.2), ref.Threshold(0.4)],
    "stable(0, entropy=1)+topk(2)": lambda: [ref.Stable(0, 1.0), ref.Best(2)],
    "sched(3, low=1)+topk": lambda: [ref.SchED(3, 1, "cosine", 4, 0)],
    "sched(4, low=1, shape=linear, change=0.5)+topk(2)": lambda: [ref.SchED(4, 1, "linear", 4, 0.5), ref.Best(2)],
    "sched(5, low=0, shape=exp, rate=2, change=1)+threshold(0.4)": lambda: [
        ref.SchED(5, 0, "exp", 2, 1),
        ref.Threshold(0.4),
    ],
    "cora(0.3)": lambda: [ref.Cora(0.3, 2)],
    "cora(0.1, steps=3)+eb(0.5)": lambda: [ref.Cora(0.1, 3), ref.EntropyBounded(0.5)],
    "cora(0.2)+saber(2)": lambda: [ref.Cora(0.2, 2), ref.Saber(2)],
    "slowfast": lambda: [ref.SlowFast(0.9, 6, 0.3, 2, 1.0)],
    "slowfast(0.9, explore=1)": lambda: [ref.SlowFast(0.9, 1, 0.3, 2, 1.0)],
    "slowfast(0.8, explore=2, reach=0.6)": lambda: [ref.SlowFast(0.8, 2, 0.6, 2, 1.0)],
    "slowfast(0.9, explore=3, reach=0.2, window=3, spread=9)": lambda: [ref.SlowFast(0.9, 3, 0.2, 3, 9.0)],
    "slowfast(0.3, explore=2, reach=0.5)+credit": lambda: [
        ref.SlowFast(0.3, 2, 0.5, 2, 1.0),
        ref.Credit(0.8, 0.2, 0.7),
    ],
    "pc(table=flat)": lambda: [ref.PositionPrior(0.25, 10)],
    "pc(0.05, cap=1, k=2, table=flat)": lambda: [ref.PositionPrior(0.05, 1, 2)],
    "remdm": lambda: [ref.ReMDM(1, 32, 0.875, 1)],
    "remdm(3, loops=4, at=0.5)": lambda: [ref.ReMDM(3, 4, 0.5, 1)],
    "remdm(2, loops=2, at=0)": lambda: [ref.ReMDM(2, 2, 0, 1)],
    "rcr": lambda: [ref.RunningConfidence(1)],
    "p2": lambda: [ref.PathPlanning(1)],
    "eotp(paper)+topk": lambda: [ref.EndOfText()],
    "saber(2)": lambda: [ref.Saber(2)],
    "saber": lambda: [ref.Saber()],
    "saber(n=1)": lambda: [ref.Saber(n=1)],
    "saber(3, n=4)": lambda: [ref.Saber(3, 4)],
    "saber(2, back=fallen)": lambda: [ref.Saber(2, back="fallen")],
    f"adablock(tau=0.2, {ADA})+credit+localleap(0.6, relaxed=0.3)+prophet(3, middle=2, late=1)+eotp": lambda: [
        ref.AdaBlock(0.2, 0.25, "length", DELIMITERS),
        ref.Credit(0.8, 0.2, 0.7),
        ref.LocalLeap(0.6, 0.3, 4),
        ref.Prophet(3, 2, 1),
    ],
    "saber+dus": lambda: [ref.Saber(), ref.Dilated(2, backwards=True)],
    "saber(2)+credit(strength=1)": lambda: [ref.Saber(2), ref.Credit(0.8, 0.2, 1.0)],
}


BLOCKWISE = {
    "multiblock(1.5)": lambda block: [ref.MultiBlock(1.5, 0.1, block)],
    "multiblock(0.7, add=0.5)": lambda block: [ref.MultiBlock(0.7, 0.5, block)],
    "multiblock(0.3, add=0.3)+credit": lambda block: [ref.MultiBlock(0.3, 0.3, block), ref.Credit(0.8, 0.2, 0.7)],
    "multiblock(0.5, add=0.1)+localleap(0.6, relaxed=0.3)": lambda block: [
        ref.MultiBlock(0.5, 0.1, block),
        ref.LocalLeap(0.6, 0.3, 4),
    ],
}
"""Methods that lay blocks out themselves."""


def model_of(seed):
    """Unsure, middling and sure models; the last two have words enough that end an answer."""
    eos = (EOS,) if seed < 2 else (EOS, 2, 9, 13, 17)
    return MixDenoiser(seed=seed, scale=(1.5, 3.0, 3.0, 5.0)[seed], eos=eos)


def check(spec, methods, model, prompt, new, block, **options):
    out = LLM(model).generate(prompt, SamplingParams(max_new_tokens=new, block_length=block, scheduler=spec, **options))
    expected, steps = ref.run(model, prompt, new, block, *methods)
    ended = expected[-1] in model.eos_token_ids
    assert [list(step.positions) for step in out.trace.steps] == steps
    assert out.token_ids == (expected[:-1] if ended else expected)
    return out


@pytest.mark.parametrize("spec", METHODS)
@pytest.mark.parametrize(("length", "new", "block"), [(5, 16, 8), (1, 12, 12), (9, 21, 5), (3, 8, 32)])
def test_equals_the_paper_read_aloud(spec, length, new, block):
    for seed in range(4):
        prompt = random.Random(seed).choices(range(VOCAB - 2), k=length)
        check(spec, METHODS[spec](), model_of(seed), prompt, new, block)


@pytest.mark.parametrize("spec", BLOCKWISE)
@pytest.mark.parametrize(("length", "new", "block"), [(5, 16, 4), (1, 12, 12), (9, 21, 5), (3, 8, 32), (4, 18, 3)])
def test_several_live_blocks_equal_the_paper_read_aloud(spec, length, new, block):
    for seed in range(4):
        prompt = random.Random(seed).choices(range(VOCAB - 2), k=length)
        check(spec, BLOCKWISE[spec](block), model_of(seed), prompt, new, block)


def test_the_examples_reach_every_part():
    """Windows are found, answers finished early, canvases cut, tokens taken back: else the comparison proves little."""
    seen = {"finished": 0, "hidden": 0, "several": 0, "stood": 0, "decided": 0, "cut": 0, "revoked": 0, "moved": 0}
    for seed in range(4):
        model = model_of(seed)
        prompt = random.Random(seed).choices(range(VOCAB - 2), k=5)

        def steps(spec, model=model, prompt=prompt, **options):
            params = SamplingParams(max_new_tokens=16, block_length=8, scheduler=spec, **options)
            return LLM(model).generate(prompt, params)

        seen["finished"] += steps("prophet(early=2, middle=1.8, late=1.5)+topk", ignore_eos=True).stats.forwards < 16
        for spec in ("stable(1, entropy=2)+topk", "stable(2, entropy=1.2)+topk"):
            seen["stood"] += 1 < steps(spec, ignore_eos=True).stats.forwards < 16
        seen["decided"] += 1 < steps("sched(3, low=1)+topk", ignore_eos=True).stats.forwards < 16
        many = steps("multiblock(1.5)", ignore_eos=True).trace.steps
        seen["several"] += any(min(step.positions) < 13 <= max(step.positions) for step in many)
        slow = steps("slowfast(0.8, explore=2, reach=0.6)", ignore_eos=True)
        seen["hidden"] += slow.stats.positions_fed < 21 * slow.stats.forwards
        for spec in ("remdm", "remdm(3, loops=4, at=0.5)", "rcr", "p2"):
            seen[spec] = seen.get(spec, 0) + any(step.revoked for step in steps(spec, ignore_eos=True).trace.steps)
        seen["cut"] += len(steps("eotp(paper)+topk").token_ids) < len(steps("topk").token_ids)
        seen["revoked"] += any(step.revoked for step in steps("saber(2)", ignore_eos=True).trace.steps)
        ada, fixed = (steps(s, ignore_eos=True).trace for s in (f"adablock(tau=0.2, {ADA})+topk", "topk"))
        seen["moved"] += [s.positions for s in ada.steps] != [s.positions for s in fixed.steps]
    assert min(seen.values()) > 0, seen


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("klass", [[0], [1], [2, 3], [4], [5, 6, 7]]),
        ("klass(scope=block)", [[0], [1], [2, 3], [4], [5], [6, 7]]),
        ("klass(history=1)", [[0], [1, 2, 3], [4, 5, 6, 7]]),
    ],
)
def test_klass_follows_positions_of_later_blocks(spec, wanted):
    """Nothing moves here: only how long each position has been looked at matters."""
    model = ScriptedDenoiser(wish([5] * 8, [0.95, 0.94, 0.93, 0.92] * 2, prompt=1))
    out = LLM(model).generate([1], SamplingParams(max_new_tokens=8, block_length=4, scheduler=spec))
    assert [[at - 1 for at in step.positions] for step in out.trace.steps] == wanted


@pytest.mark.parametrize("late", ["now", "end"])
@pytest.mark.parametrize(("spec", "forwards"), [("eotp(paper)+llada", 5), ("llada", {"now": 5, "end": 8})])
def test_an_early_end_leaves_each_block_its_steps(spec, forwards, late):
    """Steps over blocks, whatever is cut: those of blocks that are gone are not handed to those that stay."""
    tokens, confidences = [5] * 8 + [EOS] + [5] * 7, [0.5] * 16
    params = SamplingParams(max_new_tokens=16, block_length=4, steps=8, scheduler=spec, cut_at_eos=late)
    out = LLM(ScriptedDenoiser(wish(tokens, confidences, prompt=4))).generate([1] * 4, params)
    assert out.token_ids == [5] * 8 and out.finish_reason == "stop"
    assert out.stats.forwards == (forwards if isinstance(forwards, int) else forwards[late])


@pytest.mark.parametrize(
    ("spec", "block", "sizes"),
    [
        ("dus", 24, [2, 2, 4, 16]),
        ("dus(3)", 32, [4, 9, 19]),
        ("dus(4)", 32, [4, 12, 16]),
        ("dus(strides=powers)", 24, [2, 1, 3, 6, 12]),
        *(("dus(3)", 2, [2]), ("dus", 1, [1]), ("dus", 16, [2, 2, 4, 8])),
    ],
)
def test_rounds_of_dilated_unmasking(spec, block, sizes):
    params = SamplingParams(max_new_tokens=block, block_length=block, scheduler=spec, ignore_eos=True)
    steps = LLM(MixDenoiser()).generate([1], params).trace.steps
    assert [len(step.positions) for step in steps] == sizes


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("threshold(1.0)", [[2], [3], [1], [0], [4], [5]]),
        ("topk(1)", [[2], [3], [1], [0], [4], [5]]),
        ("topk(by=margin)", [[2], [3], [1], [0], [4], [5]]),
        ("topk(by=entropy)", [[2], [3], [1], [0], [4], [5]]),
        ("llada", [[2], [3], [1], [0], [4], [5]]),
    ],
)
def test_near_certain_positions_keep_their_order(spec, wanted):
    """All but the last two would be 1.0 if the normaliser were rounded at the size of the logits."""
    gaps = [14.5, 15.5, 30.0, 17.0, 13.0, 2.0]

    def script(ids):
        logits = torch.full((len(ids), VOCAB), -90.0)
        logits[:, 3] = 20.0
        logits[1:, 4] = 20.0 - torch.tensor(gaps[: len(ids) - 1])
        return logits

    params = SamplingParams(max_new_tokens=6, scheduler=spec)
    out = LLM(ScriptedDenoiser(script)).generate([1], params)
    assert [[at - 1 for at in step.positions] for step in out.trace.steps] == wanted
    sure = [step.confidences[0] for step in out.trace.steps]
    assert sure == sorted(sure, reverse=True) and len(set(sure)) == 6


def rows(llm, prompts, params):
    return [llm.generate(prompt, own) for prompt, own in zip(prompts, params, strict=True)]


@pytest.mark.parametrize("spec", [*METHODS, *BLOCKWISE])
def test_a_row_in_a_batch_is_the_row_alone(spec):
    llm = LLM(model_of(2))
    prompts = [random.Random(n).choices(range(VOCAB - 2), k=n) for n in (1, 7, 3, 12, 5)]
    params = [SamplingParams(max_new_tokens=9 + n, block_length=(4, 6, 32)[n % 3], scheduler=spec) for n in range(5)]
    for one, other in zip(llm.generate(prompts, params, max_batch_size=3), rows(llm, prompts, params), strict=True):
        assert one.token_ids == other.token_ids
        assert [(s.positions, s.revoked) for s in one.trace.steps] == [
            (s.positions, s.revoked) for s in other.trace.steps
        ]


@pytest.mark.parametrize("decay", [0, 0.1, 1])
def test_pc_by_a_table_equals_the_paper_read_aloud(decay, tmp_path):
    """Words that the table does not have count as once in its text."""
    counts = {token: 3 ** (token % 7) for token in range(0, VOCAB, 3)}
    total = sum(counts.values()) + 5
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"num_token": total, "p_baseline_dict": {str(k): v for k, v in counts.items()}}))
    order = set()
    for seed in range(4):
        model = model_of(seed)
        spec = f"pc({decay}, table='{table}', cap=4)"
        out = check(spec, [ref.PositionPrior(decay, 4, 1, (counts, total))], model, [3, 1, 4], 12, 6)
        order.add(out.trace.steps[0].positions)
    assert len(order) > 1 or decay == 1


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (None, ["cannot be read", "token_frequencies"]),
        ("[1]", ["cannot be read"]),
        ('{"num_token": 2}', ["p_baseline_dict"]),
        ('{"num_token": 0, "p_baseline_dict": {}}', ["num_token"]),
        ('{"num_token": 3, "p_baseline_dict": {"1": 4}}', ["num_token", "4"]),
        ('{"num_token": 3, "p_baseline_dict": {"1": -1}}', ["count of 1"]),
        ('{"num_token": 3, "p_baseline_dict": {"99": 1}}', ["token 99", "another tokenizer"]),
    ],
)
def test_a_table_that_is_none_is_refused(written, words, tmp_path):
    path = tmp_path / "table.json"
    if written is not None:
        path.write_text(written)
    with pytest.raises(ConfigError) as error:
        LLM(MixDenoiser()).generate([1], SamplingParams(max_new_tokens=4, scheduler=f"pc(table='{path}')"))
    assert all(word in str(error.value) for word in words), error.value


def test_pc_has_a_table_for_tiny_alone():
    with pytest.raises(ConfigError, match="table=3 must be auto, flat"):
        PositionPrior(table=3)
    with pytest.raises(ConfigError, match="no table for this model"):
        LLM(MixDenoiser()).generate([1], SamplingParams(max_new_tokens=4, scheduler="pc"))
    llm = LLM("tiny")
    bound = as_scheduler("pc").bind(Setting(model=llm.model, tokenizer=llm.tokenizer))
    share = bound.frequencies
    (comma,) = llm.tokenizer.encode(",")
    assert len(share) == llm.model.vocab_size and share[comma] > 100 * share.min() > 0
    assert LLM("tiny").generate("Copy", SamplingParams(max_new_tokens=4, scheduler="pc")).stats.forwards <= 4
