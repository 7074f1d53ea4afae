"""`dllm bench`: the baseline is right, the numbers are what they are said to be, and the page is written from them."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from dllm import LLM, SamplingParams
from dllm.bench import against_literal, growth, requests, split, tiny_speed
from dllm.bench import suite as report
from dllm.bench.against_literal import Comparison, Request, compare_with_literal, mixed
from dllm.bench.clock import ratio, threads
from dllm.bench.literal import Literal
from dllm.cli.app import app
from dllm.testing import networks
from tools import performance_page as page

SMALL = replace(networks.shape_a(600), hidden_size=64, intermediate_size=96, heads=2, kv_heads=2, head_dim=32, layers=2)


@pytest.fixture
def small(monkeypatch):
    """Shape A, small enough for a test."""
    for module in (against_literal, growth, split):
        monkeypatch.setattr(module, "shape_a", lambda vocabulary=600: replace(SMALL, columns=min(vocabulary, 600)))
        monkeypatch.setattr(module, "random_prompt", lambda n, seed: [t % 590 for t in requests.random_prompt(n, seed)])


def test_the_published_rule_gives_our_tokens():
    """With the cache and without: the engine is held to goldens of the published code elsewhere."""
    literal = Literal(networks.seeded_network(SMALL, torch.float32))
    llm = LLM(networks.seeded_network(SMALL, torch.float32))
    prompt = [3, 5, 7, 11]
    for cache in ("dual", "none"):
        params = SamplingParams(max_new_tokens=32, block_length=8, scheduler="topk(1)", cache=cache, ignore_eos=True)
        assert literal.generate(prompt, 32, 8, dual=cache == "dual") == llm.generate(prompt, params).token_ids


def test_requests_of_mixed_lengths():
    requests = mixed(1, 1)
    assert {len(request.prompt) for request in requests} == set(range(32, 257, 32))
    assert sum(request.new for request in requests) == 1280 and all(request.new % 32 == 0 for request in requests)
    assert {request.new for request in mixed(16, 8)} == {16, 32}


def test_a_comparison(small):
    found = compare_with_literal([Request([1, 2, 3], 16), Request([4] * 9, 32)], torch.float32, 2, block=16)
    assert found.equal and found.equal_batch and found.rows == 2 and found.tokens == 48
    assert found.ratio > 0 and found.ratio_own > 0 and found.literal > 0
    alone = compare_with_literal([Request([1, 2, 3], 16)], torch.bfloat16, 1, block=16)
    assert alone.batch is None and alone.ratio_own is None and alone.equal_batch is None


def test_ratios_are_of_neighbours_in_time():
    assert ratio({"slow": [2.0, 30.0, 8.0], "fast": [1.0, 10.0, 4.0]}, "slow", "fast") == 2.0


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with threads(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before


def test_the_parts_of_a_step_add_up(small):
    found = split.split_step(600, 2, torch.float32, new=32)
    assert found.forwards == 32 and set(found.milliseconds) == {"body", "head", "confidence", "rest"}
    assert all(value > 0 for value in found.milliseconds.values()) and 0 < found.overhead < 1


def test_quick_prints_what_the_contract_asks_for(small):
    result = CliRunner().invoke(app, ["bench", "--quick", "--json"])
    found = json.loads(result.stdout.splitlines()[-1])
    assert {"ratio_batch1", "ratio_batch8", "ratio_batch8_own", "tokens_equal"} <= set(found)
    assert found["tokens_equal"] is True and found["ratio_batch8"] > 0


def test_the_page_is_written_from_the_files(small, monkeypatch, tmp_path):
    monkeypatch.setattr(tiny_speed, "PROMPTS", 2)
    monkeypatch.setattr(growth, "ROWS", (1, 2))
    monkeypatch.setattr(growth, "CANVASES", (64,))
    monkeypatch.setattr(growth, "VOCABULARIES", (600,))
    monkeypatch.setattr(report, "one", lambda new: [Request([1, 2], 32)])
    monkeypatch.setattr(report, "mixed", lambda *_: [Request([1, 2], 32), Request([3], 32)])
    found, tables = report.full(1)
    assert found["tokens_equal"] and len(tables) == 3
    assert Comparison(**found["comparisons"][0]).dtype == "float32"
    curves = growth.growth()
    found["growth"] = {
        name: [
            {"rows": p.rows, "canvas": p.canvas, "vocabulary": p.vocabulary, "milliseconds": p.milliseconds}
            for p in points
        ]
        for name, points in curves.items()
    }
    (tmp_path / "cpu.json").write_text(json.dumps(found))
    page.write(tmp_path, tmp_path / "performance.md")
    text = (tmp_path / "performance.md").read_text()
    assert "x published" in text and "tiny, 64 prompts" in text and (tmp_path / "performance-growth.png").is_file()


@pytest.mark.parametrize("arguments", [("--quick", "--cache-report"), ("--out", "no/such/folder"), ("--threads", "0")])
def test_mistakes(arguments):
    result = CliRunner().invoke(app, ["bench", *arguments])
    assert result.exit_code == 2 and "Traceback" not in result.output
