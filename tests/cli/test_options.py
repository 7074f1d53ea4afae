"""Every option of every command, given nothing or nonsense: the error names it, and shows examples of its own kind."""

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from dllm.cli.app import app
from tests.support.pairwise import rotated

MINIMAL = {
    "generate": ("x", "-n", "2"),
    "infill": ("x<mask:1>",),
    "chat": ("x", "-n", "2"),
    "compare": ("-t", "copy", "-n", "1", "-s", "topk(64)", "--baseline", "topk(64)"),
    "train-filter": ("--out", "x.safetensors", "--count", "10", "--iterations", "1", "-n", "4"),
    "grammar check": ("x",),
    "eval parallelbench": ("-t", "copy", "-n", "1", "-s", "topk(64)"),
    "eval lm": ("-t", "no_such_task"),
    "eval report": ("no_such_folder",),
    "bench": ("--quick", "--cache-report"),
    "serve": ("--port", "0", "--timeout", "0"),  # which is refused, at last
    "view": ("no_such_file",),
}
"""Arguments with which a command has little to do, or nothing."""
EXAMPLES = {
    "scheduler": ("threshold(0.9)", "credit", "topk"),
    "cache": ("dual", "prefix"),
    "dtype": ("bfloat16",),
    "device": ("cuda",),
    "grammar": ("sql_select", ".lark"),
    "score": ("contains",),
    "tasks": ("gsm8k",),
    "shard": ("2/4",),
    "ids": ("1,2,3",),
    "preset": ("leaderboard",),
    "suite": ("synthetic",),
}
"""What stands in the errors of a kind of option, and must not in those of others."""
KIND = {
    "--baseline": "scheduler",
    "--prompt-ids": "ids",
}
MAY_BE_EMPTY = ("--regex", "--choice", "--system", "--revision")
NONSENSE = ("", "?", "threshold(0.9)", "dual")
LATE = [("eval lm", "--tasks"), ("eval lm", "--dtype"), ("eval lm", "--device"), ("eval lm", "--quantize")]
"""Read when the tasks have been found, which takes long."""


def leaves(command, name=""):
    """Every command that does something, by its whole name."""
    if not hasattr(command, "commands"):
        yield name.strip(), command
        return
    for key, one in command.commands.items():
        yield from leaves(one, f"{name} {key}")


OPTIONS = [
    (name, next((one for one in option.opts if one.startswith("--")), option.opts[0]))
    for name, command in leaves(get_command(app))
    for option in command.params
    if option.opts[0].startswith("-") and not getattr(option, "is_flag", False)
]
OPTIONS = [one for one in OPTIONS if one not in LATE]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def run(name, option, value):
    return CliRunner().invoke(app, [*name.split(), *MINIMAL.get(name, ()), option, value])


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_nothing_is_no_value(name, option, tmp_path):
    result = run(name, option, "")
    if option in MAY_BE_EMPTY:
        return
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit), (result.output, result.exception)
    last = result.stderr.splitlines()[-1]
    words = [KIND.get(option, option.strip("-")), *option.strip("-").split("-")]
    assert any(word.removesuffix("s") in last for word in words), last
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("one", "value"), rotated([one for one in OPTIONS if one[0] != "eval lm"], NONSENSE, every=2))
def test_an_error_shows_examples_of_its_own_kind(one, value):
    name, option = one
    result = run(name, option, value)
    assert result.exit_code in (0, 1, 2) and isinstance(result.exception, SystemExit | None), result.exception
    own = KIND.get(option, option.strip("-"))
    foreign = [word for kind, words in EXAMPLES.items() if kind != own for word in words if word not in value]
    for line in result.stderr.splitlines():
        if line.startswith("dllm: ") and result.exit_code == 2:
            assert not [word for word in foreign if word in line], line


@pytest.mark.parametrize("group", ["eval", "grammar"])
def test_a_group_without_a_command_is_bad_usage(group):
    result = CliRunner().invoke(app, [group])
    (line,) = result.stderr.splitlines()
    names = [name.split()[1] for name, _ in leaves(get_command(app)) if name.startswith(f"{group} ")]
    assert result.exit_code == 2 and "Usage:" in result.stdout
    assert line.startswith("dllm: ") and line.endswith(f"name a command, one of {', '.join(names)}")


def test_every_option_that_is_given_is_read():
    """Or refused: by a measurement that takes its own number of threads."""
    for which in ("--quick", "--cache-report"):
        result = CliRunner().invoke(app, ["bench", which, "--threads", "1"])
        assert result.exit_code == 2 and "--threads 1" in result.stderr
