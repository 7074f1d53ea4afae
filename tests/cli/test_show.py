"""The drawn canvas, without a terminal."""

import pytest

from dllm.cli.show import STYLES, Run, as_line, as_text, given_positions, harmless, level, runs
from dllm.outputs import StepEvent

MASK = 0


def event(canvas, positions=(), confidences=(), revoked=()):
    tokens = tuple(canvas[at] for at in positions)
    return StepEvent(
        positions=positions, token_ids=tokens, confidences=confidences, revoked=revoked, text="", firm="", canvas=canvas
    )


def decode(ids):
    return "".join(chr(96 + token) for token in ids)


FIRST = event([1, 2, MASK, 4, MASK, MASK], positions=(3,), confidences=(0.95,))
SECOND = event([1, 2, 3, 4, MASK, 6], positions=(2, 5), confidences=(0.2, 0.5))


def test_given_is_what_was_there_before_the_first_step():
    assert given_positions(FIRST, MASK) == {0, 1}
    # a document: fixed text on both sides of the hole
    assert given_positions(event([1, MASK, 3, 4], positions=(2,), confidences=(1.0,)), MASK) == {0, 3}


def test_runs_of_two_steps():
    given = given_positions(FIRST, MASK)
    assert runs(FIRST, given, MASK, decode) == [
        *(Run("given", "ab"), Run("mask", "░"), Run("sure", "d"), Run("mask", "░░"))
    ]
    assert runs(SECOND, given, MASK, decode) == [
        *(Run("given", "ab"), Run("unsure", "c"), Run("settled", "d"), Run("mask", "░"), Run("fair", "f"))
    ]


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [(0.0, "unsure"), (0.299, "unsure"), (0.3, "fair"), (0.699, "fair"), (0.7, "sure"), (1.0, "sure")],
)
def test_levels(confidence, expected):
    assert level(confidence) == expected and expected in STYLES


def test_a_revoked_position_is_a_mask_again():
    again = event([1, 2, 3, MASK, MASK, 6], positions=(), revoked=(3,))
    kinds = [run.kind for run in runs(again, frozenset({0, 1}), MASK, decode)]
    assert kinds == ["given", "settled", "mask", "settled"]


def test_coloured_text_has_a_style_for_every_run():
    text = as_text(runs(SECOND, frozenset({0, 1}), MASK, decode))
    assert text.plain == "abcd░f"
    styles = {text.plain[span.start : span.end]: span.style for span in text.spans}
    assert styles["c"] == "red" and styles["░"] == "grey50" and styles["d"] == "blue" and styles["f"] == "dark_orange"


def test_line():
    assert as_line(7, runs(SECOND, frozenset({0, 1}), MASK, decode)) == "step   7 | abcd░f"
    assert as_line(12, [Run("given", "a\nb"), Run("mask", "░░")]) == "step  12 | a\\nb░░"


def test_long_given_text_is_shortened_and_nothing_else():
    line = as_line(1, [Run("given", "x" * 500), Run("settled", "y" * 500)])
    assert line.count("x") < 40 and "..." in line and line.count("y") == 500


def test_tokens_cannot_steer_the_terminal():
    assert harmless("a\x1b[2Jb\x07\n\té") == "a\\x1b[2Jb\\x07\n\\té"
    # text that looks like rich markup stays text
    assert as_text([Run("settled", "[red]x[/]")]).plain == "[red]x[/]"
