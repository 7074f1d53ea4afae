"""The model `dllm` under lm-evaluation-harness's own evaluator, on local tasks; and `dllm eval lm`."""

import json
import logging
import os
import re
import subprocess
import sys
from dataclasses import fields
from functools import partial
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from dllm import LLM, ConfigError, PromptError, SamplingParams
from dllm.cli.app import app
from dllm.cli.eval_lm import HarnessOptions
from dllm.engine.text_model import TextModel
from dllm.eval.generation_kwargs import read_kwargs
from dllm.eval.harness_settings import Settings
from dllm.eval.likelihood import Pair, Scorer, windows
from tests.support.cli import ROOT

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ.update(OFFLINE)
lm_eval = pytest.importorskip("lm_eval")
datasets = pytest.importorskip("datasets")

from lm_eval.tasks import TaskManager  # noqa: E402

from dllm.eval.lm_harness import DllmLM  # noqa: E402

BOS = "<|startoftext|>"
QUESTIONS = [
    {"q": '["Mary", "Linda", "Susan"]\nReverse the list.\n', "a": '["Susan", "Linda", "Mary"]'},
    {"q": '["Ana", "Tom"]\nCopy the list.\n', "a": '["Ana", "Tom"]'},
    {"q": "Name: Ana, Age: 31\nWrite JSON with keys: name\n", "a": '{"name": "Ana"}'},
]
CHOICES = [
    {"q": "int add(int a, int b) { return ", "choices": ["a + b", "a"], "gold": 0},
    {"q": "x", "choices": ["y z", "= 1 + 2"], "gold": 1},
    {"q": '["b", "a"]\nSort the list.\n', "choices": ['["a", "b"]', '["b", "a"]', "q"], "gold": 0},
]
TEXTS = [{"text": "int f() { return 1; }"}, {"text": '["Ana", "Tom"]\n' * 4}]
SHARED = """
dataset_path: json
test_split: test
dataset_kwargs: {{cache_dir: "{folder}/cache", data_files: {{test: "{folder}/{data}.jsonl"}}}}
"""
YAML = {
    "own_generate": """
output_type: generate_until
doc_to_text: "{{q}}"
doc_to_target: "= {{a}}"
generation_kwargs: {until: ["\\n\\n"], max_gen_toks: 24, do_sample: false}
""",
    "own_choice": """
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_choice: "{{choices}}"
doc_to_target: gold
target_delimiter: " "
""",
    "own_rolling": """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three tasks and their data."""
    folder = tmp_path_factory.mktemp("tasks")
    for (name, text), data in zip(YAML.items(), (QUESTIONS, CHOICES, TEXTS), strict=True):
        (folder / f"{name}.yaml").write_text(f"task: {name}\n{SHARED.format(folder=folder, data=name)}{text}")
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data))
    return folder


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)


@pytest.fixture(scope="module")
def llm():
    return LLM("tiny")


@pytest.fixture(scope="module")
def found(llm, folder):
    """All three tasks, through the harness's evaluator."""
    model = DllmLM(llm, mc_num=16, batch_size=3)
    tasks = TaskManager(include_path=str(folder), include_defaults=False)
    return model, lm_eval.simple_evaluate(model=model, tasks=list(YAML), task_manager=tasks)


def asked(*args):
    return SimpleNamespace(args=args)


def bound(llm, context, continuation, **options):
    return Scorer(TextModel(llm.model, llm.tokenizer), samples=16, **options).bounds([Pair(context, continuation)])[0]


def samples(found, task):
    return sorted(found["samples"][task], key=lambda sample: sample["doc_id"])


# through the evaluator


def test_generate_until_equals_generate(found, llm):
    params = SamplingParams(max_new_tokens=24, cache="none", stop=("\n\n",))
    expected = llm.generate([row["q"] for row in QUESTIONS], params)
    assert [sample["resps"][0][0] for sample in samples(found[1], "own_generate")] == [out.text for out in expected]
    spent = found[1]["config"]["dllm"]["costs"]["by_kind"]["generate_until"]
    assert spent["forwards"] == sum(out.stats.forwards for out in expected)
    assert spent["tokens"] == sum(out.stats.tokens for out in expected)
    assert spent["tokens_per_forward"] == spent["tokens"] / spent["forwards"] and spent["seconds"] > 0


def test_multiple_choice_equals_the_bounds(found, llm):
    encode = llm.tokenizer.encode
    for sample, row in zip(samples(found[1], "own_choice"), CHOICES, strict=True):
        values = []
        for choice, (response,) in zip(row["choices"], sample["resps"], strict=True):
            context = row["q"].rstrip()
            ids, whole = encode(context), encode(row["q"] + " " + choice)
            expected = bound(llm, tuple(ids), tuple(whole[len(ids) :]))
            assert response == (expected.value, False)
            values.append(expected.value)
        assert sample["acc"] == float(values.index(max(values)) == row["gold"])


def test_rolling_equals_the_bounds(found, llm):
    values = []
    for sample, row in zip(samples(found[1], "own_rolling"), TEXTS, strict=True):
        prefix = (llm.tokenizer.token_to_id(BOS),)
        expected = bound(llm, prefix, tuple(llm.tokenizer.encode(row["text"])))
        assert sample["resps"][0][0] == expected.value
        values.append(expected.value)
    size = sum(len(row["text"].encode()) for row in TEXTS)
    assert found[1]["results"]["own_rolling"]["bits_per_byte,none"] == pytest.approx(
        -sum(values) / size / 0.6931471805599453
    )


def test_costs_and_errors_are_kept(found):
    model, results = found
    assert list(model.costs) == ["generate_until", "loglikelihood", "loglikelihood_rolling"]
    assert len(model.bounds) == sum(len(row["choices"]) for row in CHOICES) + len(TEXTS)
    summary = model.summary()
    assert summary["forwards"] == sum(costs.forwards for costs in model.costs.values())
    assert summary["tokens_per_forward"] == summary["tokens"] / summary["forwards"]
    errors = [one.standard_error for one in model.bounds]
    assert summary["likelihood_standard_error"] == {"mean": sum(errors) / len(errors), "max": max(errors)}
    assert results["config"]["dllm"]["mc_num"] == 16 and results["config"]["dllm"]["scheduler"] == "threshold(0.9)"


def test_answers_in_the_harness_cache_are_not_asked_again(llm, found, folder, tmp_path):
    tasks = TaskManager(include_path=str(folder), include_defaults=False)
    runs = []
    for _ in range(2):
        model = DllmLM(llm, mc_num=16)
        again = lm_eval.simple_evaluate(
            model=model, tasks=list(YAML), task_manager=tasks, use_cache=str(tmp_path / "answers")
        )
        runs.append(model.summary()["forwards"])
        for task in YAML:
            kept = [sample["filtered_resps"] for sample in samples(again, task)]
            assert json.dumps(kept) == json.dumps([sample["filtered_resps"] for sample in samples(found[1], task)])
    assert runs[0] > 0 == runs[1]


def test_it_is_registered(llm):
    from lm_eval.api.registry import get_model

    assert get_model("dllm") is DllmLM
    model = DllmLM.create_from_arg_string("pretrained=tiny,mc_num=4", {"batch_size": "2", "device": "cpu"})
    assert (model.settings.mc_num, model.batch_size, model.rank, model.world_size) == (4, 2, 0, 1)
    # the harness's command line names this device where the user named none
    model = DllmLM.create_from_arg_obj({"scheduler": "localleap(radius=2)"}, {"device": "cuda:0", "batch_size": None})
    assert model.settings.device == "auto" and model.settings.scheduler == "localleap(radius=2)"


# generation


def test_long_prompts_lose_their_beginning(llm):
    model = DllmLM(llm, max_length=40, max_gen_toks=24)
    prompt = "filler " * 30 + QUESTIONS[1]["q"]
    (text,) = model.generate_until([asked(prompt, {"until": []})], disable_tqdm=True)
    kept = llm.tokenizer.encode(prompt)[-16:]
    assert text == llm.generate(kept, SamplingParams(max_new_tokens=24, cache="none")).text
    with pytest.raises(ConfigError, match=r"max_gen_toks=40 leaves no room.*holds 40.*max_new_tokens"):
        model.generate_until([asked(prompt, {"max_gen_toks": 40})], disable_tqdm=True)
    assert DllmLM(llm, max_length=40, max_new_tokens=8).generate_until([asked("a", {"max_gen_toks": 40})], True)


def test_stop_strings_cut_even_where_decoding_hides_them(llm):
    model = DllmLM(llm, max_new_tokens=24)
    question = QUESTIONS[0]["q"]
    (whole,) = model.generate_until([asked(question, {"until": None})], disable_tqdm=True)
    (cut,) = model.generate_until([asked(question, {"until": ["", "Linda"]})], disable_tqdm=True)
    assert "Linda" in whole and cut == whole[: whole.index("Linda")]
    from dllm.eval.harness_text import answer_text

    special = llm.tokenizer.token_to_id("<|eot_id|>")
    ids = [*llm.tokenizer.encode("ab"), special, *llm.tokenizer.encode("cd")]
    assert answer_text(llm.tokenizer, ids, ["<|eot_id|>"]) == "ab"
    assert answer_text(llm.tokenizer, ids, ["zz"]) == "abcd"


def test_repeats_differ_and_do_not_depend_on_the_others(llm):
    model = DllmLM(llm, batch_size=2)
    kwargs = {"do_sample": True, "temperature": 9.0, "max_gen_toks": 8}
    once = asked(QUESTIONS[0]["q"], kwargs)
    texts = model.generate_until([once, once, asked("else", kwargs), once], disable_tqdm=True)
    assert len({texts[0], texts[1], texts[3]}) == 3
    assert model.generate_until([once, once], disable_tqdm=True) == texts[:2]
    assert DllmLM(llm, seed=1).generate_until([once], disable_tqdm=True) != texts[:1]


def test_kwargs_are_honoured_or_refused():
    def read(kwargs, **own):
        return read_kwargs(kwargs, SamplingParams(scheduler="topk(2)"), max_gen_toks=256, **own)

    params = read({"until": "x", "max_gen_toks": 9, "do_sample": True, "temperature": 0.5, "top_p": 0.9, "top_k": 5})
    assert params == SamplingParams(
        scheduler="topk(2)", max_new_tokens=9, stop=("x",), temperature=0.5, top_p=0.9, top_k=5
    )
    assert read({}) == SamplingParams(scheduler="topk(2)", max_new_tokens=256)
    assert read({"max_new_tokens": 7, "max_tokens": 8}).max_new_tokens == 7
    assert read({"do_sample": False, "temperature": 0.8, "top_p": 0.9, "num_beams": 1}) == read({})
    assert read({"do_sample": True}).temperature == 1.0 and read({"temperature": 0.3}).temperature == 0.3
    own = read({"max_gen_toks": 9, "do_sample": False}, max_new_tokens=32, temperature=0.7)
    assert (own.max_new_tokens, own.temperature) == (32, 0.7)
    for kwargs, said in (
        ({"tempreature": 1}, "tempreature=1 is not supported.*Did you mean 'temperature'"),
        ({"num_beams": 4}, "num_beams=4 is not supported; legal is 1"),
        ({"do_sample": "no"}, "do_sample='no' must be true or false"),
        ({"until": 3}, "until=3 must be a string or a list"),
        ({"max_gen_toks": 0}, "max_gen_toks=0 must be a whole number of at least 1"),
        ({"temperature": -1}, "temperature=-1 must be a number at least 0"),
    ):
        with pytest.raises(ConfigError, match=said):
            read(kwargs)


# likelihood


def test_spaces_move_and_an_empty_context_is_bos(llm):
    model = DllmLM(llm, mc_num=16)
    encode, bos = llm.tokenizer.encode, llm.tokenizer.token_to_id(BOS)
    requests = [asked("return ", "a"), asked("return", " a"), asked("", "a + b"), asked("", BOS + "a + b")]
    values = [value for value, _ in model.loglikelihood(requests, disable_tqdm=True)]
    whole, size = tuple(encode("return a")), len(encode("return"))
    assert values[0] == values[1] == bound(llm, whole[:size], whole[size:]).value
    assert values[2] == values[3] == bound(llm, (bos,), tuple(encode("a + b"))).value
    blank, spaced = model.loglikelihood([asked("  ", "a"), asked("", "  a")], disable_tqdm=True)
    assert blank == spaced
    llm_without = LLM(llm.model, tokenizer=llm.tokenizer._core)
    ((value, _),) = DllmLM(llm_without, mc_num=16).loglikelihood(requests[2:3], disable_tqdm=True)
    assert value == bound(llm_without, (), tuple(encode("a + b"))).value


def test_long_contexts_lose_their_beginning_and_what_does_not_fit_is_named(llm):
    model = DllmLM(llm, mc_num=16, max_length=8)
    context, continuation = "one two three four five six seven eight nine ten", " return"
    ids, whole = llm.tokenizer.encode(context), llm.tokenizer.encode(context + continuation)
    own = tuple(whole[len(ids) :])
    ((value, _),) = model.loglikelihood([asked(context, continuation)], disable_tqdm=True)
    assert value == bound(llm, tuple(ids[len(own) - 8 :]), own).value
    with pytest.raises(PromptError, match="tokens; a canvas holds 8"):
        model.loglikelihood([asked("a", " b" * 20)], disable_tqdm=True)
    with pytest.raises(PromptError, match="no token of its own"):
        model.loglikelihood([asked("a", "")], disable_tqdm=True)


def test_rolling_in_windows(llm):
    model = DllmLM(llm, mc_num=16, max_length=12)
    text = TEXTS[1]["text"]
    ids, bos = llm.tokenizer.encode(text), llm.tokenizer.token_to_id(BOS)
    pairs = windows(ids, [bos], 12)
    assert len(pairs) == 2
    expected = Scorer(TextModel(llm.model, llm.tokenizer), samples=16).bounds(pairs)
    values = model.loglikelihood_rolling([asked(text), asked("")], disable_tqdm=True)
    assert values == [sum(one.value for one in expected), 0.0]
    assert model.loglikelihood_rolling([asked(BOS + text)], disable_tqdm=True) == values[:1]


def test_is_greedy_only_if_asked(llm):
    answer = llm.generate(QUESTIONS[0]["q"], SamplingParams(max_new_tokens=64, scheduler="topk(1)")).token_ids
    params = SamplingParams(
        max_new_tokens=len(answer), block_length=len(answer), scheduler="topk(1)", ignore_eos=True, cache="none"
    )
    written = llm.generate(QUESTIONS[0]["q"], params).text
    requests = [asked(QUESTIONS[0]["q"], text) for text in (written, '["q"]')]
    context = QUESTIONS[0]["q"].rstrip()
    for greedy in (False, True):
        model = DllmLM(llm, mc_num=4, greedy=greedy)
        found = [flag for _, flag in model.loglikelihood(requests, disable_tqdm=True)]
        ids, whole = llm.tokenizer.encode(context), llm.tokenizer.encode(QUESTIONS[0]["q"] + written)
        length = len(whole) - len(ids)
        line = llm.generate(ids, SamplingParams(**vars_of(params) | {"max_new_tokens": length, "block_length": length}))
        assert found == [greedy and line.token_ids == whole[len(ids) :], False]


def vars_of(params):
    return {field.name: getattr(params, field.name) for field in fields(params)}


# arguments and templates


def test_arguments_are_checked(llm):
    for arguments, said in (
        ({"schedular": "topk"}, "schedular='topk' is not known.*Did you mean 'scheduler'"),
        ({"batch_size": "auto"}, "batch_size='auto' must be a whole number"),
        ({"max_batch_size": 64}, "max_batch_size=64 is not supported; give batch_size"),
        ({"mc_num": 1}, "mc_num=1 must be a whole number of at least 2"),
        ({"greedy": "yes"}, "greedy='yes' must be true or false"),
        ({"steps": 4}, "steps=4 is read by the schedulers llada and dream only"),
        ({"scheduler": "treshold(0.9)"}, "Did you mean 'threshold'"),
        ({"max_length": 9999}, "max_length=9999 must be at most 512"),
        ({"device": "cpu"}, "apply to folders and Hub ids"),
    ):
        with pytest.raises(ConfigError, match=said):
            DllmLM(llm, **arguments)
    with pytest.raises(ConfigError, match="the harness asks in text; give tokenizer=FOLDER"):
        DllmLM(LLM(llm.model))


def test_chat_templates(llm):
    model = DllmLM(llm)
    chat = [{"role": "user", "content": "Hi"}]
    assert model.apply_chat_template(chat) == llm.tokenizer.apply_chat_template(chat)
    prefilled = model.apply_chat_template([*chat, {"role": "assistant", "content": "Sure: "}], False)
    assert prefilled.endswith("assistant<|end_header_id|>\n\nSure:")
    assert model.chat_template(True) == llm.tokenizer.chat_template and model.chat_template(False) is None
    assert model.tokenizer_name == "LLaDA" or "/" not in model.tokenizer_name
    with pytest.raises(ConfigError, match="one template"):
        model.chat_template("other")


# several processes

SHARDED = """
import json, logging, sys
logging.disable()
import lm_eval, torch
from lm_eval.tasks import TaskManager
from dllm.eval.lm_harness import DllmLM
torch.set_num_threads(1)
folder, tasks = sys.argv[1], sys.argv[2:]
model = DllmLM("tiny", device="cpu", mc_num=16)
manager = TaskManager(include_path=folder, include_defaults=False)
found = lm_eval.simple_evaluate(model=model, tasks=tasks, task_manager=manager)
assert (found is None) == (model.rank != 0)
if found is not None:
    spent = model.summary()
    counts = {kind: costs["requests"] for kind, costs in spent["by_kind"].items()}
    resps = {t: [[s["doc_id"], s["resps"]] for s in found["samples"][t]] for t in tasks}
    print(json.dumps({"size": model.world_size, "counts": counts, "forwards": spent["forwards"], "resps": resps}))
"""


def test_two_processes_share_the_work(found, folder, tmp_path):
    script = tmp_path / "sharded.py"
    script.write_text(SHARDED)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = os.environ | OFFLINE | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DLLM_CACHE_DIR": ""}
    run = subprocess.run(
        [*launch, script, folder, *YAML], capture_output=True, text=True, env=environment, timeout=240, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr[-3000:]
    said = json.loads(run.stdout.splitlines()[-1])
    assert said["size"] == 2
    for task in YAML:
        alone = [[sample["doc_id"], [resp[0] for resp in sample["resps"]]] for sample in samples(found[1], task)]
        shared = [[doc, [resp[0] for resp in resps]] for doc, resps in sorted(said["resps"][task])]
        assert shared == json.loads(json.dumps(alone))
    # three documents on two processes: the harness has the shorter side repeat its last request
    assert said["counts"]["generate_until"] == 4 and said["counts"]["loglikelihood_rolling"] == 2


# the command


@pytest.fixture
def run(folder, monkeypatch):
    monkeypatch.setattr("lm_eval.tasks.TaskManager", partial(TaskManager, include_defaults=False))

    def command(*arguments):
        return CliRunner().invoke(app, ["eval", "lm", "--include-path", str(folder), *arguments])

    return command


def test_the_command_prints_a_table_and_writes_files(run, tmp_path):
    out = tmp_path / "out"
    result = run("--tasks", "own_choice,own_generate", "--mc-num", "8", "--limit", "2", "--out", str(out))
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["task", "items", "shots", "metric", "filter", "value", "stderr"]
    assert any(re.match(r"own_choice +2 +0 +acc +none +[01]\.\d{4} ", line) for line in lines)
    assert any(re.match(r"generate_until: 2 requests, \d+ forwards, \d+\.\d\d tokens/forward", line) for line in lines)
    assert any(line.startswith("standard error of a likelihood: ") for line in lines)
    results = json.loads((out / "results.json").read_text())
    assert results["forwards"] == sum(kind["forwards"] for kind in results["by_kind"].values())
    assert results["tokens_per_forward"] > 0 and results["seconds"] > 0
    assert {"dllm", "python", "lm_eval", "torch", "datasets"} <= set(results["software"])
    assert results["config"]["dllm"]["mc_num"] == 8 and "samples" not in results and results["processes"] == 1
    answers = (out / "samples_own_generate.jsonl").read_text().splitlines()
    assert [json.loads(line)["doc_id"] for line in answers] == [0, 1]
    assert lines[-3:] == [str(out / name) for name in ("results.json", *sorted(p.name for p in out.glob("s*")))]


def test_json_is_the_last_line(run):
    result = run("--tasks", "own_generate", "--limit", "1", "--apply-chat-template", "--json", "-s", "topk(2)")
    assert result.exit_code == 0, result.stderr
    results = json.loads(result.stdout.splitlines()[-1])
    assert results["config"]["dllm"]["scheduler"] == "topk(2)" and results["requests"] == 1


def test_mistakes_are_one_line(run, monkeypatch):
    for arguments, said in (
        (("--tasks", "own_generat"), "no task, group or tag is called 'own_generat'. The nearest names: own_generate"),
        ((), "--tasks is empty"),
        (("--tasks", "own_choice", "--include-path", "nowhere"), "--include-path nowhere: no such folder"),
        (("--tasks", "own_choice", "--limit", "0"), "--limit 0 must be above 0"),
        (("--tasks", "own_choice", "--mc-num", "1"), "mc_num=1 must be a whole number of at least 2"),
        (("--tasks", "own_choice", "-m", "no/where/x"), "--model no/where/x"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2 and said in result.stderr, (arguments, result.stderr)
        assert result.stderr.strip().count("\n") == 0
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    result = run("--tasks", "own_choice")
    assert result.exit_code == 2 and "pip install 'dllm-engine[eval]'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_options_mirror_settings():
    settings = {field.name: field.default for field in fields(Settings)}
    assert {field.name: field.default for field in fields(HarnessOptions)}.items() <= settings.items()
    loading = {"pretrained", "tokenizer", "dtype", "device", "revision", "mask_token_id", "quantize", "max_length"}
    assert set(settings) - {field.name for field in fields(HarnessOptions)} == loading


def test_nothing_else_imports_the_harness():
    code = "import sys, dllm, dllm.cli.app; assert not {'lm_eval', 'datasets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
