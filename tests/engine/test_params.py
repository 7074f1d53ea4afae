"""What a request may ask for: the defaults of the contract, and what every wrong value is told."""

import dataclasses

import numpy as np
import pytest

from dllm import ConfigError, DllmError, Grammar, Hole, SamplingParams
from dllm.cache import DualCache
from dllm.schedulers import Threshold


def test_defaults_are_the_contract():
    params = SamplingParams()
    assert {f.name: getattr(params, f.name) for f in dataclasses.fields(params)} == {
        "max_new_tokens": 128,
        "block_length": 32,
        "steps": None,
        "temperature": 0.0,
        "top_p": None,
        "top_k": None,
        "cfg_scale": 0.0,
        "seed": None,
        "n": 1,
        "scheduler": "threshold(0.9)",
        "cache": "auto",
        "grammar": None,
        "stop": (),
        "ignore_eos": False,
        "cut_at_eos": "now",
        "min_new_tokens": 0,
        "logit_bias": None,
        "stop_token_ids": (),
        "logprobs": None,
    }


def test_numpys_scalars_pass_and_come_back_as_pythons():
    params = SamplingParams(
        seed=np.int64(3), max_new_tokens=np.int32(4), temperature=np.float32(0.5), top_k=np.uint8(9)
    )
    found = [params.seed, params.max_new_tokens, params.temperature, params.top_k]
    assert found == [3, 4, 0.5, 9] and [type(one) for one in found] == [int, int, float, int]
    assert hash(params.schedule) == hash(SamplingParams().schedule)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": 0},
        {"max_new_tokens": 2.5},
        {"max_new_tokens": True},
        {"block_length": 0},
        {"steps": 0},
        {"steps": 8},  # threshold does not read steps
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": "hot"},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_k": 0},
        {"cfg_scale": -1},
        {"seed": -1},
        {"n": 0},
        {"scheduler": "nope"},
        {"scheduler": 7},
        {"cache": "nope"},
        {"cache": "prefix+dual"},
        {"cache": 7},
        {"stop": ("",)},
        {"stop": (3,)},
        {"grammar": "json"},
        {"stop_token_ids": 7},
        {"stop_token_ids": "7"},
        {"stop_token_ids": [-1]},
        {"stop_token_ids": [1.0]},
        {"logprobs": -1},
        {"logprobs": True},
        {"logprobs": 1001},
    ],
)
def test_wrong_values_name_the_field(wrong):
    (field,) = wrong
    with pytest.raises(ConfigError, match=field) as error:
        SamplingParams(**wrong)
    assert isinstance(error.value, DllmError) and isinstance(error.value, ValueError)


def test_stop_does_not_go_with_a_grammar():
    grammar = Grammar.builtin("json")
    with pytest.raises(ConfigError, match=r"stop=\('x',\) does not go with grammar=<Grammar json>: .*leave stop out"):
        SamplingParams(stop="x", grammar=grammar)
    with pytest.raises(ConfigError, match="leave stop out"):
        dataclasses.replace(SamplingParams(stop=["x"]), grammar=grammar)
    assert SamplingParams(stop=(), grammar=grammar).grammar == grammar


def test_it_is_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SamplingParams().n = 2
    with pytest.raises(TypeError):
        SamplingParams(64)
    with pytest.raises(TypeError, match="max_tokens"):
        SamplingParams(max_tokens=3)


def test_objects_serve_as_well_as_specs():
    params = SamplingParams(scheduler=Threshold(0.5), cache=DualCache(), stop="\n")
    assert params.schedule == Threshold(0.5) and params.caching == DualCache() and params.stop == ("\n",)
    assert SamplingParams(steps=4, scheduler="llada").schedule.reads_steps
    assert SamplingParams(steps=4, scheduler="dream").schedule.reads_steps


@pytest.mark.parametrize("width", [0, -1, 2.0, True, "3"])
def test_hole_widths(width):
    with pytest.raises(ConfigError, match="width"):
        Hole(width)
