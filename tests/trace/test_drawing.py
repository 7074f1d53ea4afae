"""A canvas as static HTML: what is said of it is right, small, and cannot be anything but text."""

import re
from html.parser import HTMLParser

import pytest

from dllm import LLM, ConfigError, SamplingParams, Trace, TraceStep
from dllm.trace import drawing
from dllm.trace.drawing import Cell, as_html, ink, shade, visible, window
from tests.support.fakes import MixDenoiser

EVIL = (
    "</pre></div></noscript></script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "--><!--<script>",
    "'\" style=x",
    "&lt;&#0;",
    "\0\x1b[2J\x7f",
    "\u2028\u202e]]>",
)


class Reader(HTMLParser):
    """Elements and text of a page, as a browser splits them."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self._open = [], {}, []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.setdefault(self._open[-1], []).append(data)


def trace_of(texts, steps=()):
    return Trace(list(steps), list(texts), 0, 99, dict(texts), "m")


def test_cells_are_what_replay_says_and_when():
    model, revoked = LLM(MixDenoiser(seed=3)), 0
    for spec in ("topk(2)", "edit(0.1, passes=2)+topk(2)"):
        params = SamplingParams(max_new_tokens=24, scheduler=spec, ignore_eos=True, temperature=1.0, seed=5)
        trace = model.generate([1, 2], params).trace
        revoked += sum(len(step.revoked) for step in trace.steps)
        frames = [trace.canvas, *trace.replay()]
        for count, ids in enumerate(frames):
            cells = trace.cells(count)
            assert [cell.text is None for cell in cells] == [token == trace.mask_token_id for token in ids]
            assert [cell.text for cell in cells if cell.text] == [f"{i} " for i in ids if i != trace.mask_token_id]
            for at, cell in enumerate(cells):  # the plain way: the last step that wrote here
                wrote = [n for n, step in enumerate(trace.steps[:count], 1) if at in step.positions]
                assert cell.step == (wrote[-1] if wrote and cell.text else 0)
        assert trace.cells() == trace.cells(len(trace.steps))
    assert revoked


def test_whatever_tokens_say_is_text():
    texts = dict(enumerate(EVIL))
    step = TraceStep((0, 2), (0, 2), (0.25, 1.0))
    page = trace_of(texts, [step])._repr_html_()
    reader = Reader(page)
    assert {tag for tag, _ in reader.elements} == {"div", "style", "p", "pre", "i", "span"}
    attributes = {name for _, found in reader.elements for name in found}
    assert attributes == {"class", "title"}
    assert reader.texts["i"][:2] == [visible(EVIL[0]), visible(EVIL[2])]
    assert "".join(reader.texts["span"]) == "".join(visible(text) for at, text in texts.items() if at not in (0, 2))
    titles = [found["title"] for tag, found in reader.elements if "title" in found]
    assert titles == ["step 1, confidence 0.25", "step 1, confidence 1"]
    model = Reader(as_html([], 0, EVIL[0]))
    assert model.texts["p"][0] == EVIL[0]


def test_a_mask_is_no_token_and_a_prompt_has_no_colour():
    page = as_html([Cell("a"), Cell("b", 1, 0.5), Cell("c", 3), Cell()], 3, "x")
    body = re.search("<pre>(.*)</pre>", page, re.S)[1]
    assert body == (
        '<span>a</span><i class="s0" title="step 1, confidence 0.5">b</i><i class="s10" title="step 3">c</i><b>·</b>'
    )


def test_ink_can_be_read_on_every_colour():
    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    shades = [luminance(colour) for colour in drawing.SCALE]
    assert shades == sorted(shades)  # told apart by lightness alone
    for colour, light in zip(drawing.SCALE, shades, strict=True):
        contrast = 1.05 / (light + 0.05) if ink(colour) == "#fff" else (light + 0.05) / 0.05
        assert contrast >= 4.5, colour


def test_first_and_last_step_have_the_ends_of_the_scale():
    assert [shade(step, 5) for step in range(1, 6)] == [0, 2, 5, 8, 10]
    assert shade(1, 1) == 0


def test_what_is_drawn_is_bounded():
    many = [Cell("a")] * 5_000 + [Cell("b", 1, 0.123456)] * 5_000
    start, end = window(many)
    assert (start, end - start) == (4_900, drawing.MOST)
    page = as_html(many, 2, "x")
    assert len(page) < 100_000 and "4,900 positions before, 4,100 positions behind" in page
    assert window(many[:900]) == (0, 900) and window([Cell("a")] * 1_200)[0] == 0
    assert "not drawn" not in as_html(many[:900], 2, "x")


def test_outputs_and_traces_draw_themselves():
    out = LLM(MixDenoiser()).generate([1, 2], SamplingParams(max_new_tokens=8, ignore_eos=True, n=2))
    page = out._repr_html_()
    assert f"length: 8 tokens in {out.stats.forwards} forwards" in page and "the first of 2 samples" in page
    assert f"8 positions filled in {len(out.trace.steps)} steps" in out.trace._repr_html_()
    shown = "".join(re.findall(r'<i class="s\d+" title="[^"]+">(.*?)</i>', page))
    assert shown.split() == list(map(str, out.token_ids))


def test_a_trace_that_cannot_be_drawn_has_its_repr_only():
    old = Trace([TraceStep((1,), (5,), (0.5,))])
    assert old._repr_html_() is None
    with pytest.raises(ConfigError, match="does not say what it began from"):
        old.drawn()
    with pytest.raises(ConfigError, match="does not fit"):
        trace_of({1: "a"}, [TraceStep((7,), (5,), (0.5,))]).cells()
