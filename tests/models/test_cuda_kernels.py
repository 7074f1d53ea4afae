"""The CUDA forward, run by Triton's interpreter on the CPU, against the plain modules: what a GPU is not needed for."""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import torch

from dllm import load_model
from dllm.models.base import RowInput

pytest.importorskip("triton")
if torch.cuda.is_available():
    pytest.skip("here the kernels are compiled: see scripts/gpu_check.py", allow_module_level=True)
from dllm.models.network.cuda import graphs
from dllm.models.network.cuda.forward import Extent
from dllm.models.network.cuda.graphs import Runner, bucket_of
from dllm.models.network.cuda.layout import lay_out, rounded
from dllm.sampling import peaks_cuda as confidence_cuda
from dllm.sampling.peaks import Peaks, peaks
from tests.support.pairwise import marked

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"


@pytest.mark.parametrize("which", ["covering", pytest.param("all", marks=pytest.mark.full)])
def test_every_kernel_compiles_for_a_card(which):
    """In a process of its own: here Triton interprets."""
    plain = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.support.compile_kernels", which],
        cwd=ROOT,
        env=plain,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.count("attend") == {"covering": 8, "all": 16}[which]


def network(name):
    model = load_model(GOLDEN / name, dtype="float32", device="cpu")
    return model


def rows_of(model, stored):
    """Three rows: a whole canvas, a block in the middle of one whose store is filled, and a short one."""
    generator = torch.Generator().manual_seed(3)
    rows = []
    for length, start, stop in ((20, 0, 20), (37, 9, 26), (5, 0, 5)):
        ids = torch.randint(0, 200, (length,), generator=generator)
        kv = model.new_kv(length + 3) if stored else None
        if kv is not None:
            kv.length = length
            everything = torch.arange(length)
            model.forward_rows([RowInput(ids, everything, everything, kv)])
        else:
            start, stop = 0, length
        positions = torch.arange(start, stop)
        wanted = torch.tensor(sorted({start + model.lookback, start + 3, stop - 1}))
        rows.append(RowInput(ids.roll(1)[start:stop], positions, wanted, kv))
    return rows


@pytest.mark.parametrize(
    ("name", "stored", "long"),
    marked(list(product(("llada", "llada_gqa_bias_tied", "dream"), (True, False), (256, 18, 1)))),
)
def test_the_layers_equal_the_modules(name, stored, long, monkeypatch):
    monkeypatch.setattr(graphs, "LONG", long)
    model = network(name)
    rows, same = rows_of(model, stored), rows_of(model, stored)
    with torch.no_grad():
        expected = model.forward_rows(same)
        found = model._project(Runner(replays=False).forward(model, rows))[: sum(len(row.wanted) for row in rows)]
    torch.testing.assert_close(found, torch.cat(expected), atol=3e-5, rtol=1e-4)
    for ours, theirs in zip(rows, same, strict=True):
        if stored:
            torch.testing.assert_close(ours.kv.keys, theirs.kv.keys, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(ours.kv.values, theirs.kv.values, atol=1e-5, rtol=1e-4)


def test_keys_shared_out_among_programs():
    """One short block over many keys: several programs a row, joined afterwards."""
    model = network("llada")
    shape = Extent(tokens=16, rows=1, longest=16, length=600)
    assert shape.shares(model.spec.heads) > 1
    generator = torch.Generator().manual_seed(0)
    ids, everything = torch.randint(0, 200, (600,), generator=generator), torch.arange(600)
    stores = [model.new_kv(600) for _ in range(2)]
    block = torch.arange(300, 316)
    with torch.no_grad():
        for kv in stores:
            model.forward_rows([RowInput(ids, everything, block, kv)])
        rows = [RowInput(ids[300:316].roll(1), block, block, kv) for kv in stores]
        expected = model.forward_rows(rows[:1])[0]
        found = model._project(Runner(replays=False).forward(model, rows[1:]))
    torch.testing.assert_close(found, expected, atol=3e-5, rtol=1e-4)


def test_a_plan_for_a_graph_adds_filler_that_nobody_reads():
    model = network("llada")
    rows, same = rows_of(model, True), rows_of(model, True)
    with torch.no_grad():
        expected = torch.cat(model.forward_rows(same))
        runner = Runner(replays=False)
        found = model._project(hidden_of_bucket(runner, model, rows))[: len(expected)]
    torch.testing.assert_close(found, expected, atol=3e-5, rtol=1e-4)


def hidden_of_bucket(runner, model, rows):
    from dllm.models.network.cuda.forward import run_layers
    from dllm.models.network.cuda.layout import Store

    stores = [Store(row.kv.keys, row.kv.values, True, row.kv.length) for row in rows]
    laid = lay_out(rows, stores, model.lookback, bucket=True)
    assert laid.tokens == 48 and laid.rows == 4
    shape = bucket_of(Extent(laid.tokens, laid.rows, laid.longest, laid.length))
    assert (shape.longest, shape.length) == (32, 512)
    hidden = run_layers(model, laid.table[: laid.body], model.rope.table(64, model.device), shape)
    return hidden[laid.table[laid.body :]]


def test_sizes_of_graphs():
    assert [rounded(n) for n in (1, 16, 17, 32, 33, 48, 49, 65, 96, 97, 1024)] == [
        *(16, 16, 32, 32, 48, 48, 64, 96, 96, 128, 1024)
    ]


@pytest.mark.parametrize("width", [3, 700, 4096, 4097, 9000])
@pytest.mark.parametrize("entropy", [False, True])
def test_the_pass_over_logits(width, entropy):
    generator = torch.Generator().manual_seed(width)
    logits = torch.randn(4, width, generator=generator) * 4
    logits[0] = logits[0].round()  # ties
    logits[1, : width // 2] = -torch.inf
    banned = torch.rand(width, generator=generator) < 0.1
    banned[-1] = False
    expected = peaks(logits, banned, entropy=entropy)
    found = confidence_cuda.peaks(logits, banned, entropy)
    assert torch.equal(found[0], expected.token_ids)
    assert torch.equal(found[1], expected.best) and torch.equal(found[2], expected.second)
    assert torch.equal(found[3], expected.highest)
    torch.testing.assert_close(found[4], expected.excess, atol=1e-5, rtol=1e-5)
    if entropy:
        torch.testing.assert_close(found[5], expected.entropy, atol=1e-4, rtol=1e-4)


def test_nan_in_the_logits_shows():
    logits = torch.randn(2, 5000)
    logits[1, 4500] = torch.nan
    found = confidence_cuda.peaks(logits, torch.zeros(5000, dtype=torch.bool), False)
    assert Peaks(*found).log_p(found[1]).isfinite().tolist() == [True, False]
