"""The page in a headless browser: generate, watch, scrub, mask again, race, replay. Skipped where there is none."""

import json
import random

import pytest

from dllm import LLM, Hole, SamplingParams, Trace, TraceStep
from dllm.serve.page import page_of
from dllm.trace.drawing import SCALE, visible
from tests.support.browser import Browser, found
from tests.support.fakes import MixDenoiser
from tests.support.serving import serving
from tests.trace.test_drawing import EVIL

pytestmark = pytest.mark.skipif(found() is None, reason="no Chromium is installed")

PROMPT = '["Mary", "Linda", "Susan"]\nReverse the list.\n'
DONE = "state.lanes.length && state.lanes.every((lane) => lane.stop === null)"
SHOWN = "[...document.querySelectorAll('.canvas')].map((one) => one.textContent)"
NUMBERS = ("rate", "forwards", "filled", "masks")


@pytest.fixture(scope="module")
def llm():
    return LLM("tiny", device="cpu")


@pytest.fixture(scope="module")
def url():
    with serving(LLM("tiny", device="cpu")) as served:
        yield f"{served.url}/"


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def browser(window):
    """Without a fault in the page."""
    yield window
    assert window.faults == []


@pytest.fixture
def page(browser, url):
    browser.open(url)
    browser.wait("state.options")
    return browser


def run(page, text, *, mode="prompt", scheduler="topk(1)", second=None, seconds=60):
    page.click(f'input[value="{mode}"]')
    page.write("#text", text)
    page.write("#scheduler", scheduler)
    if second is not None:
        page.click("#race")
        page.write("#second", second)
    page.press("Enter", control=True)
    page.wait(DONE, seconds)
    page.settle()


def text_of(trace, ids):
    """As the canvas shows it."""
    mask = trace.mask_token_id
    return "".join("·" if token == mask else visible(trace.texts.get(token, "")) for token in ids)


def assert_replays(page, traces):
    """The page has the canvas that `Trace.replay` has, after every step of every lane."""
    for lane, trace in enumerate(traces):
        frames = [trace.canvas, *trace.replay()]
        counts = f"[...Array({len(frames)}).keys()]"
        assert page.value(f"{counts}.map((count) => frameOf(state.lanes[{lane}].trace, count).ids)") == frames
        cells = [[(cell.step, cell.confidence) for cell in trace.cells(count)] for count in range(len(frames))]
        told = page.value(
            f"{counts}.map((count) => {{ const frame = frameOf(state.lanes[{lane}].trace, count);"
            "return frame.ids.map((id, at) => [frame.since[at], frame.sure[at]]); })"
        )
        assert [[tuple(cell) for cell in frame] for frame in told] == cells


def test_generate_and_watch(page, llm):
    masks = "document.querySelector('.masks')?.textContent"
    page.value(f"window.seen = []; window.plain = draw; draw = () => {{ plain(); seen.push({masks}); }}; 0")
    run(page, PROMPT)
    out = llm.generate(PROMPT, SamplingParams(max_new_tokens=64, scheduler="topk(1)", seed=0))
    assert page.value(SHOWN) == [text_of(out.trace, list(out.trace.replay())[-1])]
    assert_replays(page, [out.trace])
    assert len(set(page.value("seen"))) > 4  # it was drawn while it came
    numbers = page.value(f"{list(NUMBERS)}.map((name) => document.querySelector('.' + name).textContent)")
    filled = out.stats.tokens + 1  # the end of text
    assert numbers == [f"{filled / out.stats.forwards:.2f}", str(out.stats.forwards), str(filled), "0"]
    assert f"{out.stats.tokens} tokens, {out.stats.tokens_per_forward:.2f} a forward" in page.value(
        "document.querySelector('.status').textContent"
    )


def test_scrub(page, llm):
    run(page, PROMPT)
    trace = llm.generate(PROMPT, SamplingParams(max_new_tokens=64, scheduler="topk(1)", seed=0)).trace
    frames = [trace.canvas, *trace.replay()]
    page.value("document.activeElement.blur()")
    for key, count in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", len(frames) - 1)):
        page.press(key)
        assert page.value(SHOWN) == [text_of(trace, frames[count])], key
        assert page.value("document.querySelector('#clock').textContent") == f"{count} / {len(frames) - 1}"
    page.choose("#time", 3)
    assert page.value(SHOWN) == [text_of(trace, frames[3])]
    fresh = page.value("[...document.querySelectorAll('.fresh')].map((cell) => cell.at)")
    assert fresh == list(trace.steps[2].positions)
    page.choose("#axis", "seconds")
    page.choose("#time", sum(page.value("state.lanes[0].trace.steps.map((step) => step.seconds)")[:5]) + 1e-6)
    assert page.value(SHOWN) == [text_of(trace, frames[5])]


def test_play_goes_through_all_steps(page):
    run(page, PROMPT)
    page.choose("#speed", "8")
    page.value("window.times = []; window.plain = draw; draw = () => { plain(); times.push(state.time); }; 0")
    page.value("document.activeElement.blur()")
    page.press(" ")
    page.wait("!state.playing")
    times = page.value("times.filter(Number.isFinite)")
    assert times == sorted(times) and times[0] < 1 and len(times) > 4


def test_mask_again_and_go_on(page, llm):
    run(page, "int sum(int a, int b) { return <mask:3>; }", mode="document")
    params = SamplingParams(scheduler="topk(1)", seed=0)
    before = llm.infill("int sum(int a, int b) { return <mask:3>; }", params)
    ids = before.token_ids
    page.click(".canvas span:nth-child(3)")
    page.click(f".canvas span:nth-child({len(ids) - 3})")
    page.click(f".canvas span:nth-child({len(ids) - 1})", shift=True)
    marks = [2, len(ids) - 4, len(ids) - 3, len(ids) - 2]
    assert page.value("[...state.lanes[0].marks].sort((a, b) => a - b)") == marks
    page.click(".go")
    page.wait(DONE)
    parts = [ids[:2], Hole(1), ids[3 : marks[1]], Hole(3), ids[-1:]]
    after = llm.infill(parts, params)
    now = page.value("frameOf(state.lanes[0].trace, Infinity).ids")
    assert now == after.token_ids
    # the past is kept: first the old steps, then the hand's, then the new
    steps = page.value("state.lanes[0].trace.steps.map((step) => [step.positions, step.revoked])")
    old, new = before.trace.steps, after.trace.steps
    assert steps == [
        *([list(step.positions), list(step.revoked)] for step in old),
        [[], marks],
        *([list(step.positions), list(step.revoked)] for step in new),
    ]
    assert page.value("document.querySelector('.forwards').textContent") == str(len(old) + len(new))
    saved = Trace.from_jsonl(page.value("writeTrace(state.lanes[0].trace)"))
    assert list(saved.replay())[-1] == now
    assert_replays(page, [saved])
    page.click(".undo")
    assert page.value("frameOf(state.lanes[0].trace, Infinity).ids") == ids


def test_go_on_from_an_earlier_step(page, llm):
    """An answer keeps its length; what was masked then is filled by the scheduler that is chosen now."""
    run(page, PROMPT)
    params = SamplingParams(max_new_tokens=64, scheduler="topk(1)", seed=0)
    trace = llm.generate(PROMPT, params).trace
    frames = list(trace.replay())
    page.choose("#time", 4)
    page.write("#scheduler", "topk(3)")
    page.click(".go")
    page.wait(DONE)
    length = len(frames[-1])
    begun = frames[3][:length]
    begun = begun[:-1] if begun[-1] == trace.mask_token_id else begun
    parts = [Hole(1) if token == trace.mask_token_id else token for token in begun]
    expected = llm.infill(parts, SamplingParams(scheduler="topk(3)", seed=0))
    assert page.value("frameOf(state.lanes[0].trace, Infinity).ids") == expected.token_ids


def test_keyboard_alone(page):
    run(page, PROMPT)
    page.value("document.querySelector('.canvas [tabindex=\"0\"]').focus()")
    at = page.value("document.activeElement.at")
    page.press("ArrowRight")
    page.press("Enter")
    assert page.value("[document.activeElement.at, [...state.lanes[0].marks]]") == [at + 1, [at + 1]]
    assert "position" in page.value("document.querySelector('.peek').textContent")
    page.press("g")
    page.wait(f"{DONE} && !state.lanes[0].marks.size && state.lanes[0].previous")
    page.press("Enter")
    page.press("Escape")
    assert page.value("state.lanes[0].marks.size") == 0
    page.value("document.activeElement.blur()")
    page.press("?")
    assert page.value("document.querySelector('#keys').open")
    page.press("Escape")
    page.press("c")
    assert not page.value("document.querySelector('#keys').open") and page.value("state.paint") == "confidence"
    page.press("h")
    assert page.value("document.querySelector('#composer').hidden")


def test_race(page, llm):
    run(page, PROMPT, scheduler="topk(1)", second="topk(4)")
    outs = [
        llm.generate(PROMPT, SamplingParams(max_new_tokens=64, scheduler=spec, seed=0))
        for spec in ("topk(1)", "topk(4)")
    ]
    assert_replays(page, [out.trace for out in outs])
    slow, fast = (len(out.trace.steps) for out in outs)
    verdict = page.value("document.querySelector('#verdict').textContent")
    assert verdict.startswith(f"topk(4) takes {fast} forwards, topk(1) {slow}: {slow / fast:.1f} times as many")
    same = outs[0].token_ids == outs[1].token_ids
    assert ("Their tokens are the same." in verdict) == same
    # one clock for both: the fast one waits at its end
    page.choose("#time", fast)
    frames = [list(out.trace.replay())[fast - 1] for out in outs]
    assert page.value(SHOWN) == [text_of(out.trace, ids) for out, ids in zip(outs, frames, strict=True)]


def test_chat_goes_on(page, llm):
    question = "Name: Ana, Age: 31, City: Rome\nWrite JSON with keys: age, name"
    run(page, question, mode="chat")
    out = llm.chat([{"role": "user", "content": question}], SamplingParams(max_new_tokens=64, scheduler="topk(1)"))
    page.click(".canvas span:nth-last-child(2)")
    page.click(".go")
    page.wait(DONE)
    page.settle()
    assert page.value("document.querySelector('.keep').hidden")  # the answer was filled by hand: a document's text
    page.click(".undo")
    page.click(".keep")
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": out.text}]
    assert page.value("state.turns") == turns
    run(page, "Again.", mode="chat")
    again = llm.chat(
        [*turns, {"role": "user", "content": "Again."}], SamplingParams(max_new_tokens=64, scheduler="topk(1)")
    )
    assert page.value("frameOf(state.lanes[0].trace, Infinity).ids") == list(again.trace.replay())[-1]


def test_edit_text_around_holes(page, llm):
    run(page, "int sum(int a, int b) { return <mask:3>; }", mode="document")
    filled = llm.infill("int sum(int a, int b) { return <mask:3>; }", SamplingParams(scheduler="topk(1)"))
    first = next(at for at, token in enumerate(filled.prompt_token_ids) if token == filled.trace.mask_token_id)
    page.click(f".canvas span:nth-child({first + 1})")
    page.click(".edit")
    text = page.value("document.querySelector('#text').value")
    assert text.count("<mask:1>") == 1 and text.startswith("int sum(int a, int b) { return")
    page.value(
        "(() => { const area = document.querySelector('#text'); area.focus(); area.setSelectionRange(0, 3); })()"
    )
    page.click("#hole")
    assert page.value("document.querySelector('#text').value") == f"<mask:3>{text[3:]}"


def test_a_schema_holds_the_answer(page):
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    page.choose("#grammar", "=json")
    page.write("#grammar-text", "{")
    assert "not JSON yet" in page.value("document.querySelector('#grammar-wrong').textContent")
    page.write("#grammar-text", json.dumps(schema))
    run(
        page, "Name: Ana, Age: 31, City: Rome\nWrite JSON with keys: age\n", seconds=400
    )  # loops may have to be compiled
    answer = page.value("writtenOf(state.lanes[0], false)").removesuffix("<|endoftext|>")
    assert isinstance(json.loads(answer)["age"], int)


def test_what_the_server_refuses_is_said(page):
    run(page, PROMPT, scheduler="treshold")
    assert "treshold" in page.value("document.querySelector('.lane .wrong').textContent")
    assert page.value("state.lanes[0].status") == "failed"


def test_a_server_that_asks_for_a_key(browser):
    with serving(LLM("tiny", device="cpu"), api_key="secret") as served:
        browser.open(f"{served.url}/")
        browser.wait("state.asksKey")
        browser.settle()
        assert "asks for its key" in browser.value("document.querySelector('#server-wrong').textContent")
        for key, works in (("wrong", False), ("secret", True)):
            browser.write("#key", key)
            browser.value("document.activeElement.blur()")
            browser.wait(f"(state.options !== null) === {json.dumps(works)}")
        run(browser, PROMPT)
        assert browser.value("state.lanes[0].status") == "done"


CUT = """async (text, sizes) => {
  const bytes = new TextEncoder().encode(text), found = [];
  const body = new ReadableStream({ start(stream) {
    for (let at = 0, n = 0; at < bytes.length; n += 1) {
      const end = at + sizes[n % sizes.length];
      stream.enqueue(bytes.slice(at, end));
      at = end;
    }
    stream.close();
  } });
  for await (const event of eventsOf(new Response(body))) found.push(event);
  return found;
}"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("sizes", [[1], [2, 3], [7], [1000]])
def test_a_stream_is_read_however_it_is_cut(browser, url, end, sizes):
    browser.open(url)
    events = [{"a": "é🙂\n\n"}, {"b": [1, 2]}, {"c": "data: x"}]
    lines = [": ping", "", *(line for event in events for line in ("event: x", f"data: {json.dumps(event)}", ""))]
    text = end.join([*lines, "data: [DONE]", "", f"data: {json.dumps('behind')}", "", ""])
    text = text.replace("\\u00e9", "é").replace("\\ud83d\\ude42", "🙂")
    assert browser.value(f"({CUT})({json.dumps(text)}, {sizes})") == events


def test_an_error_inside_a_stream_is_said(page):
    page.value(
        'window.fetch = async () => new Response(\'data: {"error": {"message": "<b>out of memory</b>"}}\\n\\n\'); 0'
    )
    run(page, PROMPT)
    assert page.value("document.querySelector('.lane .wrong').textContent") == "<b>out of memory</b>"


def test_a_stream_that_breaks_off_is_no_answer(page):
    page.value("window.fetch = async () => new Response('data: {}\\n\\n'); 0")
    run(page, PROMPT)
    assert page.value("state.lanes[0].status") == "failed"
    assert "ended before" in page.value("document.querySelector('.lane .wrong').textContent")


def test_stop(page):
    page.click('input[value="document"]')
    page.write("#text", "int a = <mask:300>;")
    page.write("#scheduler", "topk(1)")
    page.press("Enter", control=True)
    page.wait("state.lanes[0]?.trace?.steps.length > 1")
    page.value("document.activeElement.blur()")
    page.press("Escape")
    page.wait(DONE)
    assert page.value("state.lanes[0].status") == "stopped"


def random_trace(draw):
    """Whatever a trace may be: tokens replaced, taken back and cut off at any step."""
    length, mask = draw.randint(1, 40), 99
    canvas = [draw.choice([mask, draw.randrange(50)]) for _ in range(length)]
    steps = []
    for _ in range(draw.randrange(12)):
        positions = tuple(sorted(draw.sample(range(length), draw.randint(0, length))))
        revoked = tuple(draw.sample(range(length), draw.randint(0, length // 3)))
        tokens, confidences = ([one() for _ in positions] for one in (lambda: draw.randrange(50), draw.random))
        length = draw.choice([length, draw.randint(1, length)])
        steps.append(TraceStep(positions, tuple(tokens), tuple(confidences), revoked, draw.random(), length))
    texts = {token: chr(97 + token % 26) * (token % 4) for token in range(50)}
    return Trace(steps, canvas, draw.randrange(length), mask, texts, "m")


def test_replay_of_dropped_traces(browser, url, llm):
    browser.open(url)
    real = [
        llm.generate(PROMPT, SamplingParams(max_new_tokens=40, scheduler=spec, temperature=1.0, seed=2)).trace
        for spec in ("wino(0.1)", "edit(0.5)+topk(3)", "eotp(paper)")
    ]
    plain = LLM(MixDenoiser()).generate([1, 2], SamplingParams(max_new_tokens=9, ignore_eos=True)).trace
    made = [random_trace(random.Random(seed)) for seed in range(40)]
    browser.drop({f"{at}.jsonl": trace.to_jsonl() for at, trace in enumerate([*real, plain])})
    browser.wait("state.lanes.length === 4")
    assert_replays(browser, [*real, plain])
    assert any(not step.positions for step in real[1].steps)  # `edit` has looked once more and changed nothing
    count = "({trace}) => numbersOf(trace, frameOf(trace, trace.steps.length), trace.steps.length).forwards"
    assert browser.value(f"state.lanes.map({count})") == [len(trace.steps) for trace in [*real, plain]]
    assert browser.value(SHOWN)[3] == "".join(f"{token} " for token in list(plain.replay())[-1])
    browser.drop({f"{at}.jsonl": trace.to_jsonl() for at, trace in enumerate(made)})
    browser.wait("state.lanes.length === 40")
    assert_replays(browser, made)
    written = browser.value("state.lanes.map((lane) => writeTrace(lane.trace))")
    for text, trace in zip(written, made, strict=True):
        assert list(Trace.from_jsonl(text).replay()) == list(trace.replay())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello", "line 1 is not JSON"),
        ('{"a": 1}', "does not say dllm_trace"),
        ('{"dllm_trace": 1}', "does not say what it began from"),
        ('{"dllm_trace": 2, "canvas": [1, "<b>"], "mask_token_id": 1}', "does not say what it began from"),
        ('{"dllm_trace": 2, "canvas": [1], "mask_token_id": 1}\nnull', "step 0 of the trace does not fit"),
        (
            '{"dllm_trace": 2, "canvas": [1], "mask_token_id": 1}\n'
            '{"positions": [1], "token_ids": [1], "confidences": [1], "revoked": []}',
            "does not fit a canvas of 1 ids",
        ),
    ],
)
def test_a_file_that_is_no_trace(browser, url, text, said):
    browser.open(url)
    browser.drop({"x.jsonl": text})
    browser.wait("state.fileWrong")
    browser.settle()
    assert said in browser.value("document.querySelector('#file-wrong').textContent")
    assert browser.value("state.lanes.length") == 0


def evil_trace():
    texts = dict(enumerate([*EVIL, "<b onclick=alert(1)>x</b>", "<script>window.hit = 1</script>"]))
    steps = [TraceStep((at,), (at,), (0.5,)) for at in range(1, len(texts))]
    params = {"scheduler": "<img src=x onerror='window.hit=1'>", "cache": "</script><script>window.hit=1</script>"}
    return Trace(steps, [0] + [99] * (len(texts) - 1), 1, 99, texts, "<script>window.hit = 1</script>", params)


def test_a_saved_page_is_whole_and_nothing_in_it_runs(browser, tmp_path):
    trace = evil_trace()
    file = tmp_path / "page.html"
    file.write_text(page_of({"<img src=x onerror='window.hit=1'>": trace, "again": trace}))
    browser.open(file.as_uri())
    assert browser.value("window.hit ?? 0") == 0
    assert browser.value(SHOWN) == [text_of(trace, list(trace.replay())[-1])] * 2
    assert_replays(browser, [trace, trace])
    assert browser.value("document.querySelector('#composer').hidden")
    assert browser.value("[...document.querySelectorAll('.go, .edit, .keep')].every((one) => one.hidden)")
    browser.click(".canvas span:nth-child(2)")
    assert browser.value("state.lanes[0].marks.size") == 0  # nobody would fill it
    assert browser.value("document.querySelectorAll('img, b, script').length") == 2
    assert Trace.from_jsonl(browser.value("writeTrace(state.lanes[0].trace)")).texts == trace.texts


def test_the_policy_holds(window, url):
    """Even where markup got in, it would not run; and the page speaks to its own server only."""
    window.open(url)
    window.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit = 1\">')")
    refused = window.value("fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => String(error))")
    assert window.value("window.hit ?? 0") == 0 and "TypeError" in refused
    assert len(window.faults) >= 2


def test_python_and_the_page_write_and_colour_alike(browser, url):
    browser.open(url)
    texts = ["", *(chr(code) for code in range(0x300)), "a\n\tb", "\u2028\u202e", "🙂"]
    assert browser.value(f"{json.dumps(texts)}.map(visible)") == [visible(text) for text in texts]
    assert tuple(browser.value("STEP_SCALE")) == SCALE


CONTRASTS = """(() => {
  const rgb = (colour) => (colour.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const ground = (one) => { for (; one; one = one.parentElement) {
    const found = rgb(getComputedStyle(one).backgroundColor); if (found.length === 3 || found[3] === 1) return found; }
    return [255, 255, 255]; };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !one.getClientRects().length || one.closest(":disabled, option, noscript")) continue;
    const pair = [rgb(getComputedStyle(one).color), ground(one)].map((colour) => luminance(colour.slice(0, 3)));
    const [low, high] = pair.sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), one.tagName, one.className, one.textContent.slice(0, 20)]);
  }
  return found.sort((a, b) => a[0] - b[0]);
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_everything_can_be_read(browser, url, llm, dark):
    browser.open(url, dark=dark)
    browser.wait("state.options")
    steps = [TraceStep((at + 1,), (5,), (at / 39,)) for at in range(40)]
    trace = Trace(steps, [5, *[9] * 41], 1, 9, {5: "ab"}, "m", {"scheduler": "topk(1)"})
    browser.drop({"x.jsonl": trace.to_jsonl()})
    browser.wait("state.lanes.length")
    browser.click(".canvas span:nth-child(9)")
    browser.choose("#grammar", "=json")
    browser.write("#grammar-text", "{")
    for paint in ("step", "confidence"):
        browser.choose("#paint", paint)
        found = browser.value(CONTRASTS)
        assert len(found) > 90 and found[0][0] >= 4.5, found[:5]
    lightness = browser.value("[...document.querySelectorAll('.token:not(.marked)')].map((one) => "
                              "luminance(one.style.background.match(/\\d+/g).map(Number)))")  # fmt: skip
    order = [value if dark else -value for value in lightness]
    assert order == sorted(order, reverse=True)  # surer is quieter: told apart by lightness alone


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_cut_off(browser, url, width):
    browser.open(url, width=width, height=844, phone=width < 800)
    browser.wait("state.options")
    reaches = "[document.scrollingElement.scrollWidth, innerWidth]"
    assert browser.value(reaches) == [width, width]
    browser.click("#race")
    run(browser, f"{PROMPT}{'x' * 300}\n", mode="document" if width == 320 else "prompt", second="topk(2)")
    browser.drop({"x.jsonl": evil_trace().to_jsonl()})
    browser.wait("state.lanes[0].status === 'x.jsonl'")
    browser.click(".canvas span:nth-child(4)")
    assert browser.value("innerWidth") == width and browser.value(reaches)[0] <= width
    if width < 800:
        fields = "[...document.querySelectorAll('input, select, textarea, button')]"
        assert set(browser.value(f"{fields}.map((one) => getComputedStyle(one).fontSize)")) == {"16px"}


def test_a_theme_that_is_chosen_is_kept(browser, url):
    browser.open(url)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = browser.value(ground)
    browser.click("#theme")
    dark = browser.value(ground)
    assert dark != light
    browser.open(url)
    assert browser.value(ground) == dark
    browser.value("localStorage.clear()")
