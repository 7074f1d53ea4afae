"""Weights packed for the CPU: the same network, rows that keep their bits, and parameters that come back."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dllm import load_model
from dllm.models.network.packed import Fused, Linear, can_pack, packs

GOLDEN = Path(__file__).parents[1] / "golden"
NATIVE = ("llada", "llada_gqa_bias_tied", "dream")
IDS = torch.arange(24)[None]

pytestmark = pytest.mark.skipif(not can_pack(torch.zeros(1)), reason="this build of torch packs no weights")


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_packing_keeps_the_network(name, dtype):
    model = load_model(GOLDEN / name, dtype=dtype, device="cpu")
    assert all(layer.fused.packed is not None for layer in model.modules() if isinstance(layer, Linear))
    packed = model.logits(IDS)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    model.unpack()
    tolerance = {"float32": 1e-5, "bfloat16": 0.1}[dtype]
    torch.testing.assert_close(model.logits(IDS), packed, atol=tolerance, rtol=0)
    tied = model.embed.weight.numel() if model.spec.tied_head else 0
    assert sum(parameter.numel() for parameter in model.parameters()) + tied == parameters
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.pack()
    model.pack()
    assert torch.equal(model.logits(IDS), packed)
    model.unpack()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_moving_unpacks_and_a_copy_is_its_own():
    model = load_model(GOLDEN / "llada", dtype="float32", device="cpu")
    expected = model.logits(IDS)
    other = copy.deepcopy(model)
    assert model.to(torch.float64).logits(IDS).isfinite().all() and model.head.weight.dtype == torch.float64
    assert torch.equal(other.logits(IDS), expected)


def test_a_part_called_alone_gives_its_part():
    layers = [Linear(24, 8), Linear(24, 12)]
    x = torch.randn(5, 24)
    with torch.no_grad():
        apart = [layer(x) for layer in layers]
        fused = Fused(*layers)
        fused.pack()
        for layer, whole, part in zip(layers, fused(x), apart, strict=True):
            torch.testing.assert_close(whole, part, atol=1e-5, rtol=0)
            assert torch.equal(layer(x), whole)


@pytest.mark.parametrize("shape", [(1536, 512), (512, 3072), (100, 130), (128, 700)])
def test_rows_keep_their_bits_in_any_company(shape, threads):
    """What the plain product of the first shape does not offer on two threads."""
    inputs, outputs = shape
    layer = Linear(inputs, outputs, bias=False)
    with torch.no_grad():
        fused = Fused(layer)
        fused.pack()
        x = torch.randn(260, inputs)
        whole = fused(x)[0]
        for rows in (*range(2, 40), 63, 64, 65, 127, 200):
            assert torch.equal(fused(x[:rows])[0], whole[:rows]), rows
            assert torch.equal(fused(x[7 : 7 + rows])[0], whole[7 : 7 + rows]), rows


def test_where_nothing_can_be_packed_the_plain_products_serve(monkeypatch):
    """Another build of torch, or a processor without the instructions."""

    def refuse(*_):
        raise RuntimeError("this processor has none")

    packs.cache_clear()
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", refuse)
    assert not packs(torch.float32)
    model = load_model(GOLDEN / "llada", dtype="float32", device="cpu")
    assert all(layer.fused.packed is None for layer in model.modules() if isinstance(layer, Linear))
    assert model.logits(IDS).isfinite().all()
    packs.cache_clear()


GROWTH = """
import os, re, torch
from dllm.models.network.packed import Packed, packs

def held():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

torch.set_num_threads(1)
torch.set_grad_enabled(False)
packs(torch.float32)
layer = Packed.of([torch.nn.Linear(192, 512)])
for rows in range(1, 100):
    layer(torch.zeros(rows, 192))
before = held()
for rows in range(100, 900):
    layer(torch.zeros(rows, 192))
print(held() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_what_is_kept_for_numbers_of_rows_is_bounded():
    """A batch in which rows come and go has any number of them."""
    clean = {name: value for name, value in os.environ.items() if not name.endswith("CACHE_CAPACITY")}
    run = subprocess.run([sys.executable, "-c", GROWTH], env=clean, capture_output=True, text=True, check=True)
    assert float(run.stdout) < 150  # MB; without the bound 500 and more
