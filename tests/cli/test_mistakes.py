"""The command line: every mistake is one line on stderr and exit code 2; failed work is one line and 1."""

import shutil

import pytest

from dllm.cli.options import ModelOptions
from dllm.errors import ModelError
from tests.support import cli as cli_support
from tests.support.cli import LLADA, MASK, SHORT

# fixtures, by the names the tests ask for them
dllm, model_folder = cli_support.dllm, cli_support.model_folder


def assert_one_line(result, *words, code=2):
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("dllm: ") and result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", ""], ["prompt is empty"]),
        (["generate", "a" * 60, *SHORT], ["60", "64"]),
        (["generate", "a", "--scheduler", "treshold"], ["treshold", "threshold"]),
        (["generate", "a", "--scheduler", "topk(l=2)"], ["'l'", "k, by"]),
        (["generate", "a", "--scheduler", "topk(by=luck)"], ["luck", "confidence"]),
        (["generate", "a", "--cache", "duel"], ["duel", "dual"]),
        (["generate", "a", "--block-length", "0"], ["block_length=0"]),
        (["generate", "a", "--block-length", "x"], ["--block-length", "dllm generate --help"]),
        (["generate", "a", "--temperature", "-1"], ["temperature=-1"]),
        (["generate", "a", "--steps", "4"], ["steps=4", "llada"]),
        (["generate", "a", "--samples", "0"], ["--samples", "1"]),
        (["generate", "a", "--device", "gpu"], ["device='gpu'"]),
        (["generate", "a", "--dtype", "int4"], ["dtype='int4'"]),
        (["generate", "a", "--mask-token-id", "999"], ["999"]),
        (["generate", "a", "--tokenizer", "./nowhere"], ["--tokenizer", "nowhere"]),
        (["generate", "a", "--revision", "main"], ["revision"]),
        (["generate", "--prompt-ids", "1,256", *SHORT], ["256", "0...255"]),
        (["generate", "--prompt-ids", f"1,{MASK}", *SHORT], ["mask id"]),
        (["generate", "--prompt-ids", "1,x"], ["'x'"]),
        (["generate", "--prompt-ids", ""], ["--prompt-ids"]),
        (["generate", "<|mdm_mask|>", *SHORT], ["mask id"]),
        (["generate"], ["PROMPT"]),
        (["generate", "a", "--prompt-ids", "1"], ["one of the two"]),
        (["generate", "a", "--unheard-of"], ["--unheard-of"]),
        (["generate", "a", "--show", "--samples", "2"], ["--show"]),
        (["generate", "a", "--trace", "no/such/folder/t.jsonl"], ["--trace"]),
        (["infill", "no hole"], ["no hole"]),
        (["infill", "a <mask:0> b"], ["width=0"]),
        (["infill", "a <mask:x> b"], ["<mask:N>"]),
        (["infill", "--file", "no/such/file"], ["--file", "no/such/file"]),
        (["infill", "a <mask:3>", "--stop", "b"], ["stop"]),
        (["infill", "a" * 60 + "<mask:9>"], ["69", "64"]),
        (["chat", " "], ["MESSAGE"]),
        (["doctor", "--dtype", "int4"], ["dtype='int4'"]),
        (["doctor", "--device", "gpu"], ["device='gpu'"]),
        (["generate", "a", "--scheduler", "threshold(0.9,)"], ["empty argument"]),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(dllm, arguments, words):
    assert_one_line(dllm(*arguments), *words)


def test_bad_bytes_on_stdin(dllm):
    assert_one_line(dllm("generate", "-", input=b"a\xff"), "UTF-8", "stdin")


@pytest.mark.parametrize("model", ["./no/such/folder", "an_empty_folder", "a_file"])
def test_what_is_no_model_is_bad_usage(dllm, tmp_path, model):
    (tmp_path / "an_empty_folder").mkdir()
    (tmp_path / "a_file").touch()
    name = model if model.startswith(".") else str(tmp_path / model)
    assert_one_line(dllm("generate", "a", model=name), "--model", name)


def test_a_broken_model_is_failed_work(dllm, tmp_path, model_folder):
    shutil.copytree(model_folder, tmp_path / "broken")
    weights = (tmp_path / "broken" / "model.safetensors").read_bytes()
    (tmp_path / "broken" / "model.safetensors").write_bytes(weights[:1000])
    assert_one_line(dllm("generate", "a", model=tmp_path / "broken"), "model.safetensors", code=1)


def test_fixes_are_spelled_as_options(dllm):
    assert_one_line(dllm("generate", "a", model=LLADA), "--tokenizer FOLDER")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "dllm: interrupted\n"),
        (OSError(28, "No space left on device"), 1, "dllm: [Errno 28] No space left on device\n"),
        (ModelError("two\nlines"), 1, "dllm: two lines\n"),
    ],
)
def test_other_ends(dllm, monkeypatch, raised, code, said):
    def load(options):
        raise raised

    monkeypatch.setattr(ModelOptions, "load", load)
    result = dllm("generate", "a")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", said)


def test_bugs_keep_their_traceback(dllm, monkeypatch):
    monkeypatch.setattr(ModelOptions, "load", lambda options: {}["bug"])
    assert isinstance(dllm("generate", "a").exception, KeyError)
