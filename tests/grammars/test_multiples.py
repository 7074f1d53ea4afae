"""`multipleOf` of decimals and of threes and sevens, against exact fractions."""

from fractions import Fraction
from typing import Any

import pytest

from dllm import Grammar, GrammarError

WHOLES = [*range(0, 64), 99, 100, 105, 999, 1000, 1001, 1250, 123456]
PARTS = ["", ".0", ".00", ".5", ".50", ".25", ".75", ".01", ".07", ".10", ".001", ".0005", ".33", ".05", ".1250"]
TEXTS = [sign + str(whole) + part for whole in WHOLES for part in PARTS for sign in ("", "-")]
BESIDE: list[dict[str, Any]] = [{}, {"minimum": 1, "maximum": 99.5}, {"type": "integer"}, {"exclusiveMinimum": 0}]


def valid(value: Fraction, step: float, beside: dict[str, Any]) -> bool:
    inside = beside.get("minimum", -(10**9)) <= value <= beside.get("maximum", 10**9)
    above = value > beside.get("exclusiveMinimum", -(10**9))
    return inside and above and value % Fraction(repr(step)) == 0 and ("type" not in beside or value.denominator == 1)


@pytest.mark.parametrize("step", [0.01, 0.5, 2.5, 1e-3, 0.25, 1.5, 0.3, 0.0001, 3, 12, 60, 7, 0.07, 2.0])
def test_all_texts(step):
    for beside in BESIDE:
        grammar = Grammar.from_json_schema({"type": "number", "multipleOf": step, **beside})
        for text in TEXTS:
            assert grammar.accepts(text) == valid(Fraction(text), step, beside), (text, step, beside)
        assert not any(map(grammar.accepts, ["1e2", "01", ".5", "1.", "-"]))


def test_steps_meet():
    both = Grammar.from_json_schema({"type": "number", "allOf": [{"multipleOf": 0.15}, {"multipleOf": 0.1}]})
    assert [text for text in ("0.3", "0.15", "0.1", "3", "0.30") if both.accepts(text)] == ["0.3", "3", "0.30"]
    listed = Grammar.from_json_schema({"enum": [0.07, 0.075, 1, "x"], "multipleOf": 0.01})
    assert [text for text in ("0.07", "0.075", "1", '"x"') if listed.accepts(text)] == ["0.07", "1", '"x"']
    with pytest.raises(GrammarError, match="no value is valid"):
        Grammar.from_json_schema({"type": "number", "multipleOf": 0.5, "minimum": 0.6, "maximum": 0.9})


@pytest.mark.parametrize("step", [11, 9, 16, 1e-12, 0.0016])
def test_steps_that_are_refused(step):
    with pytest.raises(GrammarError, match=r"multipleOf=.* is not supported; it may be a divisor of 1000"):
        Grammar.from_json_schema({"multipleOf": step})


def test_steps_that_are_refused_together():
    for schema in (
        {"allOf": [{"multipleOf": 3}, {"multipleOf": 7}]},
        {"allOf": [{"multipleOf": 0.3}, {"multipleOf": 0.7}]},
    ):
        with pytest.raises(GrammarError, match="together ask for multiples of"):
            Grammar.from_json_schema(schema)
