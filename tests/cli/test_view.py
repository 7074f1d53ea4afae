"""`dllm view`: a page with the trace inside, or a picture of it."""

import json
import re
import sys
import webbrowser
from io import BytesIO

import pytest
from PIL import Image
from typer.testing import CliRunner

from dllm import LLM, SamplingParams, Trace, TraceStep
from dllm.cli.app import app
from dllm.eval import commit_order
from dllm.serve.page import page_of, served_page
from tests.support.fakes import MixDenoiser
from tests.trace.test_drawing import EVIL


@pytest.fixture(scope="module")
def trace():
    params = SamplingParams(max_new_tokens=12, scheduler="topk(2)", ignore_eos=True)
    return LLM(MixDenoiser()).generate([1, 2], params).trace


@pytest.fixture
def file(trace, tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text(trace.to_jsonl())
    return path


def view(*arguments):
    return CliRunner().invoke(app, ["view", *map(str, arguments)])


def saved_in(page):
    (inside,) = re.findall('<script type="application/json" id="saved">(.*?)</script>', page, re.S)
    return {one["name"]: Trace.from_jsonl(one["text"]) for one in json.loads(inside)}


def test_a_page_holds_its_traces(trace, file, tmp_path):
    run = view(file)
    assert run.exit_code == 0 and run.stdout.split() == [str(tmp_path / "run.html")]
    assert saved_in((tmp_path / "run.html").read_text()) == {"run.jsonl": trace}
    other = tmp_path / "other.jsonl"
    other.write_text(trace.to_jsonl())
    out = tmp_path / "both.htm"
    assert view(file, other, "-o", out).exit_code == 0
    assert list(saved_in(out.read_text())) == [str(file), str(other)]


def test_no_browser_is_opened_unless_asked_for(file, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    view(file)
    assert opened == []
    view(file, "--open")
    assert opened == [file.with_suffix(".html").resolve().as_uri()]


def test_a_page_needs_nothing_from_elsewhere(trace):
    for page in (served_page(), page_of({"x": trace})):
        assert set(re.findall(r"""\b(?:src|href|url)\s*[=(]\s*[^\s(]+""", page)) == {"href = URL.createObjectURL"}
        assert not re.search(r"https?://|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", page)
        (policy,) = re.findall('http-equiv="Content-Security-Policy" content="([^"]+)"', page)
        assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
        assert not re.search(r"""<[^<>]* (?:style|on\w+)=""", page)  # the policy would block it
    assert "connect-src 'none'" in page_of({"x": trace}) and "connect-src 'self'" in served_page()


def test_no_token_ends_the_element_that_it_stands_in(trace):
    texts = dict(enumerate(EVIL)) | {8: "<!--policy-->", 9: "<!--still-->"}
    evil = Trace([TraceStep((1,), (1,), (0.5,))], list(texts), 0, 99, texts, EVIL[0], {"scheduler": EVIL[0]})
    page = page_of({EVIL[0]: evil})
    assert saved_in(page) == {EVIL[0]: evil}
    assert page.count("<script") == served_page().count("<script") == 2
    assert page.count("</noscript>") == 1 and page.count("http-equiv") == 1 and "<img" not in page


def test_where_scripts_are_off_the_end_is_shown(trace):
    still = re.search("<noscript>(.*)</noscript>", page_of({"x": trace}), re.S)[1]
    assert trace.drawn() in still


def test_pictures(trace, file, tmp_path):
    pytest.importorskip("matplotlib")
    still, moving = tmp_path / "x.png", tmp_path / "x.gif"
    assert view(file, "-o", still).exit_code == 0 and view(file, "-o", moving).exit_code == 0
    last, film = Image.open(still), Image.open(moving)
    assert film.n_frames == len(trace.steps) + 1 and film.size == last.size
    film.seek(film.n_frames - 1)
    # what each step commits has a colour of its own, which is on the last picture
    colours = {colour for _, colour in last.convert("RGB").getcolors(1 << 20)}
    for step in (1, len(trace.steps)):
        name = commit_order.SCALE[commit_order.shade(step, len(trace.steps))]
        assert tuple(int(name[at : at + 2], 16) for at in (1, 3, 5)) in colours


def test_a_long_film_has_bounded_frames(monkeypatch, trace):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(commit_order, "MOST_FRAMES", 3)
    film = Image.open(BytesIO(commit_order.as_gif(trace)))
    assert film.n_frames <= 4


def test_tokens_lie_as_in_a_paragraph(monkeypatch):
    monkeypatch.setattr(commit_order, "COLUMNS", 6)
    places = commit_order._laid(["abc", "d⏎\n", "ef", "ghijk", "l" * 9])
    assert places == [(0, 0, 3), (0, 3, 2), (1, 0, 2), (2, 0, 5), (3, 0, 6)]


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("x.pdf", [".html, .htm, .png, .gif"]),
        ("no/x.html", ["existing folder"]),
        ("run.jsonl", ["end it in one of"]),
    ],
)
def test_mistakes(file, tmp_path, out, words):
    run = view(file, "-o", tmp_path / out)
    assert run.exit_code == 2 and run.stderr.count("\n") == 1
    assert all(word in run.stderr for word in words), run.stderr


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_a_folder_is_no_trace(name):
    run = view(name)
    assert run.exit_code == 2 and f"TRACE {name} is a folder" in run.stderr


def test_mistakes_about_several(file, tmp_path):
    assert "shows one trace" in view(file, file, "-o", tmp_path / "x.png").stderr
    assert "4 at most" in view(*[file] * 5).stderr
    assert "--open opens a page" in view(file, "-o", tmp_path / "x.png", "--open").stderr
    page = tmp_path / "page.html"
    page.write_text("old")
    run = view(page)
    assert run.exit_code == 2 and "is the trace itself" in run.stderr and page.read_text() == "old"


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"dllm_trace": 1}', '{"dllm_trace": 2, "canvas": [1]}\n{"positions": 1}'),
        '{"dllm_trace": 2, "canvas": 5, "mask_token_id": 1}',
        '{"dllm_trace": 2, "canvas": [[1]], "mask_token_id": 1}',
        '{"dllm_trace": 2, "canvas": [1], "mask_token_id": 0, "texts": {"1": 5}}',
        '{"dllm_trace": 2, "canvas": [1], "mask_token_id": 0, "model": {}}',
        '{"dllm_trace": 2, "canvas": [1], "mask_token_id": 1}\n'
        '{"positions": [0], "token_ids": [2], "confidences": ["<b>"], "revoked": []}',
        '{"dllm_trace": 2, "canvas": [1], "mask_token_id": 1}\n'
        '{"positions": [3], "token_ids": [2], "confidences": [1], "revoked": []}',
    ],
)
def test_what_is_no_trace(tmp_path, text):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    run = view(path)
    assert run.exit_code == 2 and run.stderr.startswith(f"dllm: TRACE {path}: ") and run.stderr.count("\n") == 1
    assert not path.with_suffix(".html").exists()


def test_pictures_need_matplotlib(file, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(commit_order.plots, "available", lambda: False)
    run = view(file, "-o", tmp_path / "x.png")
    assert run.exit_code == 2 and "dllm-engine[plot]" in run.stderr
