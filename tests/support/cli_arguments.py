"""Argument lists for the command line that nobody would write: any options of a command, with odd values."""

from hypothesis import strategies as st
from typer.main import get_command

from dllm.cli.app import app

ODD = (
    *(
        "",
        " ",
        "-",
        "--",
        "---",
        "?",
        "é",
        "中",
        "\n",
        "a\nb",
        "\t",
        "a\x1b[2Jb",
        "\x07",
        "\u202e",
        "\udcff",
        "x" * 3000,
    ),
    *("0", "1", "-1", "2", "7", "64", "1e3", "1e400", "nan", "inf", "-inf", "0x10", "1_0", "٣", "9" * 30, "1.5", "0.5"),
    *("(", ")", "{", "}", "{}", "{,}", "[", "]", "+", ",", "=", "a=b", "a+b", "a,b", "'", '"', "\\", "%s", "%", "{0}"),
    *("topk", "topk(2)", "topk(0)", "topk(1e9)", "threshold(nan)", "threshold({0.1,0.9})", "wino+topk", "edit+dus"),
    *("eb(-1)", "llada", "dream(origin)", "prophet(region='x')", "learn2pd('nowhere')", "topk(k=1,k=2)", "topk(1,2)"),
    *("none", "dual", "prefix(x=1)", "dual+dual", "window(left=-1)", "auto", "exact", "delayed(keep_prompt=maybe)"),
    *("tiny", "ideal", "nobody/nothing", "a/b/c", ".", "..", "/", "/dev/null", "~", "no/such", "file:///", "C:\\x"),
    *("json", "cpp", "x.lark", "absent.json", "f.safetensors", "[", "(a", "a*", "(a|b)*c", "\\p{L}", "(?=a)", "."),
    *("float32", "int8", "cpu", "cuda:99", "meta", "copy", "quick", "leaderboard", "synthetic", "v1", "v2", "hf"),
    *("1/2", "3/2", "0/0", "exact", "mine.py:f", "<mask:3>", "<mask:0>", "<mask:2-1>", "<mask:1-3>", "<<mask:"),
    *("1,2,3", "1 2", "999999", "-1,-2", "<|mdm_mask|>", "any", "schema"),
)
SMALL = ("", "x", "-1", "0", "1", "2", "nan", "1.5")
"""Values of options with which a large number is much work, as it says."""
MUCH_WORK = ("--samples", "--count", "--iterations", "--workers", "--mc-num", "--steps", "--max-new-tokens", "--repeat")
FIRST = {
    "generate": ("-n", "3"),
    "infill": (),
    "chat": ("-n", "3"),
    "compare": ("-t", "copy", "-n", "1", "-s", "topk(64)", "--baseline", "topk(64)"),
    "eval parallelbench": ("-t", "copy", "-n", "1", "-s", "topk(64)"),
    "train-filter": ("--count", "10", "--iterations", "1", "-n", "3"),
    "bench": ("--quick", "--cache-report"),
    "schedulers": (),
    "doctor": (),
    "grammar check": (),
    "grammar explain": (),
    "eval report": (),
    "view": (),
}
"""Arguments that come first, so that little is done unless others say so. Not `eval lm`, which takes long to begin."""
NOT_TWICE = {
    "compare": ("--task", "--scheduler", "--baseline", "--quick"),
    "eval parallelbench": ("--preset",),
    "doctor": ("--warm",),
}
"""Options that would make much work of little."""


def leaves(command, name=""):
    """Every command that does something, by its whole name."""
    if not hasattr(command, "commands"):
        yield name.strip(), command
        return
    for key, one in command.commands.items():
        yield from leaves(one, f"{name} {key}")


COMMANDS = {name: command for name, command in leaves(get_command(app)) if name in FIRST}


def options_of(name):
    """(option, whether it takes a value) of a command."""
    left = NOT_TWICE.get(name, ())
    params = [param for param in COMMANDS[name].params if not set(param.opts) & set(left)]
    return [(opt, not getattr(param, "is_flag", False)) for param in params for opt in param.opts if opt[0] == "-"]


@st.composite
def arguments(draw):
    """A whole command line."""
    name = draw(st.sampled_from(sorted(COMMANDS)))
    words = [*name.split(), *FIRST[name]]
    for option, valued in draw(st.lists(st.sampled_from(options_of(name)), max_size=4)):
        words.append(option)
        if valued:
            words.append(draw(st.sampled_from(SMALL if option in (*MUCH_WORK, "-n") else ODD)))
    words += draw(st.lists(st.sampled_from(ODD), max_size=2))
    if draw(st.integers(0, 9)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(ODD)))
    return words
