"""scripts/gpu_check.py on a CPU: that it runs without the command line's packages, and that its parts are right."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dllm import LLM, RequestOutput, SamplingParams, Stats, Trace, TraceStep
from dllm.testing import networks as shapes
from tests.support.fakes import MASK, ScriptedDenoiser, wish
from tools.gpu_check import batching, golden_logits, golden_text, roofline
from tools.gpu_check.checks import Check, run_checks, text_table
from tools.gpu_check.margins import first_wrong, parting
from tools.gpu_check.precision import exact_float32
from tools.gpu_check.step_time import STEP_KINDS, Cell, cell_table, measure_steps, summary

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
CPU = torch.device("cpu")


def test_script_runs_without_lark_typer_and_rich(tmp_path):
    """On a GPU machine they may be missing; importing them is an error here."""
    blocked = "".join(f"sys.modules['{name}'] = None; " for name in ("lark", "typer", "rich"))
    out = tmp_path / "report.json"
    argv = ["gpu_check.py", "--smoke", "--device", "cpu", "--canvas", "64", "--out", str(out)]
    code = f"import sys, runpy; {blocked}sys.argv = {argv}; runpy.run_path('scripts/gpu_check.py', run_name='__main__')"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(out.read_text())
    assert len(report["checks"]) > 80 and all(check["passed"] is not False for check in report["checks"])
    (timed,) = report["timed"]
    assert len(timed["cells"]) == 2 * len(STEP_KINDS) and all(cell["milliseconds"] > 0 for cell in timed["cells"])
    assert len(timed["speeds"]) == 6 and all(speed["seconds"] > 0 for speed in timed["speeds"])
    assert report["machine"]["bandwidth"] > 0 and report["about"]["torch"] == torch.__version__
    assert "x floor" in result.stdout and "tokens/forward" in result.stdout.splitlines()[-7]


@pytest.mark.parametrize("name", ["llada", "dream"])
def test_golden_checks_pass_on_the_cpu(name):
    found = [*golden_logits.checks(GOLDEN / name, CPU), *golden_text.checks(GOLDEN / name, CPU)]
    assert all(check.passed for check in found), found
    assert len(found) == {"llada": 4 + 13, "dream": 3 + 7}[name]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_do_not_depend_on_their_mates(dtype):
    found = list(batching.checks(GOLDEN / "llada_gqa_bias_tied", CPU, dtype))
    assert len(found) == 4 and all(check.passed is not False for check in found), found


def test_wrong_logits_fail(monkeypatch):
    monkeypatch.setattr(golden_logits, "ATOL", 0.0)
    monkeypatch.setattr(golden_logits, "RTOL", 0.0)
    assert not next(golden_logits.checks(GOLDEN / "llada", CPU)).passed


def test_precision_comes_back():
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        with exact_float32():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


def finished(*steps):
    """Two answer tokens behind the prompt [1], committed in the order given: (position, token)."""
    trace = Trace([TraceStep((position,), (token,), (0.9,)) for position, token in steps])
    ids = [token for _, token in sorted(steps)]
    return RequestOutput(
        text="", token_ids=ids, prompt_token_ids=[1], finish_reason="length", stats=Stats(), trace=trace
    )


def test_margins():
    model = LLM(ScriptedDenoiser(wish([5, 6], [0.9, 0.8], 1))).model
    ours = LLM(model).generate([1], SamplingParams(max_new_tokens=2))
    assert ours.token_ids == [5, 6] and first_wrong(model, ours, [5, 6]) is None
    rest = 0.1 / (model.vocab_size - 1)  # what every other token gets; the mask's share goes to nobody
    assert first_wrong(model, ours, [7, 6]) == pytest.approx((0.9 - rest) / (1 - rest))
    first, swapped = finished((1, 5), (2, 6)), finished((2, 6), (1, 5))
    assert parting(model, first, first) is None
    spread = [p / (1 - (1 - p) / (model.vocab_size - 1)) for p in (0.9, 0.8)]
    assert parting(model, first, swapped) == pytest.approx(spread[0] - spread[1])
    assert parting(model, first, finished((1, 7), (2, 6))) == pytest.approx((0.9 - rest) / (1 - rest))
    assert MASK not in ours.token_ids


def test_roofline_of_llada_8b():
    """Against the numbers that are known of it, worked out by hand."""
    spec = shapes.llada_8b()
    assert roofline.body_weights(spec) == 6_979_321_856 and roofline.head_weights(spec) == 517_996_544
    assert roofline.kv_bytes_per_token(spec) == 512 * 1024
    h100 = roofline.Machine(bandwidth=3.35e12, flops=989e12)
    dual = roofline.Step(rows=1, length=1024, fed=32, wanted=32, stored=True)
    refresh = roofline.Step(rows=1, length=1024, fed=1024, wanted=32, stored=True)
    assert roofline.floor_ms(spec, dual, h100) == pytest.approx(4.66, abs=0.02)
    assert roofline.floor_ms(spec, refresh, h100) == pytest.approx(15.0, abs=0.1)
    many = roofline.Step(rows=32, length=1024, fed=32, wanted=32, stored=True)
    assert roofline.floor_ms(spec, many, h100) == pytest.approx(16.1, abs=0.1)
    assert shapes.llada_8b(layers=2).layers == 2


def small_network():
    return shapes.random_network(shapes.smoke(), CPU)


def measured(network, **changes):
    options = {"batches": (1,), "canvases": (64,), "block": 8, "repeats": 1, "deadline": time.monotonic() + 60}
    return measure_steps(network, roofline.Machine(1e11, 1e11), **options | changes)


def test_step_kinds_feed_what_they_say():
    cells = measured(small_network())
    assert {cell.kind: cell.fed for cell in cells} == {"none": 64, "refresh": 64, "prefix": 32, "dual": 8}
    assert summary(cells).passed and all(cell.milliseconds is not None for cell in cells)


def test_what_is_not_measured_says_why(monkeypatch):
    network = small_network()
    late = measured(network, deadline=time.monotonic() - 1)
    assert all(cell.milliseconds is None and "out of time" in cell.note for cell in late)
    monkeypatch.setattr("tools.gpu_check.step_time._free_bytes", lambda device: 1e3)
    full = measured(network)
    assert all("GiB" in cell.note for cell in full) and summary(full).passed
    assert "out of time" in cell_table(late)


def test_a_failing_cell_fails_the_run_but_not_the_others(monkeypatch):
    network = small_network()
    forward = network.forward_rows

    def picky(rows):
        if rows[0].token_ids.numel() == 8:
            raise RuntimeError("no kernel\nfor this")
        return forward(rows)

    monkeypatch.setattr(network, "forward_rows", picky)
    cells = measured(network)
    assert [cell.note for cell in cells if cell.note] == ["failed: RuntimeError: no kernel"]
    assert summary(cells).passed is False


def test_collect_turns_an_exception_into_a_failed_check():
    def part():
        yield Check("first", True, "fine")
        raise ValueError("broken\nand more")

    assert run_checks("the part", part) == [
        Check("first", True, "fine"),
        Check("the part", False, "ValueError: broken"),
    ]


def test_table():
    assert text_table(("a", "long"), [("1", "2"), ("333", "")]) == "  a  long\n  1     2\n333"
    assert "5.00" in cell_table([Cell(1, 64, "dual", 8, 5.0, 2.5)])
