"""Templates that do not want to end, and the process that they are rendered in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dllm.errors import PromptError
from dllm.tokenizer import renderer as module
from dllm.tokenizer.renderer import LONGEST_TEMPLATE, LONGEST_TEXT, Renderer, render

ROOT = Path(__file__).parents[2]
HELLO = ("{{ x }} there", {"x": "hi"})
FOREVER = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def renderer():
    made = Renderer(seconds=0.4)
    yield made
    made.close()


@pytest.fixture(scope="module")
def hurried():
    """Survives what the tests do to it."""
    made = Renderer(seconds=0.4)
    yield made
    made.close()


# --- hostile templates ------------------------------------------------------------------------------------------------

TIME = {
    "loops": FOREVER,
    "power": "{% set n = 9 %}{{ n ** (n ** n) }}",
    "power of constants": "{{ 9 ** (9 ** 9) }}",
    "macros": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "generator": "{{ lipsum(n=10 ** 9) }}",
    "sum": "{{ range(100000) | map('center', 10 ** 7) | map('length') | sum }}",
}
MEMORY = {
    "repeat": "{{ 'a' * 10 ** 9 }}",
    "list": "{{ ([0] * 10 ** 10) | length }}",
    "percent": "{{ '%1000000000d' % 1 }}",
    "format": "{{ '{:1000000000}'.format(1) }}",
    "center": "{{ 'a' | center(10 ** 9) }}",
    "replace": "{{ ('a' * 10 ** 7) | replace('a', 'b' * 10 ** 4) }}",
    "join": "{{ range(100000) | join('a' * 10 ** 6) }}",
    "json": "{{ [1] | tojson(indent=10 ** 9) }}",
    "batch": "{{ [1] | batch(10 ** 10, 0) | list }}",
    "doubled": "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
}
EITHER = {
    "date": "{{ strftime_now('%Y' * 10 ** 7) }}",
    "indent": "{{ ('a\n' * 1000000) | indent(100000) }}",
    "xmlattr": "{{ {'a': '<' * 10 ** 8} | xmlattr }}",
    "wordwrap": "{{ ('a ' * 10 ** 6) | wordwrap(1) }}",
    "written": "{% for i in range(100000) %}{{ 'a' * 1000 }}{% endfor %}",
    "one long text": "{{ 'a' * 10 ** 8 }}",
}
DEEP = {
    "macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "loop": "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "parentheses": "{{ " + "(" * 30000 + "1" + ")" * 30000 + " }}",
    "blocks": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "signs": "{{ " + "-" * 100000 + "1 }}",
    "lists": "{{ " + "[" * 5000 + "]" * 5000 + " }}",
}
LIMITS = r"longer than 0\.4 s|more than 512 MB of memory|more than 2000000 characters"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        *(pytest.param(text, r"longer than 0\.4 s", id=name) for name, text in TIME.items()),
        *(pytest.param(text, LIMITS, id=name) for name, text in (MEMORY | EITHER).items()),
        *(pytest.param(text, f"refuses these messages: RecursionError|too deeply nested|{LIMITS}", id=f"deep {name}")
          for name, text in DEEP.items()),
    ],
)  # fmt: skip
def test_a_hostile_template_ends(template, said, hurried):
    began = time.monotonic()
    with pytest.raises(PromptError, match=said):
        hurried.render(template, {})
    assert time.monotonic() - began < 10  # seconds: two starts on a loaded machine, and the limit
    assert hurried.render(*HELLO) == "hi there"


@pytest.mark.skipif(sys.platform != "linux", reason="the system keeps no such limit")
def test_memory_is_limited():
    small = Renderer(memory=64 << 20)
    with pytest.raises(PromptError, match="takes more than 64 MB of memory; set tokenizer"):
        small.render("{{ ('a' * 10 ** 8) | length }}", {})
    assert small.render("{{ ('a' * 10 ** 6) | length }}", {}) == "1000000"
    small.close()


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("x" * (LONGEST_TEMPLATE + 1), "the chat template has 250001 characters; at most 250000"),
        ("{{ 'é' * 2000001 }}", "writes more than 2000000 characters"),
        ("a\n{% for %}", "is not valid Jinja: line 2: "),
        ("{% break %}", "not valid Jinja|refuses"),
        ("{{ 1 / 0 }}", "refuses these messages: ZeroDivisionError: division by zero"),
        ("{{ x.y.z }}", "refuses these messages: .* has no attribute 'y'"),
        ("{{ raise_exception('a' * 10000) }}", "refuses these messages: a{500}$"),
        ("{% include '/etc/passwd' %}", "refuses these messages"),
        ("{{ ''.__class__.__mro__ }}", "attribute '__class__' of 'str' object is unsafe"),
        ("{{ x.append(1) }}", "unsafe"),
        ("{% set n = namespace(__class__=1) %}", "a namespace takes no name like '__class__'"),
        ("{% set n = namespace() %}{% set n.__class__ = 1 %}", "a namespace takes no name like '__class__'"),
    ],
)
def test_what_is_refused(template, said):
    with pytest.raises(PromptError, match=said):
        render(template, {"x": []})


def test_the_longest_that_goes():
    assert render("{{ '🙂' * n }}", {"n": LONGEST_TEXT}) == "🙂" * LONGEST_TEXT
    assert render("x" * LONGEST_TEMPLATE, {}) == "x" * LONGEST_TEMPLATE
    assert render("{{ x }}", {"x": "\ud800\n\x00\u2028"}) == "\ud800\n\x00\u2028"


@pytest.mark.parametrize("bad", [{1}, print, object(), b"x"])
def test_variables_that_are_no_json(bad):
    with pytest.raises(PromptError, match="messages and template_variables must be what JSON can hold"):
        render("", {"x": bad})
    loop = []
    loop.append(loop)
    with pytest.raises(PromptError, match="JSON"):
        render("", {"x": loop})


def test_a_conversation_that_is_too_long():
    with pytest.raises(PromptError, match="a chat template gets at most 33554432"):
        render("", {"x": "a" * (33 << 20)})


# --- the process ------------------------------------------------------------------------------------------------------


def test_one_process_serves_and_keeps_nothing(renderer):
    assert renderer.process is None
    assert renderer.render(*HELLO) == "hi there"
    first = renderer.process
    assert renderer.render("{% set x = 1 %}{% set y = namespace(z=2) %}{{ y.z }}", {}) == "2"
    assert renderer.render("[{{ x }}{{ y }}]", {}) == "[]"
    with pytest.raises(PromptError):
        renderer.render("{{ raise_exception('no') }}", {})
    assert renderer.process is first and first.poll() is None
    renderer.close()
    assert first.returncode is not None and renderer.process is None


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
def test_a_process_that_dies_is_replaced(renderer):
    renderer.render(*HELLO)
    for _ in range(3):
        renderer.process.kill()
        assert renderer.render(*HELLO) == "hi there"
    # in the middle of a rendering: the second one is whole
    renderer.seconds = 30.0
    renderer.close()
    slow = "{% for i in range(20000) %}{% for j in range(999) %}{% endfor %}{% endfor %}done"
    renderer.render(*HELLO)
    first = renderer.process
    killer = threading.Timer(0.1, first.kill)
    killer.start()
    assert renderer.render(slow, {}) == "done"
    killer.join()
    assert renderer.process is not first


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no such signal")
def test_a_process_that_does_not_answer_is_ended(renderer, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    renderer.render(*HELLO)
    os.kill(renderer.process.pid, signal.SIGSTOP)
    with pytest.raises(PromptError, match=r"longer than 0\.4 s"):
        renderer.render(*HELLO)
    monkeypatch.undo()
    assert renderer.render(*HELLO) == "hi there"


def test_no_process_can_be_started(renderer, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(ROOT / "no-such-python"))
        with pytest.raises(PromptError, match="the process that renders chat templates does not start"):
            renderer.render(*HELLO)
    with monkeypatch.context() as patched:
        patched.setattr(module, "_START", "raise SystemExit(3)")
        with pytest.raises(PromptError, match=r"ended \(exit code 3\)"):
            renderer.render(*HELLO)
    with monkeypatch.context() as patched:
        patched.setattr(module.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(PromptError, match="need jinja2, which is not installed"):
            renderer.render(*HELLO)
    assert renderer.render(*HELLO) == "hi there"


def test_an_interrupted_rendering_answers_nobody_else(renderer, monkeypatch):
    def interrupted(process):
        raise KeyboardInterrupt

    renderer.render(*HELLO)
    with monkeypatch.context() as patched:
        patched.setattr(module, "_read_line", interrupted)
        with pytest.raises(KeyboardInterrupt):
            renderer.render("somebody else's", {})
    assert renderer.render(*HELLO) == "hi there"


def test_many_threads_get_their_own_answers(renderer):
    renderer.seconds = 30.0
    wrong = []

    def ask(number):
        for turn in range(20):
            said = renderer.render("{{ a }}-{{ b }}" + " " * (number % 3), {"a": number, "b": turn}).strip()
            if said != f"{number}-{turn}":
                wrong.append(said)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def run(code, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-X", "dev", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False, **options)


SETUP = """
import os, sys, threading, time
from dllm.tokenizer import renderer
from dllm.tokenizer.renderer import render
renderer._renderer.seconds = 1.0
assert render("{{ x }}", {"x": 1}) == "1"
pid = renderer._renderer.process.pid
print(pid, flush=True)
"""
WAITING = f"threading.Thread(target=render, args=({FOREVER!r}, {{}}), daemon=True).start(); time.sleep(0.2); "
"""A thread that waits for a template that does not end."""
FORK = """
assert not {"transformers", "jinja2"} & set(sys.modules), "which take longer to import than a process to start"
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
renderer._renderer.seconds = 30.0
renderer._renderer.close()
said = []
slow = "{% for i in range(20000) %}{% for j in range(999) %}{% endfor %}{% endfor %}slow"
thread = threading.Thread(target=lambda: said.append(render(slow, {})))
thread.start()
time.sleep(0.3)
process = renderer._renderer.process
child = os.fork()
for number in range(20):
    assert render("{{ x }}", {"x": number}) == str(number)
print(renderer._renderer.process.pid, flush=True)
if child == 0:
    assert renderer._renderer.process.pid != process.pid
    raise SystemExit(7)
thread.join()
assert said == ["slow"] and renderer._renderer.process is process
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


def gone(pid):
    """Whether a process ends within five seconds, and leaves no zombie to us."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no such call")
@pytest.mark.parametrize("end", ["", WAITING, "os._exit(0)", WAITING + "os.kill(os.getpid(), 9)"])
def test_it_ends_with_its_owner_and_in_silence(end):
    result = run(SETUP + end)
    assert result.stderr == "" and gone(int(result.stdout))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no such call")
def test_a_fork_has_its_own():
    """Forked while another thread is in the middle of a rendering, so that its lock is held for ever."""
    result = run(SETUP + FORK)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    processes = [int(pid) for pid in result.stdout.split()]
    assert len(set(processes)) == 3 and all(map(gone, processes))
