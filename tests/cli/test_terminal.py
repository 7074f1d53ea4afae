"""Nothing that comes from a model, a file or an argument steers the terminal, and a stream that is gone is no bug."""

import json
import os
import subprocess
import sys

import pytest

from dllm.cli import chat as chat_command
from dllm.cli import eval_lm
from dllm.cli.console import HarmlessConsole, cell, print_tables, progress
from dllm.cli.options import ModelOptions
from dllm.cli.terminal import Delivery, UndeliveredError, harmless, open_doors
from dllm.errors import ModelError
from dllm.outputs import RequestOutput
from dllm.progress import progress_bar
from tests.support import cli as cli_support
from tests.support.cli import ROOT
from tests.support.terminal import Terminal, on_terminal

dllm, model_folder = cli_support.dllm, cli_support.model_folder

EVIL = "a\x1b[2Jb\x1b]0;title\x07c\x08\x9b31md\u202ee\u2066f\u2028g\x7fh\x85i\vj"
"""Clears the screen, names the window, rings, goes back, colours, turns the direction of writing, breaks lines."""
HARM = ("\x1b[2J", "\x1b]0", "\x07", "\x08", "\x9b", "\u202e", "\u2066", "\u2028", "\x7f", "\x85", "\v")


def assert_harmless(*shown):
    for text in shown:
        assert not [harm for harm in HARM if harm in text], text


@pytest.mark.parametrize(
    "char", [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *"\u200e\u202d\u2067\ufeff\U000e0041"]
)
def test_what_steers_is_spelled_out(char):
    assert harmless(f"a{char}b") == (f"a{char}b" if char == "\n" else f"a{repr(char)[1:-1]}b")


@pytest.mark.parametrize(
    "text",
    ["caf\u00e9\u3000\u4e2d", "\U0001f469\u200d\U0001f4bb", "\u0645\u06cc\u200c\u062e", "a\u0301", "no\u00a0break"],
)
def test_what_is_only_written_stays(text):
    assert harmless(text) == text


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate", "x", "--model", EVIL),
        ("generate", "x", "--model", f"./{EVIL}"),
        ("generate", "x", "--tokenizer", f"./{EVIL}"),
        ("generate", "x", "--scheduler", EVIL),
        ("generate", "x", "--cache", EVIL),
        ("generate", "x", "--device", EVIL),
        ("generate", "x", "-n", EVIL),
        ("generate", "x", f"--{EVIL}"),
        ("generate", "x", "--grammar", EVIL),
        ("generate", "x", "--grammar", f"{EVIL}.lark"),
        ("generate", "x", "--regex", f"({EVIL}"),
        ("generate", "x", "--json-schema", EVIL),
        ("generate", "x", "--trace", f"no/{EVIL}/x"),
        ("generate", "x", "--prompt-ids", EVIL),
        ("generate", "--prompt-ids", EVIL),
        ("infill", EVIL),
        ("infill", f"<mask:{EVIL}>"),
        ("compare", "-t", EVIL),
        ("compare", "--data", EVIL),
        ("compare", "--plugin", EVIL),
        ("compare", "-t", "copy", "--score", f"{EVIL}.py:f"),
        ("eval", "parallelbench", "--preset", EVIL),
        ("eval", "parallelbench", "--shard", EVIL),
        ("eval", "report", EVIL),
        ("eval", EVIL),
        ("train-filter", "--out", EVIL),
        ("bench", "--out", EVIL),
        ("view", EVIL),
        ("view", "x", "--out", EVIL),
        (EVIL,),
    ],
)
@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_arguments_in_errors(monkeypatch, arguments, debug):
    code, out, err = on_terminal(monkeypatch, *debug, *arguments)
    assert code == 2 and not out
    assert_harmless(err)
    last = err.splitlines()[-1]
    assert last.startswith("dllm: ") and "\r" not in last
    assert debug or err.count("\n") == 1


def printed_by(code):
    """What a process with doors writes to stderr, as bytes."""
    code = f"import sys, warnings\nfrom dllm.cli.terminal import open_doors\nopen_doors()\nEVIL = {EVIL!r}\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, check=False).stderr


def test_warnings_and_the_traceback_of_a_bug():
    shown = printed_by("warnings.warn(EVIL)\nraise RuntimeError(EVIL)").decode()
    assert "Traceback" in shown and shown.count("a\\x1b[2Jb") >= 2
    assert_harmless(shown)


def test_errors_of_files(monkeypatch):
    """As of a checkpoint whose tensors have such names."""

    def load(options):
        raise ModelError(f"no tensor {EVIL}")

    monkeypatch.setattr(ModelOptions, "load", load)
    code, out, err = on_terminal(monkeypatch, "generate", "x")
    assert (code, out) == (1, "") and "no tensor a\\x1b[2Jb" in err
    assert_harmless(err)


@pytest.fixture
def says_evil(dllm, monkeypatch):
    """Every answer is EVIL, then a tab and a new line."""
    text = property(lambda output: f"{EVIL}\t\n", lambda output, value: None)
    monkeypatch.setattr(RequestOutput, "text", text)
    return dllm


def test_answers_are_exact_on_a_pipe_and_harmless_on_a_terminal(dllm, model_folder, monkeypatch):
    asked = ("generate", "x", "--regex", r"a\x1b\[2J\x07\t\r\nb", "-m", str(model_folder), "-n", "16")
    assert dllm(*asked, model=None).stdout_bytes == b"a\x1b[2J\x07\t\r\nb\n"
    code, out, err = on_terminal(monkeypatch, *asked)
    assert (code, out, err) == (0, "a\\x1b[2J\\x07\t\\r\nb\n", "")


def test_the_canvas_that_moves(dllm, model_folder, monkeypatch):
    asked = ("generate", f"{EVIL}[red]", "--show", "--stats", "--ignore-eos", "-m", str(model_folder), "-n", "4")
    code, out, err = on_terminal(monkeypatch, *asked)
    assert code == 0 and "a\\x1b[2Jb" in err and "\x1b[" in err  # colours and moves of our own
    assert "\\x1b[0m" not in err and "\\x1b[1A" not in err, "none of them is spelled out"
    assert_harmless(out, err)


def test_bars_move_and_what_is_said_meanwhile_is_harmless(monkeypatch):
    for bar in (progress, progress_bar):
        out, err = Terminal(), Terminal()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        monkeypatch.setenv("TERM", "xterm-256color")
        open_doors()
        with bar("x", 3) if bar is progress else bar(3, True) as done:
            done(1) if bar is progress else done()
            print(EVIL, file=sys.stderr)
        assert "\x1b[" in err.shown and "\\x1b[?25" not in err.shown and "\\x1b[0m" not in err.shown
        assert ("\\x1b[2K" not in err.shown and "a\\x1b[2Jb" in err.shown.replace("\n", "")) or "ab" in err.shown
        assert_harmless(out.shown, err.shown)


def test_a_conversation(says_evil, model_folder, monkeypatch):
    monkeypatch.setattr(chat_command, "_check_conversation", lambda output: None)
    code, out, err = on_terminal(monkeypatch, "chat", "-m", model_folder, "-n", "4", stdin=f"{EVIL[:9]}\n")
    assert code == 0 and out.startswith("a\\x1b[2Jb")
    assert_harmless(out, err)


def test_tables_of_a_run(model_folder, monkeypatch, tmp_path):
    data = tmp_path / f"{EVIL}[bold].jsonl"
    data.write_text(json.dumps({"prompt": "x", "answer": EVIL}) + "\n")
    asked = ("compare", "--data", data, "-m", model_folder, "--max-new-tokens", "4", "-s", "topk", "--baseline", "topk")
    code, out, err = on_terminal(monkeypatch, *asked)
    assert code == 0 and "a\\x1b[2Jb" in out and "[bold]" in out, err
    assert_harmless(out, err)


def test_tables_of_the_harness(monkeypatch):
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    metrics = {f"{EVIL},[/none]": 0.5}
    spent = {"by_kind": {}, "likelihood_standard_error": None}
    eval_lm._print({"results": {f"[red]{EVIL}": metrics}, **spent})
    assert "[red]a\\x1b[2Jb" in out.shown and "[/none]" in out.shown
    assert_harmless(out.shown)


def test_what_is_drawn_on_a_console_is_harmless_however_it_gets_there(monkeypatch):
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    HarmlessConsole(width=200).print(EVIL, markup=False)
    print_tables([(EVIL, [EVIL], [[EVIL]])])
    with progress(EVIL, 3) as advance:
        advance(1)
        print(EVIL)
    assert cell(EVIL).plain == harmless(EVIL)
    assert_harmless(out.shown, err.shown)


def test_what_a_downloads_bar_writes_passes():
    pieces = ["\r 50%|x", "\n", "\x1b[A", "\r", "\n\x1b[A\x1b[A"]
    shown = printed_by(f"for text in [*{pieces!r}, EVIL]: sys.stderr.write(text)")
    assert shown.decode() == "".join(pieces) + harmless(EVIL)


# streams that are gone


class Broken(Terminal):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


def test_a_loss_is_told_once_and_only_where_it_matters():
    full = OSError(28, "No space left on device")
    wanted, unwanted = Delivery(Broken(full), needed=True), Delivery(Broken(full), needed=False)
    with pytest.raises(UndeliveredError, match="No space left"):
        wanted.write("x")
    assert wanted.write("more") == 4 and unwanted.write("x") == 1
    with pytest.raises(UndeliveredError, match="closed"):
        Delivery(None, needed=True).write("x")
    Delivery(None, needed=False).write("x")
    with pytest.raises(UndeliveredError) as gone:
        Delivery(Broken(BrokenPipeError(32, "Broken pipe")), needed=True).write("x")
    assert gone.value.gone


@pytest.mark.parametrize(
    ("shell", "code", "stderr"),
    [
        ("grammar explain >&-", 1, "dllm: stdout could not be written: it is closed\n"),
        ("grammar explain --json >/dev/full", 1, "dllm: stdout could not be written: No space left on device\n"),
        ("--version >&-", 1, "dllm: stdout could not be written: it is closed\n"),
        ("--help | true; exit ${PIPESTATUS[0]}", 1, ""),
        ("grammar explain nowhere 2>&-", 2, ""),
        ("grammar explain json 2>/dev/full >/dev/null", 0, ""),
        ("grammar explain nowhere <&- >&- 2>&-", 2, ""),
    ],
)
def test_closed_full_and_left_streams(shell, code, stderr):
    if "/dev/full" in shell and not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    command = f"'{sys.executable}' -m dllm {shell}"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", stderr)
