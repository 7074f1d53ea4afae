"""The table of hooks: it lists what `Scheduler` has, the docs show it, and joined schedulers follow it."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
import torch

from dllm import LLM, ConfigError, SamplingParams
from dllm.schedulers import Joined, Scheduler, Threshold
from dllm.schedulers.base import HOOKS
from tests.support.fakes import MASK, MixDenoiser

DOCS = Path(__file__).parents[2] / "docs" / "extending.md"


def own_methods(cls):
    return [name for name, value in vars(cls).items() if inspect.isfunction(value) and not name.startswith("_")]


def test_it_lists_every_method_that_may_be_overridden():
    assert sorted(hook.name for hook in HOOKS) == sorted(set(own_methods(Scheduler)) - {"supplies"})


def test_the_docs_show_it():
    lines = ["| hook | called | what it does | returns | in `a+b` | copy |", "|---|---|---|---|---|---|"]
    for hook in HOOKS:
        gives = ", ".join(hook.gives)
        lines.append(f"| `{hook.name}` | {hook.when} | {hook.does} | {gives} | {hook.joined} | `{hook.copy}.py` |")
    assert "\n".join(lines) in DOCS.read_text(), "paste this into docs/extending.md:\n" + "\n".join(lines)


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_the_file_to_copy_has_it(hook):
    module = import_module(f"dllm.schedulers.{hook.copy}")
    classes = [one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == module.__name__]
    assert any(hook.name in vars(one) for one in classes if issubclass(one, Scheduler))


def spoken(name, said):
    """A scheduler whose only hook is `name`, which always returns `said`, then its state with one more."""

    def method(self, *arguments):
        self.heard.append(arguments)
        if not gives_state:
            return said[0] if len(said) == 1 else tuple(said)
        state = (arguments[-1] or 0) + 1
        return (*said, state) if said else state

    gives_state = next(hook.gives[-1] == "state" for hook in HOOKS if hook.name == name)
    scheduler = type("Spoken", (Scheduler,), {name: method})()
    scheduler.heard = []
    return scheduler


SAID = {
    "each": ((), (), ()),
    "one": None,
    "union": ((torch.tensor([3, 1]),), (torch.tensor([1, 2]),), (torch.tensor([1, 2, 3]),)),
    "chain": (("first",), ("second",), ("second",)),
    "any": ((torch.tensor([True, False]),), (torch.tensor([False, False]),), (torch.tensor([True, False]),)),
    "least": ((7,), (5,), (5,)),
}
"""What two parts say, and what they say together."""


@pytest.mark.parametrize("hook", [one for one in HOOKS if one.name not in ("bind", "init")], ids=lambda one: one.name)
def test_parts_are_joined_as_it_says(hook):
    if hook.joined == "one":
        given = [f"a {word}" for word in hook.gives if word != "state"]
        part = spoken(hook.name, given)
        if hook.name == "plant":  # the only one without a state
            assert Joined((Threshold(), part)).plant("view") == part.plant("view")
            return
        expected = (*given, (None, 1)) if hook.gives[-1] == "state" else given[0] if len(given) == 1 else tuple(given)
        assert getattr(Joined((Threshold(), part)), hook.name)("view", (None, None)) == expected
        return
    one, other, together = SAID[hook.joined]
    first, second = spoken(hook.name, one), spoken(hook.name, other)
    joined = Joined((first, Threshold(), second) if hook.name != "select" else (first, second))
    states = (None,) * len(joined.parts)
    found = getattr(joined, hook.name)("view", "logits", states)
    stated = hook.gives[-1] == "state"
    values = list(found) if len(hook.gives) > 1 else [found]
    if stated:
        assert values.pop() == tuple(1 if part in (first, second) else None for part in joined.parts)
    for value, expected in zip(values, together, strict=True):
        assert torch.equal(value, expected) if isinstance(expected, torch.Tensor) else value == expected
    assert second.heard[0][1] == ("first" if hook.joined == "chain" else "logits")


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_joined_knows_who_supplies_what(hook):
    part = spoken(hook.name, ())
    assert part.supplies(hook.name) and Joined((Threshold(), part)).supplies(hook.name)
    assert Joined((Threshold(), Threshold())).supplies(hook.name) == (hook.name == "select")


@pytest.mark.parametrize("answer", [1, torch.ones(4, dtype=torch.long), torch.ones(3, dtype=torch.bool), None])
def test_what_limit_returns_is_a_mask(answer):
    class Odd(Scheduler):
        def limit(self, view, state):
            return answer

    with pytest.raises(ConfigError, match="limit must return a bool tensor of shape"):
        LLM(MixDenoiser()).generate([1], SamplingParams(max_new_tokens=4, scheduler=Odd()))


class Near(Scheduler):
    """Shows the model three positions from the first mask on, and commits the first two."""

    def horizon(self, view, state):
        return view.settled + 3

    def select(self, view, state):
        return view.best(-view.positions, 2), state


@pytest.mark.parametrize("far", [0, -3, 1.5, "1"])
def test_a_horizon_shows_a_mask(far):
    class Odd(Near):
        def horizon(self, view, state):
            return far if isinstance(far, str) else view.settled + far

    with pytest.raises(ConfigError, match="horizon must be a length of 2 or more"):
        LLM(MixDenoiser()).generate([1], SamplingParams(max_new_tokens=4, scheduler=Odd()))


@pytest.mark.parametrize(
    ("name", "cache", "fed"),
    [
        ("llada", "none", [4, 6, 8, 9]),
        ("dream", "none", [4, 6, 8, 9]),
        ("llada", "prefix", [9, 5, 7, 8]),  # its first forward stores all
        ("dream", "prefix", [9, 6, 8, 9]),  # and the neighbour
        ("llada", "window(left=0, right=0, every=2)", [9, 5, 8, 8]),
    ],
)
def test_what_a_horizon_hides_is_not_fed(name, cache, fed):
    llm = LLM(Path(__file__).parents[1] / "golden" / name, dtype="float32", device="cpu")
    params = SamplingParams(max_new_tokens=8, block_length=8, scheduler=Near(), cache=cache, ignore_eos=True)
    out = llm.generate([5], params)
    assert [step.positions for step in out.trace.steps] == [(1, 2), (3, 4), (5, 6), (7, 8)]
    assert out.stats.positions_fed == sum(fed)


def test_a_horizon_hides_nothing_from_attention_in_blocks():
    llm = LLM(Path(__file__).parents[1] / "golden" / "sdar", dtype="float32", device="cpu")
    one, other = (
        llm.generate([5], SamplingParams(max_new_tokens=8, scheduler=spec, ignore_eos=True))
        for spec in (Near(), "topk(2, by=left_to_right)")
    )
    assert one.token_ids == other.token_ids and one.stats.positions_fed == other.stats.positions_fed


class Several(Scheduler):
    """Has two blocks of four live, laid out from the prompt's end, and commits one token of the last one first."""

    def live(self, view, state):
        first = view.prompt_length + (view.settled - view.prompt_length) // 4 * 4
        return min(first + 4, len(view.canvas)), min(first + 8, len(view.canvas))

    def select(self, view, state):
        return view.best(view.positions.double(), 1), state


def test_several_live_blocks():
    """The next one is opened when the first is full, whatever the second has: caches refresh then and only then."""
    llm = LLM(Path(__file__).parents[1] / "golden" / "llada", dtype="float32", device="cpu")
    steps = {}
    for cache in ("none", "dual"):
        params = SamplingParams(max_new_tokens=12, block_length=4, scheduler=Several(), cache=cache, ignore_eos=True)
        out = llm.generate([5], params)
        steps[cache] = [step.positions for step in out.trace.steps]
        assert out.stats.refreshes == (2 if cache == "dual" else 0)
        assert out.stats.positions_fed == ((13 + 7 * 8) + (13 + 3 * 4) if cache == "dual" else 12 * 13)
    assert steps["none"] == steps["dual"] == [(at,) for at in (8, 7, 6, 5, 4, 3, 2, 1, 12, 11, 10, 9)]


@pytest.mark.parametrize("answer", [(0, 4), (4, 2), (4, 99), (2.0, 4)])
def test_live_blocks_hold_a_mask_and_lie_on_the_canvas(answer):
    class Odd(Several):
        def live(self, view, state):
            return answer

    with pytest.raises(ConfigError, match=r"live must return two positions of 2\.\.\.9"):
        LLM(MixDenoiser()).generate([1], SamplingParams(max_new_tokens=8, scheduler=Odd()))


def test_on_attention_in_blocks_what_is_live_ends_with_the_block():
    llm = LLM(Path(__file__).parents[1] / "golden" / "sdar", dtype="float32", device="cpu")
    length = llm.model.block_rule.length
    params = SamplingParams(max_new_tokens=3 * length, block_length=length // 2, scheduler=Several(), ignore_eos=True)
    steps = llm.generate([5], params).trace.steps
    blocks = [step.positions[0] // length for step in steps]
    assert blocks == sorted(blocks)


def test_a_trace_tells_of_what_is_replaced_and_masked_again_in_one_step():
    class Restless(Scheduler):
        """Replaces all tokens that it can, then masks the same ones again."""

        def select(self, view, state):
            return view.best(view.confidence, 2), state

        def wants(self, view, state):
            return torch.arange(view.start, view.end)

        def edit(self, view, state):
            return view.replaceable, False, state

        def remask(self, view, chosen, state):
            return view.positions[~chosen & ~view.masked[view.positions]], state

    params = SamplingParams(max_new_tokens=8, block_length=8, scheduler=Restless(), ignore_eos=True)
    events = list(LLM(MixDenoiser()).stream([1, 2], params))
    replayed = list(events[-1].output.trace.replay())
    assert replayed == [event.canvas for event in events]
    assert any(event.revoked for event in events) and any(MASK in canvas for canvas in replayed[1:-1])
