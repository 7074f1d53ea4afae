"""Prophet's planted suffix: what stands on the canvas, where the region is, and when it finishes."""

import pytest
import torch

from dllm import LLM, ConfigError, SamplingParams
from dllm.schedulers import Scheduler, as_scheduler
from dllm.tokenizer import as_tokenizer
from tests.support import cli as cli_support
from tests.support.cli import EOS, MASK, byte_tokenizer
from tests.support.fakes import ScriptedDenoiser

model_folder = cli_support.model_folder

SUFFIX = "so it is"
PLANTED = " so it is"
"""As published: with a space before each word."""
NEW = 32


def scripted(gap, eos_at=None):
    """Proposes "a" everywhere; `gap(position in the answer, masks left)` is what it leads by."""
    seen = []

    def script(ids):
        seen.append(ids.tolist())
        left = int((ids == MASK).sum())
        logits = torch.zeros(len(ids), 256)
        for at in range(2, len(ids)):
            logits[at, EOS if at - 2 == eos_at else letter] = gap(at - 2, left)
        return logits

    denoiser = ScriptedDenoiser(script, vocab_size=256, eos=(EOS,))
    denoiser.mask_token_id = MASK
    llm = LLM(denoiser, tokenizer=byte_tokenizer())
    letter = llm.tokenizer.encode("a")[0]
    return llm, seen


def run(llm, spec, **more):
    return llm.generate("> ", SamplingParams(max_new_tokens=NEW, scheduler=spec, cache="none", **more))


@pytest.mark.parametrize(("spaced", "planted"), [("", PLANTED), (", spaced=false", SUFFIX)])
def test_the_suffix_stands_on_the_canvas_from_the_start(spaced, planted):
    llm, seen = scripted(lambda at, left: 1.0)
    out = run(llm, f"prophet(region='{SUFFIX}', place=0.5, width=3{spaced})+topk(4)")
    ids, start = llm.tokenizer.encode(planted), 2 + 16
    assert all(canvas[start : start + len(ids)] == ids for canvas in seen)
    assert [canvas.count(MASK) for canvas in seen] == list(range(NEW - len(ids), 0, -4))
    assert out.text == "a" * 16 + planted + "a" * (16 - len(ids))
    assert (out.stats.tokens, out.stats.slots) == (NEW - len(ids), NEW - len(ids))
    assert all(not set(step.positions) & set(range(start, start + len(ids))) for step in out.trace.steps)


@pytest.mark.parametrize("committed", [1, 4, 9, 17])
def test_only_the_region_behind_the_suffix_decides(committed):
    """The gap is wide everywhere else from the first step on, and in the region once so much is committed."""
    begin = 16 + len(PLANTED) + 1
    inside = range(begin, begin + 3)

    def gap(at, left):
        return 20.0 if at not in inside or left <= NEW - len(PLANTED) - committed else 0.5

    llm, seen = scripted(gap)
    spec = f"prophet(9, middle=9, late=9, region='{SUFFIX}', place=0.5, width=3)+topk(by=left_to_right)"
    out = run(llm, spec)
    assert len(seen) == committed + 1 and len(out.trace.steps[-1].positions) == NEW - len(PLANTED) - committed


@pytest.mark.parametrize(("rule", "steps"), [("topk(2)", None), ("llada", 16)])
def test_the_clock_counts_what_is_planted(rule, steps):
    """32 positions in blocks of 8 by two a step: the clock stands at i / 16 in step i, as without a suffix."""
    for late, wanted in ((True, 11), (False, 6)):  # the first steps with i / 16 >= 0.67 and >= 0.33
        llm, seen = scripted(lambda at, left: 5.0)
        thresholds = "99, middle=99, late=5" if late else "99, middle=5, late=99"
        spec = f"prophet({thresholds}, region='ab c', place=0.78, width=2, spaced=false)+{rule}"
        run(llm, spec, block_length=8, steps=steps)
        assert len(seen) == wanted


def test_an_end_before_the_suffix_cuts_it():
    llm, _ = scripted(lambda at, left: 20.0 if at == 5 else 1.0, eos_at=5)
    out = run(llm, f"prophet(99, middle=99, late=99, region='{SUFFIX}', place=0.5)+topk(1)")
    assert out.text == "aaaaa" and out.finish_reason == "stop" and out.stats.tokens == 5


def test_guidance_hides_the_suffix_as_it_hides_the_prompt():
    llm, seen = scripted(lambda at, left: 1.0)
    run(llm, f"prophet(region='{SUFFIX}', place=0.5)+topk(8)", cfg_scale=0.5)
    ids = llm.tokenizer.encode(PLANTED)
    shown = [canvas[18 : 18 + len(ids)] == ids for canvas in seen]
    assert any(shown) and not all(shown)
    assert all(canvas[:2] == [MASK, MASK] for canvas, there in zip(seen, shown, strict=True) if not there)


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
def test_rows_do_not_see_each_other(model_folder, cache):
    llm = LLM(model_folder)
    params = SamplingParams(
        max_new_tokens=24, block_length=8, scheduler=f"prophet(2, middle=1, late=0.5, region='{SUFFIX}', place=0.3)",
        cache=cache,
    )  # fmt: skip
    prompts = ["a", "some more text", "text"]
    alone = [llm.generate(prompt, params) for prompt in prompts]
    together = llm.generate(prompts, params)
    assert [out.token_ids for out in together] == [out.token_ids for out in alone]
    assert all(SUFFIX in out.text for out in together)


def test_what_is_refused():
    llm, _ = scripted(lambda at, left: 1.0)
    with pytest.raises(ConfigError, match="max_new_tokens=32 has no room"):
        run(llm, f"prophet(region='{SUFFIX}', place=0.8)")
    with pytest.raises(ConfigError, match="no place in a document"):
        llm.infill("x <mask:3>", SamplingParams(scheduler=f"prophet(region='{SUFFIX}')"))
    bare = LLM(llm.model)
    with pytest.raises(ConfigError, match="needs a tokenizer"):
        bare.generate([1], SamplingParams(max_new_tokens=8, scheduler=f"prophet(region='{SUFFIX}')"))
    for wrong in ("end", "5:", "7:5"):
        with pytest.raises(ConfigError, match="two words or more, or a colon"):
            as_scheduler(f"prophet(region={wrong})")
    assert str(as_scheduler("prophet(region='Answer:')+topk")) == "prophet(region=Answer:)+topk"
    spec = "prophet(region='a, b + c')+topk"
    assert str(as_scheduler(spec)) == spec


class Planter(Scheduler):
    def plant(self, view):
        return torch.tensor([view.prompt_length]), torch.tensor([1])


def test_only_one_part_may_plant():
    from dllm.schedulers.joined import Joined

    with pytest.raises(ConfigError, match="puts tokens of its own on the canvas"):
        Joined((Planter(), as_scheduler(f"prophet(region='{SUFFIX}')")))


def test_the_tokenizer_of_the_fake_is_the_models(model_folder):
    assert as_tokenizer(byte_tokenizer(), None).encode(SUFFIX) == LLM(model_folder).tokenizer.encode(SUFFIX)
