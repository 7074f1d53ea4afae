"""What is on disk while a command works: whole whenever it is killed, and gone on with."""

import json
import os
import sys
from itertools import product

import pytest
import torch

from dllm import LLM, ConfigError, DllmError
from dllm.eval import files
from dllm.eval.files import append_lines, drop_torn_line, whole_lines, write_whole
from dllm.eval.filter_training import FitOptions, collect, fit
from dllm.eval.filter_training.kept import KeptBatches, save_whole
from dllm.eval.kept_answers import KeptAnswer, KeptAnswers, key_of, read_answers
from dllm.eval.likelihood import LowerBound
from dllm.eval.tiny.items import tiny_prompts
from dllm.schedulers.filter import load_filter
from tests.support.cli import python_m_dllm


@pytest.fixture(scope="module")
def tiny():
    return LLM("tiny", device="cpu")


# files


def test_a_file_is_what_it_was_or_all_of_the_new(tmp_path, monkeypatch):
    path = tmp_path / "report.md"
    write_whole(path, "old")

    def stopped(*_):
        raise KeyboardInterrupt

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(files.os, name, stopped)
            write_whole(path, "new " * 1000)
        assert path.read_text() == "old"
    write_whole(path, "n\u00e9w \udcff")
    assert path.read_text() == "n\u00e9w \\udcff" and [one.name for one in tmp_path.iterdir()] == ["report.md"]
    write_whole(path, b"\x89PNG")
    assert path.read_bytes() == b"\x89PNG"


def test_links_stay_links_and_what_is_no_file_is_written_to(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there" / "file")
    write_whole(link, "x")
    assert link.is_symlink() and (tmp_path / "there" / "file").read_text() == "x"
    write_whole(tmp_path / ".." / tmp_path.name / "y", "y")
    assert (tmp_path / "y").read_text() == "y"
    for_nobody = os.devnull
    write_whole(type(tmp_path)(for_nobody), "z")
    assert os.path.exists(for_nobody) and not os.path.isfile(for_nobody)


def test_a_torn_line_is_no_line(tmp_path):
    path = tmp_path / "lines"
    append_lines(path, ["a", "b"])
    with path.open("a") as file:
        file.write('{"half')
    assert whole_lines(path) == [b"a", b"b"]
    drop_torn_line(path)
    append_lines(path, ["c"])
    assert path.read_text() == "a\nb\nc\n"
    with pytest.raises(DllmError, match="make room"):
        append_lines(tmp_path, ["x"])


def test_the_trace_and_the_answer_of_a_command(tmp_path):
    for where in (str(tmp_path / "t.jsonl"), os.devnull):
        run = python_m_dllm("generate", "a", "-n", "2", "--trace", where)
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "t.jsonl").stat().st_size


# answers of the harness


def test_answers_are_kept_by_request_and_settings(tmp_path):
    bound = LowerBound(value=-1.5, standard_error=0.1, tokens=3, samples=4, forwards=2)
    answers = {"a": KeptAnswer(value="text", forwards=1, tokens=2, seconds=0.5)}
    answers["b"] = KeptAnswer(value=(-1.5, True), forwards=2, tokens=3, bound=bound)
    kept = KeptAnswers(tmp_path, {"seed": 0})
    kept.add(answers.items())
    again = KeptAnswers(tmp_path, {"seed": 0}, rank=1)
    assert again.get("a") == answers["a"] and again.get("b").bound == bound and again.get("c") is None
    assert KeptAnswers(tmp_path, {"seed": 1}).get("a") is None
    again.add([("c", answers["a"])])
    assert len(list(tmp_path.iterdir())) == 2
    KeptAnswers(tmp_path, {"seed": 1}).forget()
    assert len(list(tmp_path.iterdir())) == 2
    again.forget()
    assert not list(tmp_path.iterdir())


def test_a_line_that_is_no_answer_is_left_out(tmp_path):
    kept = KeptAnswers(tmp_path, {})
    kept.add([("a", KeptAnswer(value="x", forwards=1, tokens=1))])
    (path,) = tmp_path.iterdir()
    whole = path.read_text()
    path.write_text("[1]\n{}\n\x00\n" + "[" * 100_000 + '\n{"key": "b", "bound": 3, "value": 1}\n' + whole + whole[:20])
    assert list(read_answers(path)) == ["a"]
    KeptAnswers(tmp_path, {}).add([("c", KeptAnswer(value="y", forwards=1, tokens=1))])
    assert list(read_answers(path)) == ["a", "c"]


def test_requests_are_told_apart():
    asked = product(("a", "b"), (("x", {"y": 1}), ("x", {"y": 2})), (0, 1))
    assert len({key_of(*one) for one in asked}) == 8


class Stops(KeptAnswers):
    """Interrupts when so many parts have been kept."""

    def __init__(self, folder, after=None):
        super().__init__(folder, {})
        self.after, self.parts = after, 0

    def add(self, answers):
        super().add(answers)
        self.parts += 1
        if self.parts == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["generate_until", "loglikelihood", "loglikelihood_rolling"])
def test_the_harness_goes_on_where_it_stopped(tiny, tmp_path, kind, monkeypatch):
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance

    from dllm.eval import lm_harness

    until = {"until": ["\n"], "max_gen_toks": 8, "temperature": 1.0, "do_sample": True}
    of_kind = {
        "generate_until": [("a b", until), ("c", until), ("a b", until), ("d e", until)],
        "loglikelihood": [("a", " b c"), ("a", " b"), ("x", " y z"), ("q", " r")],
        "loglikelihood_rolling": [("a b",), ("c d e",), ("f",), ("g h",)],
    }
    requests = [Instance(kind, doc={}, arguments=args, idx=i) for i, args in enumerate(of_kind[kind])]
    monkeypatch.setattr(lm_harness, "_BATCHES", 1)

    def run(kept):
        model = lm_harness.DllmLM(tiny, mc_num=4, batch_size=1, mc_batch=1, seed=3)
        model.kept = kept
        values = json.loads(json.dumps(getattr(model, kind)(requests, disable_tqdm=True)))
        costs = model.costs[kind]
        return values, (costs.requests, costs.forwards, costs.tokens), model.bounds

    whole = run(Stops(None))
    with pytest.raises(KeyboardInterrupt):
        run(Stops(tmp_path, after=2))
    resumed = Stops(tmp_path)
    assert run(resumed) == whole and resumed.parts == 2
    finished = Stops(tmp_path)
    assert run(finished) == whole and finished.parts == 0


# the filter


def test_collecting_goes_on_where_it_stopped(tiny, tmp_path, monkeypatch):
    prompts = tiny_prompts(7, 0)
    how = {"max_new_tokens": 16, "max_batch_size": 2}
    whole = collect(tiny, prompts, **how)
    kept = KeptBatches(tmp_path / "f.safetensors", {"seed": 0})

    seen = []

    def stops(done):
        seen.append(done)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(tiny, prompts, **how, kept=kept, advance=stops)
    batches = sorted((tmp_path / ".f.collected").iterdir())
    assert len(batches) == 2
    batches[0].write_bytes(batches[0].read_bytes()[:100])  # collected anew
    collected = []
    collecting = sys.modules[collect.__module__]
    inner = collecting._collected
    monkeypatch.setattr(collecting, "_collected", lambda *given: collected.append(given[2]) or inner(*given))
    again = collect(tiny, prompts, **how, kept=kept)
    assert collected == [0, 4, 6] or collected == [2, 4, 6]
    for name in ("confidence", "final", "masked", "inside", "prompt", "tokens"):
        assert torch.equal(getattr(again, name), getattr(whole, name)), name
    assert again.pasted == whole.pasted
    for name, seed in (("f", 1), ("g", 0)):
        assert KeptBatches(tmp_path / f"{name}.safetensors", {"seed": seed}).get(0, prompts[:2]) is None
    assert kept.get(0, prompts[:1]) is None and kept.get(0, prompts[:2]) is not None
    kept.forget()
    assert not list(tmp_path.iterdir())


def test_a_filter_is_of_one_training_or_none(tiny, tmp_path, monkeypatch):
    records = collect(tiny, tiny_prompts(10, 0), max_new_tokens=16)
    network, _ = fit(records, FitOptions(iterations=1))
    path = tmp_path / "f.safetensors"
    network.about["number"] = 1
    save_whole(network, path)
    assert load_filter(path).about["number"] == 1
    network.about["number"] = 2
    replace = os.replace
    for stopped_at in (0, 1):
        calls = []

        def stopping(*paths, at=stopped_at, calls=calls):
            if len(calls) == at:
                raise KeyboardInterrupt
            calls.append(paths)
            replace(*paths)

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(os, "replace", stopping)
            save_whole(network, path)
        with pytest.raises(ConfigError, match="cannot be read"):
            load_filter(path)
    save_whole(network, path)
    assert load_filter(path).about["number"] == 2
    assert sorted(one.name for one in tmp_path.iterdir()) == ["f.json", "f.safetensors"]


def test_too_few_prompts_are_told_before_any_work(tmp_path):
    data = tmp_path / "p.jsonl"
    data.write_text('"a"\n')
    run = python_m_dllm("train-filter", "--out", str(tmp_path / "f.safetensors"), "--prompts", str(data))
    assert run.returncode == 2 and "give at least 10" in run.stderr and run.stderr.count("\n") == 1
