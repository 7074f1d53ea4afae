"""The command line: what each command prints, and where."""

import json
import os
import subprocess
import sys
from dataclasses import fields

from dllm import LLM, SamplingParams
from dllm.cache import caches
from dllm.cli import chat as chat_command
from dllm.cli.inputs import unescape
from dllm.cli.options import SamplingOptions
from dllm.cli.registered import registered
from dllm.schedulers import schedulers
from dllm.trace import Trace
from tests.support import cli as cli_support
from tests.support.cli import EOS, LLADA, MASK, ROOT, SHORT, byte_tokenizer, python_m_dllm

# fixtures, by the names the tests ask for them
dllm, model_folder = cli_support.dllm, cli_support.model_folder


# generate


def test_generate_prints_the_text_alone(dllm, model_folder):
    result = dllm("generate", "abc", *SHORT)
    expected = LLM(model_folder).generate("abc", SamplingParams(max_new_tokens=8, block_length=4))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == expected.text + "\n"


def test_json_is_one_object_and_nothing_else(dllm):
    result = dllm("generate", "abc", *SHORT, "--json", "--seed", "3", "--ignore-eos")
    answer = json.loads(result.stdout)
    assert set(answer) == {"text", "token_ids", "prompt_token_ids", "finish_reason", "stats", "holes", "seed"}
    assert len(answer["token_ids"]) == 8 and len(answer["prompt_token_ids"]) == 3
    assert (answer["finish_reason"], answer["seed"], answer["holes"]) == ("length", 3, [])
    assert answer["stats"]["cache"] == "suffix(keep=8, every=1)" and answer["stats"]["slots"] == 8
    assert result.stdout.count("\n") == 1 and result.stderr == ""


def test_every_option_arrives(dllm):
    options = (
        *("--steps", "4", "--temperature", "0.7", "--top-p", "0.9", "--top-k", "50", "--cfg-scale", "0.5"),
        *("--seed", "5", "--scheduler", "llada", "--cache", "none", "--stop", "zz", "--ignore-eos", "--samples", "2"),
    )
    answer = json.loads(dllm("generate", "abc", *SHORT, *options, "--json").stdout)
    first, second = answer["samples"]
    assert [first["seed"], second["seed"]] == [5, 6]
    assert first["token_ids"] == answer["token_ids"] != second["token_ids"]
    assert first["stats"]["forwards"] == 4 and first["stats"]["cache"] == "none"


def test_options_mirror_sampling_params():
    options = {field.name: field.default for field in fields(SamplingOptions)}
    options["n"], options["grammar"] = options.pop("samples"), None
    options |= {name: options[name] or () for name in ("stop", "stop_token_ids")}
    left_to_the_model = {"block_length": 32, "scheduler": "threshold(0.9)"}
    assert all(options.pop(name) is None for name in left_to_the_model)
    assert options | left_to_the_model == {field.name: field.default for field in fields(SamplingParams)}


def test_help_names_every_cache(dllm):
    text = dllm("generate", "--help", model=None).stdout
    assert all(name in text for name in ("auto", *caches.names()))


def test_names_read_off_the_files_are_those_of_the_registries():
    for package, registry in (("cache", caches), ("schedulers", schedulers)):
        ours = [name for name in registry.names() if registry.get(name).__module__.startswith("dllm.")]
        assert registered(package) == ours


def test_prompts_are_verbatim_and_escapes_are_asked_for(dllm):
    def ids(*arguments, **keywords):
        return json.loads(dllm("generate", *arguments, *SHORT, "--json", **keywords).stdout)["prompt_token_ids"]

    plain = ids(r"a\n")
    assert len(plain) == 3
    assert ids("-e", r"a\n") == ids("-", input="a\n") == ids("a\n")
    assert ids("--prompt-ids", "1, 2 3") == [1, 2, 3]
    assert ids("-", input="é\r\n".encode()) == ids("é\r\n")
    assert unescape(r"\n\\n\t\x") == "\n\\n\t\\x"


def test_stats_go_to_stderr(dllm):
    result = dllm("generate", "abc", *SHORT, "--stats")
    assert result.stderr.startswith("stats: finish_reason=") and "forwards=" in result.stderr
    assert "stats" not in result.stdout


def test_trace_is_written(dllm, tmp_path):
    result = dllm("generate", "abc", *SHORT, "--ignore-eos", "--json", "--trace", str(tmp_path / "t.jsonl"))
    trace = Trace.from_jsonl((tmp_path / "t.jsonl").read_text())
    written = dict(sorted((p, t) for step in trace.steps for p, t in zip(step.positions, step.token_ids, strict=True)))
    assert list(written.values()) == json.loads(result.stdout)["token_ids"]


def test_show_prints_a_line_a_step_and_changes_nothing(dllm):
    result = dllm("generate", "abc", *SHORT, "--show", "--ignore-eos", "--json")
    lines = result.stderr.splitlines()
    answer = json.loads(result.stdout)
    assert len(lines) == answer["stats"]["forwards"] and all(line.startswith("step ") for line in lines)
    assert lines[0].count("░") < 8 and lines[-1].count("░") == 0 and "| abc" in lines[0]
    plain = json.loads(dllm("generate", "abc", *SHORT, "--ignore-eos", "--json").stdout)
    assert plain["token_ids"] == answer["token_ids"]


def test_ids_are_the_text_where_there_is_no_tokenizer(dllm):
    result = dllm("generate", "--prompt-ids", "1,2,3", *SHORT, "--ignore-eos", model=LLADA)
    assert len([int(piece) for piece in result.stdout.strip().split(",")]) == 8


# infill and chat


def test_infill(dllm, tmp_path):
    document = "int f(){ <mask:3>; <<mask: }"
    result = dllm("infill", document, "--json")
    answer = json.loads(result.stdout)
    assert answer["text"] == f"int f(){{ {answer['holes'][0]}; <mask: }}" and answer["stats"]["tokens"] == 3
    (tmp_path / "document").write_text(document)
    filled = [dllm("infill", "-", input=document), dllm("infill", "--file", str(tmp_path / "document"))]
    assert [one.stdout for one in filled] == [answer["text"] + "\n"] * 2
    assert dllm("infill", document, "--show").stderr.splitlines()[-1].count("░") == 0


def test_chat_applies_the_template(dllm):
    result = dllm("chat", "hi", "--system", "be", *SHORT, "--json")
    expected = byte_tokenizer().encode("s:be\nu:hi\n").ids
    assert json.loads(result.stdout)["prompt_token_ids"] == expected


def test_conversation(dllm, monkeypatch):
    monkeypatch.setattr(chat_command, "_check_conversation", lambda output: None)
    result = dllm("chat", "-n", "8", input="hi\n\n" + "long " * 20 + "\nyou\n")
    replies = result.stdout.splitlines()
    assert result.exit_code == 0 and replies
    assert result.stderr.count("> ") == 5 and "context holds 64" in result.stderr


def test_a_conversation_needs_a_terminal(dllm):
    result = dllm("chat", input="")
    assert result.exit_code == 2 and "terminal" in result.stderr and "MESSAGE" in result.stderr


# schedulers and doctor


def test_schedulers(dllm):
    found = json.loads(dllm("schedulers", "--json", model=None).stdout)["schedulers"]
    by_name = {entry["name"]: entry for entry in found}
    assert {"threshold", "topk", "factor", "llada", "dream"} <= set(by_name)
    for entry in found:
        # the rule of `stable` is published as code only
        assert entry["summary"] and (entry["papers"] or entry["name"] == "stable"), entry["name"]
    (tau,) = by_name["threshold"]["arguments"]
    assert tau == {"name": "tau", "default": 0.9, "required": False, "choices": []}
    assert by_name["dream"]["arguments"][0]["choices"][0] == "entropy"
    table = dllm("schedulers", model=None).stdout
    assert all(name in table for name in by_name) and "2505.22618" in table


def test_doctor(dllm, model_folder):
    report = json.loads(dllm("doctor", "-m", str(LLADA), "--json").stdout)
    assert report["versions"]["torch"] != "missing" and report["machine"]["devices"][0]["device"] == "cpu"
    by_model = {one["model"]: one for one in report["models"]}
    assert set(by_model) == {"tiny", str(LLADA), str(model_folder)}
    one = by_model[str(model_folder)]
    assert one["loads"] and one["family"] == "LLaDA" and one["dtype"] == "float32"
    assert (one["mask_token_id"], one["eos_token_ids"]) == (MASK, [EOS])
    assert one["id_sources"]["mask_token_id"] == "config.json" and one["chat_template"] and one["tokenizer"]
    assert by_model[str(LLADA)]["tokenizer"] is None and not by_model[str(LLADA)]["chat_template"]
    text = dllm("doctor").stdout
    assert "mask_token_id" in text and "(config.json)" in text


def test_doctor_fails_where_a_named_model_does_not_load(dllm, tmp_path):
    result = dllm("doctor", "--json", model=tmp_path)
    assert result.exit_code == 1
    (broken,) = (one for one in json.loads(result.stdout)["models"] if one["model"] == str(tmp_path))
    assert not broken["loads"] and "config.json" in broken["error"]


# the real process


def test_help_is_quick_and_complete():
    code = "import sys, runpy; sys.argv = ['dllm', '--help']\ntry: runpy.run_module('dllm', run_name='__main__')\n"
    code += "finally: assert not {'torch', 'transformers'} & set(sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    assert all(name in result.stdout for name in ("generate", "infill", "chat", "schedulers", "doctor", "Exit codes"))


def test_version_and_unknown_command():
    assert python_m_dllm("--version").stdout.startswith("dllm 0.")
    result = python_m_dllm("genrate")
    assert (result.returncode, result.stdout) == (2, "") and "generate" in result.stderr


def test_a_closed_pipe_is_quiet(model_folder):
    command = [sys.executable, "-m", "dllm", "schedulers", "--json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_what_the_terminal_cannot_show_is_escaped():
    prompt = "caf\u00e9 <mask:2>"
    code = f"import sys; sys.argv = ['dllm', 'infill', {prompt!r}]; from dllm.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "ascii"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0 and result.stdout.startswith(r"caf\xe9 "), result.stderr


# the embedded model


def test_tiny_is_the_default_and_reverses_a_list():
    result = python_m_dllm("generate", "-e", r'["Mary", "Linda", "Susan"]\nReverse the list.\n', "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["text"].strip() == '["Susan", "Linda", "Mary"]'


def test_doctor_is_content_with_tiny(dllm):
    assert dllm("doctor", model=None).exit_code == 0


def test_chat_with_tiny(dllm):
    result = dllm("chat", "hello", model="tiny")
    assert result.exit_code == 0, result.stderr


def test_a_conversation_unescapes_and_forgets(dllm, monkeypatch):
    from dllm.cli import chat

    lines = iter([r"a\nb", "", "c", "/reset", "d", None])
    asked = []

    def turn(llm, conversation, params, output):
        asked.append([message["content"] for message in conversation])
        return "reply"

    monkeypatch.setattr(chat, "_check_conversation", lambda output: None)
    monkeypatch.setattr(chat, "_ask", lambda: next(lines))
    monkeypatch.setattr(chat, "_turn", turn)
    result = dllm("chat", "-e", "--system", "s")
    assert result.exit_code == 0 and "/reset" in result.stderr
    assert asked == [["s", "a\nb"], ["s", "a\nb", "reply", "c"], ["s", "d"]]
