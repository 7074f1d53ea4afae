"""Every cache mode against itself written out, and against the mode that it becomes at the ends of its arguments."""

import random
from itertools import product

import pytest
import torch

from dllm import LLM, ConfigError, Hole, SamplingParams
from dllm.cache import Cache, Feed, as_cache
from dllm.schedulers import Scheduler
from tests.references import plain_cache as plain
from tests.support.checkpoints import GOLDEN
from tests.support.pairwise import marked

NATIVE = ("llada", "dream")
FAR = 10**6
MODES = {
    "none": plain.none,
    "prefix": plain.prefix,
    "dual": plain.dual,
    "prefix(keep_prompt=True)": plain.keep_prompt(plain.prefix),
    "dual(keep_prompt=True)": plain.keep_prompt(plain.dual),
    "window(left=2, right=3, every=3)": plain.window(2, 3, 3),
    "window(left=9, right=1, every=2, keep_prompt=True)": plain.keep_prompt(plain.window(9, 1, 2)),
    "suffix(keep=3)": plain.suffix(3),
    "suffix(keep=0, keep_prompt=True)": plain.keep_prompt(plain.suffix(0)),
    "suffix(keep=2, every=3)": plain.suffix(2, 3),
    "delayed(every=3)": plain.delayed(3),
    "delayed": plain.delayed(8),
    "delayed(keep_prompt=True)": plain.keep_prompt(plain.delayed(8)),
    "window(left=None, right=0, every=None)": plain.window(FAR, 0, FAR),
    "entropy(tau=0.94)": plain.entropy(0.94),
    "entropy(tau=0.95, keep_prompt=True)": plain.keep_prompt(plain.entropy(0.95)),
    "drift(tau=0.995)": plain.drift(0.995),
    "drift(tau=0.99, keep_prompt=True)": plain.keep_prompt(plain.drift(0.99)),
}


class Recorder(Scheduler):
    """Commits the `k` most confident and keeps what it saw: for tests only, schedulers remember nothing."""

    def __init__(self, k):
        self.k, self.seen = k, []

    def select(self, view, state):
        self.seen.append((view.positions.tolist(), view.logits.clone()))
        return view.best(view.confidence, self.k), state


@pytest.fixture(scope="module")
def llms():
    return {name: LLM(GOLDEN / name, dtype="float32", device="cpu") for name in NATIVE}


def prompt(length=7):
    return random.Random(length).choices(range(200), k=length)


def agrees(output, recorder, expected):
    canvas, logits, computed = expected
    assert [positions for positions, _ in recorder.seen] == [masks for masks, _ in logits]
    for (_, ours), (_, theirs) in zip(recorder.seen, logits, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4, rtol=0)
    assert output.stats.positions_fed == computed
    assert canvas[-len(output.token_ids) :] == output.token_ids


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("mode", MODES)
def test_generation_is_what_the_rule_says(llms, name, mode):
    for new, block, k, cfg in ((14, 6, 1, 0.0), (11, 4, 2, 0.0), (9, 5, 2, 0.7)):
        recorder, llm = Recorder(k), llms[name]
        params = SamplingParams(
            max_new_tokens=new, block_length=block, scheduler=recorder, cache=mode, cfg_scale=cfg, ignore_eos=True
        )
        canvas = prompt() + [llm.model.mask_token_id] * new
        expected = plain.simulate(name, canvas, len(prompt()), block, MODES[mode], k, cfg)
        agrees(llm.generate(prompt(), params), recorder, expected)


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("mode", MODES)
def test_infilling_is_what_the_rule_says(llms, name, mode):
    """Holes in front, in the middle and at the end; blocks that span fixed text."""
    recorder, llm = Recorder(2), llms[name]
    document = [Hole(3), [5, 6], Hole(6), prompt(5), Hole(2)]
    params = SamplingParams(block_length=5, scheduler=recorder, cache=mode)
    mask = llm.model.mask_token_id
    canvas = [mask] * 3 + [5, 6] + [mask] * 6 + prompt(5) + [mask] * 2
    agrees(llm.infill(document, params), recorder, plain.simulate(name, canvas, 0, 5, MODES[mode], 2))


@pytest.mark.parametrize(("mode", "taus", "most"), [("drift", (-1, 0.97, 1), 8), ("entropy", (1, 0.94, 0), 16)])
def test_some_refreshes_are_inside_blocks(llms, mode, taus, most):
    """The written-out rule above would also agree on a threshold that nothing reaches."""
    shared = {"max_new_tokens": 16, "block_length": 8, "scheduler": "topk", "ignore_eos": True}
    never, some, often = (
        llms["dream"].generate(prompt(), SamplingParams(**shared, cache=f"{mode}({tau})")).stats.refreshes
        for tau in taus
    )
    assert 2 == never < some < often == most


SAME = {
    f"window(left={FAR}, right={FAR}, every={FAR})": "none",
    "window(every=1)": "none",
    "delayed(every=1)": "none",
    f"window(left=0, right=0, every={FAR})": "dual",
    f"window(left=0, right={FAR}, every={FAR})": "prefix",
    f"suffix(keep={FAR})": "dual",
    f"suffix(keep={FAR}, every=1)": "none",
    f"window(left={FAR}, right=0, every={FAR})": "window(left=None, right=0, every=None)",
    "entropy(tau=1)": "dual",
    "entropy(tau=0)": "none",
    "drift(tau=-1)": "dual",
    "drift(layer=0)": "dual",  # values of the first layer depend on the token alone
    "drift(tau=-1, keep_prompt=true)": "dual(keep_prompt=true)",
}
SCHEDULERS = (
    *("topk(2)", "threshold(0.05)", "wino(0.02, revoke=0.1)", "prophet(early=2, middle=1, late=0.5)+topk"),
    *("klass(0.02, epsilon=1)", "adablock(tau=0.01, delimiters='3 14 15 92 65 35 89')+credit", "eotp(paper)+topk"),
)


@pytest.mark.parametrize(("name", "mode", "scheduler"), marked(list(product(NATIVE, SAME, SCHEDULERS))))
def test_modes_become_each_other(llms, name, mode, scheduler):
    llm, i = llms[name], SCHEDULERS.index(scheduler)
    shared = {"max_new_tokens": 15, "block_length": 6, "scheduler": scheduler, "cfg_scale": (0.0, 0.7)[i % 2]}
    shared |= {"temperature": (0.0, 0.7)[i % 3 == 1], "seed": i}
    one, other = (llm.generate(prompt(i + 2), SamplingParams(**shared, cache=cache)) for cache in (mode, SAME[mode]))
    assert one.token_ids == other.token_ids
    document = [prompt(3), Hole(6), prompt(2), Hole(3)]
    one, other = (llm.infill(document, SamplingParams(**shared, cache=cache)) for cache in (mode, SAME[mode]))
    assert one.token_ids == other.token_ids


@pytest.mark.parametrize("name", NATIVE)
def test_a_prompt_is_kept_only_where_it_is_known(llms, name):
    """In infilling nothing is known to stand in front: `keep_prompt` changes nothing."""
    document = [prompt(5), Hole(6), prompt(2), Hole(3)]
    for mode in ("prefix", "dual", "window", "suffix", "delayed", "drift", "entropy"):
        kept, plainly = (
            llms[name].infill(document, SamplingParams(block_length=4, scheduler="topk", cache=cache))
            for cache in (f"{mode}(keep_prompt=true)", mode)
        )
        assert kept.token_ids == plainly.token_ids and kept.stats.positions_fed == plainly.stats.positions_fed


class Longer(Scheduler):
    """A block policy that ends blocks later than their first forward expected."""

    def block_end(self, view, state):
        return min(view.end + 3, len(view.canvas))

    def select(self, view, state):
        return view.best(view.confidence, 1), state


@pytest.mark.parametrize("name", NATIVE)
def test_a_block_may_grow_out_of_what_was_visible(llms, name):
    params = SamplingParams(max_new_tokens=18, block_length=4, scheduler=Longer(), cache="suffix(keep=1)")
    out = llms[name].generate(prompt(), params)
    assert out.stats.slots == out.stats.forwards
    assert out.stats.refreshes > 3  # one as a block opens, one as its end turns out to lie further


def test_far_text_is_never_hidden(llms):
    """`suffix` drops masks: in a document that ends in text it is `dual`."""
    document = [[5], Hole(9), [6, 7]]
    outputs = [
        llms["llada"].infill(document, SamplingParams(block_length=3, scheduler="topk", cache=cache))
        for cache in ("suffix(keep=0)", "dual")
    ]
    assert outputs[0].token_ids == outputs[1].token_ids
    assert outputs[0].stats.positions_fed == outputs[1].stats.positions_fed


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("window(left=-1)", "left=-1"),
        ("window(every=0)", "every=0"),
        ("suffix(keep=-2)", "keep=-2"),
        ("delayed(0)", "every=0"),
        ("drift(1.5)", "tau=1.5"),
        ("windw", "window"),
    ],
)
def test_wrong_arguments_are_named(spec, words):
    with pytest.raises(ConfigError, match=words):
        as_cache(spec)


def test_a_layer_that_is_not_there(llms):
    with pytest.raises(ConfigError, match=r"layer=7 must be in -2\.\.\.1"):
        llms["llada"].generate([1, 2], SamplingParams(max_new_tokens=4, cache="drift(layer=7)"))


def test_a_feed_is_a_span_or_any_positions():
    span, some = Feed.at(torch.arange(3, 7)), Feed.at(torch.tensor([3, 5, 6]), visible=9)
    assert (span.start, span.stop, span.only, len(span)) == (3, 7, None, 4)
    assert (some.start, some.stop, some.visible, len(some)) == (3, 7, 9, 3)
    asked = torch.tensor([2, 3, 4, 6, 7])
    assert span.holds(asked).tolist() == [False, True, True, True, False]
    assert some.holds(asked).tolist() == [False, True, False, True, False]
    assert torch.arange(9)[some.part].tolist() == some.positions.tolist() == [3, 5, 6]


class Scripted(Cache):
    def __init__(self, *feeds):
        self.feeds = feeds

    def feed(self, view, lookback):
        return self.feeds[view.step]


ALL = Feed(0, 6, refresh=True)


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ((ALL, Feed(2, 7)), "inside the visible part of 0...6"),
        ((ALL, Feed(2, 6, visible=5)), "inside the visible part"),
        ((ALL, Feed(2, 6, only=torch.tensor([5, 4, 2]))), "ascending"),
        ((ALL, Feed(2, 6, only=torch.tensor([2, 4]))), "start=2 to stop=6"),
        ((Feed(0, 4, visible=4), Feed(2, 6, only=torch.tensor([2, 3, 5]))), "position 4, which was never fed"),
        ((Feed(0, 3, visible=4),), "first feed"),
    ],
)
def test_feeds_from_outside_are_checked(llms, feeds, words):
    params = SamplingParams(max_new_tokens=4, block_length=2, cache=Scripted(*feeds), scheduler="topk")
    with pytest.raises(ConfigError, match=words):
        llms["llada"].generate([1, 2], params)
