"""The first use of a grammar: what is waited for is said, once, on stderr, and `dllm doctor --warm` does it ahead."""

import json
import time
from types import SimpleNamespace

import pytest

from dllm import LLM, Grammar, GrammarError, SamplingParams
from dllm.cli import first_use as waiting
from dllm.cli.first_use import COMPILING, first_use, seconds_compiling
from dllm.cli.warm import DOCUMENT, SCHEMA, loops, warm_up
from dllm.grammars.frontends.builtin import builtin_names
from tests.support.cli import python_m_dllm

numba = pytest.importorskip("numba")


class Slow:
    """A grammar that takes a while to be ready, and more in its use."""

    name = "slow"

    def __init__(self, preparing=0.0):
        self.preparing = preparing

    def compile(self, vocabulary):
        time.sleep(self.preparing)


MODEL = SimpleNamespace(tokenizer=SimpleNamespace(vocab_size=1234), vocabulary=None)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE", 0.08)


def compile_something():
    numba.njit(lambda x: sum([x, x + 1]))(3)


def test_tables_that_take_long(capsys):
    with first_use(MODEL, Slow(0.4)):
        pass
    said = capsys.readouterr()
    assert said.err == "dllm: preparing the grammar slow for a vocabulary of 1234 ids\n" and said.out == ""


def test_loops_that_are_compiled(capsys):
    with first_use(MODEL, Slow()):
        compile_something()
        compile_something()
        time.sleep(0.2)
    assert capsys.readouterr().err == f"dllm: {COMPILING}\n"


def test_nothing_is_said_of_what_is_quick_or_slow_for_another_reason(capsys):
    with first_use(MODEL, Slow()):
        time.sleep(0.3)
    with first_use(MODEL, None):
        compile_something()
    with first_use(SimpleNamespace(tokenizer=None), Slow()):
        compile_something()
    assert capsys.readouterr().err == ""


def test_it_is_over_when_something_is_raised(capsys):
    with pytest.raises(KeyError), first_use(MODEL, Slow()):
        raise KeyError
    compile_something()
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


def test_functions_inside_of_functions_count_once():
    start, end = SimpleNamespace(is_start=True), SimpleNamespace(is_start=False)
    events = [(1.0, start), (2.0, start), (4.0, end), (5.0, end), (7.0, start), (8.0, end)]
    assert seconds_compiling(events) == 5.0
    assert seconds_compiling([(time.time() - 3, start)]) == pytest.approx(3, abs=0.5)


def test_an_answer_as_json_is_all_of_stdout():
    run = python_m_dllm("generate", "x", "-n", "8", "--choice", "a", "--choice", "b", "--json")
    assert json.loads(run.stdout)["text"] in ("a", "b")


def test_after_warming_up_nothing_is_left_to_compile():
    """Of what the built-in grammars, and every kind of other grammar, call."""
    warm_up()

    def signatures():
        return {(loop.__module__, loop.__name__, str(one)) for loop in loops() for one in loop.signatures}

    warmed, llm = signatures(), LLM("tiny", device="cpu")
    assert len({name for _, name, _ in warmed}) >= 10
    grammars = [*map(Grammar.builtin, builtin_names()), Grammar.from_json_schema(SCHEMA, property_order="schema")]
    grammars += [Grammar.from_regex(r"[a-z]{2,5}(-\d+)*"), Grammar.from_choices(["yes", "no", "maybe so"])]
    for seed, grammar in enumerate(grammars):
        params = SamplingParams(max_new_tokens=24, temperature=3.0, seed=seed, scheduler="wino", grammar=grammar)
        try:
            llm.generate("x\n", params)
        except GrammarError as error:
            assert "fits this canvas" in str(error)
    params = SamplingParams(scheduler="topk(4)", grammar=Grammar.builtin("cpp"))
    llm.infill("int f(int a) { return <mask:2-6>; }", params)
    assert signatures() == warmed
    assert warm_up()["compiled"] == 0 and "<mask:" in DOCUMENT


def test_the_doctor_tells_how_long_it_took():
    run = python_m_dllm("doctor", "--warm", "--json")
    made = json.loads(run.stdout)["grammars"]
    assert run.returncode == 0 and made["seconds"] > 0 and made["kept_in"] and "loops are compiled" in run.stderr
