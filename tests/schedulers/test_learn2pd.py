"""Learn2PD: the filter's rule, its files, the oracle's trajectories, and training from scratch."""

import json
import random

import pytest
import torch

from dllm import LLM, ConfigError, SamplingParams
from dllm.eval.filter_training import FitOptions, Trajectories, collect, fit, quality
from dllm.eval.filter_training.fit import split_prompts
from dllm.eval.filter_training.prompts import read_prompts
from dllm.eval.tiny.items import tiny_prompts
from dllm.schedulers.filter import Filter, load_filter
from tests.references import methods as ref
from tests.schedulers.test_methods import check, model_of
from tests.support.fakes import EOS, MASK, VOCAB, MixDenoiser, ScriptedDenoiser


def random_filter(width, seed=0, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"hidden.weight": (width, width), "hidden.bias": (width,), "out.weight": (width, width)}
    shapes["out.bias"] = (width,)
    return Filter({name: torch.randn(shape, generator=generator) * scale for name, shape in shapes.items()}, {})


class Filtered(ref.Method):
    """Position by position, neuron by neuron; shorter blocks padded with 1, longer ones in chunks."""

    def __init__(self, network, gamma):
        self.weights, self.gamma = {k: v.double() for k, v in network.weights.items()}, gamma
        self.width = network.width

    def select(self, now):
        values = [float(torch.softmax(now.z[i], -1)[now.token(i)]) for i in range(now.start, now.end)]
        chosen = {now.best()}
        for at in range(0, len(values), self.width):
            chunk = values[at : at + self.width]
            x = torch.tensor(chunk + [1.0] * (self.width - len(chunk)), dtype=torch.float64)
            hidden = [
                max(0.0, float(self.weights["hidden.weight"][j] @ x + self.weights["hidden.bias"][j]))
                for j in range(self.width)
            ]
            out = self.weights["out.weight"] @ torch.tensor(hidden, dtype=torch.float64) + self.weights["out.bias"]
            for offset in range(len(chunk)):
                position = now.start + at + offset
                if now.masked(position) and 1 / (1 + float((-out[offset]).exp())) > self.gamma:
                    chosen.add(position)
        return chosen


@pytest.mark.parametrize("joined", ["", "+credit(strength=1)", "+eotp(paper)"])
@pytest.mark.parametrize("width", [4, 8, 32])
@pytest.mark.parametrize(("length", "new", "block"), [(5, 16, 8), (9, 21, 5), (3, 8, 32)])
def test_equals_the_rule_read_aloud(tmp_path, width, length, new, block, joined):
    network = random_filter(width, seed=width)
    network.save(tmp_path / "f.safetensors")
    spec = f"learn2pd(filter='{tmp_path / 'f.safetensors'}', gamma=0.7){joined}"
    for seed in range(4):
        methods = [Filtered(network, 0.7)]
        methods += [ref.Credit(0.8, 0.2, 1.0)] if "credit" in joined else []
        methods += [ref.EndOfText()] if "eotp" in joined else []
        prompt = random.Random(seed).choices(range(VOCAB - 2), k=length)
        check(spec, methods, model_of(seed), prompt, new, block)


def test_a_filter_survives_its_files(tmp_path):
    network = random_filter(8)
    network.about.update(model="x")
    network.save(tmp_path / "f.safetensors")
    again = load_filter(tmp_path / "f.safetensors")
    assert again.about == {"model": "x"} and all(
        torch.equal(again.weights[k], network.weights[k]) for k in again.weights
    )


def test_filters_that_cannot_be_used_are_named(tmp_path):
    llm = LLM(MixDenoiser())
    with pytest.raises(ConfigError, match="nowhere"):
        llm.generate([1], SamplingParams(scheduler="learn2pd(filter=nowhere.safetensors)"))
    with pytest.raises(ConfigError, match="train-filter"):
        llm.generate([1], SamplingParams(scheduler="learn2pd"))
    network = random_filter(8)
    network.weights["out.weight"] = torch.zeros(8, 4)
    network.save(tmp_path / "f.safetensors")
    with pytest.raises(ConfigError, match=r"out.weight.*\[8, 4\].*expected"):
        llm.generate([1], SamplingParams(scheduler=f"learn2pd(filter='{tmp_path / 'f.safetensors'}')"))


def scripted(answers):
    """A model that proposes, at answer position i, `answers[m][i]` while m of the answer's tokens are committed."""

    def script(ids):
        committed = int((ids[1:] != MASK).sum())
        logits = torch.zeros(len(ids), VOCAB)
        for i, token in enumerate(answers[committed][: len(ids) - 1]):
            logits[i + 1, token] = 8.0 - i  # sure from left to right
        return logits

    return ScriptedDenoiser(script, eos=())


def test_the_oracle_commits_what_is_final_and_is_helped_when_stuck():
    # one token a step commits 1, 2, 3, 4 from left to right
    answers = {0: [1, 9, 9, 4], 1: [1, 2, 9, 9], 2: [1, 2, 3, 9], 3: [1, 2, 3, 4]}
    llm = LLM(scripted(answers))
    records = collect(llm, [[0]], max_new_tokens=4, block_length=4)
    # with nothing committed 1 and 4 are already final; with two committed (1 and 4) 2 and 3 are
    assert records.final.tolist() == [[True, False, False, True], [True, True, True, False]]
    assert records.masked.tolist() == [[True] * 4, [False, True, True, False]]
    assert records.pasted == 0 and records.tokens.tolist() == [4]
    # with two committed the model goes on saying what it said at first: nothing new is final, so it is stuck
    stuck = {**answers, 0: [1, 9, 9, 4]}
    stuck[2] = [1, 9, 9, 4]
    llm = LLM(scripted(stuck))
    records = collect(llm, [[0]], max_new_tokens=4, block_length=4)
    reference = llm.generate([0], SamplingParams(max_new_tokens=4, scheduler="topk", cache="none")).token_ids
    assert reference == [1, 2, 9, 4]
    assert records.final.tolist()[0] == [True, False, True, True]


def test_a_stall_pastes_the_reference_and_goes_on():
    # the reference is 1 2 3 4: 2 appears once 1 stands, 3 once 2 stands. Committing 1 and 4 together hides both.
    answers = {0: [1, 9, 9, 4], 1: [1, 2, 9, 4], 2: [1, 9, 9, 4], 3: [1, 2, 3, 4]}

    def script(ids):
        held = ids[1:].tolist()
        committed = 2 if held[0] != MASK and held[3] != MASK and held[1] == MASK else sum(t != MASK for t in held)
        tokens = [1, 2, 3, 4] if held[1] != MASK else answers[committed]
        logits = torch.zeros(len(ids), VOCAB)
        for i, token in enumerate(tokens):
            logits[i + 1, token] = 8.0 - i
        return logits

    records = collect(LLM(ScriptedDenoiser(script, eos=())), [[0]], max_new_tokens=4, block_length=4)
    assert records.final[:, 1:3].tolist() == [[False, False], [False, False]], "two steps that say the same"
    assert records.pasted == 1 and len(records.prompt) == 2


def test_an_end_of_text_shortens_the_records():
    def script(ids):
        logits = torch.zeros(len(ids), VOCAB)
        for i, token in enumerate([1, EOS, 7, 7, 7, 7]):
            if i + 1 < len(ids):
                logits[i + 1, token] = 8.0 - i
        return logits

    records = collect(LLM(ScriptedDenoiser(script)), [[0]], max_new_tokens=6, block_length=4)
    assert records.tokens.tolist() == [2] and len(records.prompt) == 1
    assert records.final.tolist() == [[True, True, False, False]], "what stands behind the end is end of text"


def test_the_split_keeps_prompts_together_and_a_filter_learns():
    generator = torch.Generator().manual_seed(0)
    n = 1200
    confidence = torch.rand(n, 8, generator=generator)
    yes = torch.ones(n, 8, dtype=torch.bool)
    # final where the position and its left neighbour are sure: no threshold on one position says that
    left = torch.roll(confidence, 1, 1)
    records = Trajectories(
        confidence, (confidence > 0.5) & (left > 0.5), yes, yes, torch.arange(n) // 6, torch.ones(n // 6), 0
    )
    parts = split_prompts(records, seed=0)
    owners = [set(part.prompt.tolist()) for part in parts]
    assert sum(map(len, owners)) == n // 6 and not (
        owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2]
    )
    network, test = fit(records, FitOptions(iterations=1500, rate=0.02))
    found = quality(network, test, gamma=0.5)
    assert found["precision"] > 0.75 and found["recall"] > 0.6
    assert found["threshold_precision"] < 0.6 and found["threshold_recall"] < 0.3


def test_few_prompts_are_refused():
    records = collect(LLM(MixDenoiser()), [[1], [2]], max_new_tokens=4, block_length=4)
    with pytest.raises(ConfigError, match="2 prompts"):
        fit(records, FitOptions())


def test_prompts_come_from_a_file_or_from_the_recipe(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"prompt": "a", "more": 1}) + "\n\n" + json.dumps("b\n") + "\n")
    assert read_prompts(path, path.read_text()) == ["a", "b\n"]
    path.write_text('"a"\n{"text": "b"}\n')
    with pytest.raises(ConfigError, match="line 2"):
        read_prompts(path, path.read_text())
    assert tiny_prompts(5, 0) == tiny_prompts(5, 0) != tiny_prompts(5, 1)


def test_the_command_writes_a_filter_that_works(tmp_path):
    from typer.testing import CliRunner

    from dllm.cli.app import app

    out = tmp_path / "f.safetensors"
    arguments = ["train-filter", "--out", str(out), "--count", "12", "-n", "32", "--iterations", "40", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["prompts"] == 12 and 0 <= told["test"]["precision"] <= 1
    params = SamplingParams(max_new_tokens=32, scheduler=f"learn2pd(filter='{out}')")
    assert LLM("tiny").generate('["Mary", "Linda"]\nCopy the list.\n', params).text == '["Mary", "Linda"]'
    assert CliRunner().invoke(app, ["train-filter", "--out", "x.bin"]).exit_code == 2
