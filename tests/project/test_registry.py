"""Specs, as text and back: how a scheduler is named, and what every mistake is told."""

from dataclasses import dataclass

import pytest

from dllm.errors import ConfigError
from dllm.schedulers import Scheduler, TopK, as_scheduler, register, schedulers


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("threshold", "threshold"),
        (" threshold ( 0.8 ) ", "threshold(tau=0.8)"),
        ("threshold(tau=0.9)", "threshold"),
        ("topk(2, by=margin)", "topk(k=2, by=margin)"),
        ("factor(1e-1)", "factor(f=0.1)"),
        ("llada(random)", "llada(remasking=random)"),
        ("dream(origin, alg_temp=0.5)", "dream(alg=origin, alg_temp=0.5)"),
        ("threshold(0.8)+topk(2)", "threshold(tau=0.8)+topk(k=2)"),
    ],
)
def test_spec_is_read_and_written_back(text, spec):
    scheduler = as_scheduler(text)
    assert str(scheduler) == spec
    assert as_scheduler(str(scheduler)) == scheduler


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("treshold", "Did you mean 'threshold'"),
        ("topk(kk=3)", "unknown argument 'kk'.* Did you mean 'k'"),
        ("topk(by=foo)", "Use one of: confidence, margin"),
        ("threshold(0.9", "not closed"),
        ("threshold)0.9(", r"'\)' without '\('|expected"),
        ("topk(1, 2)", "only the first argument may be positional"),
        ("topk(1, k=2)", "twice"),
        ("topk(by=margin, by=entropy)", "twice"),
        ("", "expected a name"),
        ("threshold+", "expected a name"),
        ("threshold 0.9", "expected"),
        ("threshold(2)", "at least 0 and at most 1"),
        ("threshold(nan)", "finite"),
        ("topk(1.5)", "whole number"),
        ("topk(0)", "at least 1"),
        ("factor(-1)", "at least 0"),
        ("llada(best)", "low_confidence, random"),
        ("dream(alg_temp=-1)", "at least 0"),
        ("threshold+threshold(0.5)", "twice"),
        ("dream+threshold", "measures after temperature"),
    ],
)
def test_mistakes_are_named(text, says):
    with pytest.raises(ConfigError, match=says):
        as_scheduler(text)


def test_wrong_types_are_named():
    with pytest.raises(ConfigError, match="must be a spec"):
        as_scheduler(3)
    with pytest.raises(ConfigError, match="must be one of"):
        TopK(by="best")


def test_a_scheduler_from_outside_works_by_name():
    @register("test_every_other")
    @dataclass(frozen=True)
    class EveryOther(Scheduler):
        """Commit every n-th active position."""

        n: int = 2

        def select(self, view, state):
            return view.active & (view.positions % self.n == 0), state

    assert as_scheduler("test_every_other(3)") == EveryOther(3)
    assert str(EveryOther(3)) == "test_every_other(n=3)"
    assert "test_every_other" in schedulers.names()
    with pytest.raises(ConfigError, match="taken by"):
        register("threshold")(EveryOther)
    with pytest.raises(ConfigError, match="letters"):
        register("two words")


def test_an_unregistered_object_needs_select():
    with pytest.raises(TypeError, match="must override select"):
        Scheduler().select(None, None)
