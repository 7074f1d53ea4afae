"""int8 and int4 weights against the plain network on the weights that their codes stand for, worked out by hand."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

from dllm import LLM, SamplingParams, load_model
from dllm.cli.app import app
from dllm.errors import ConfigError, DllmError, ModelError
from dllm.models.base import RowInput
from dllm.models.network import cuda
from dllm.models.network.packed import Linear, can_join, can_pack
from dllm.models.network.parallel import tensor_parallel
from tests.support.checkpoints import LLADA
from tests.support.checkpoints import copy as copied

pytest.importorskip("torchao")
quantized = pytest.importorskip("dllm.models.network.quantized")

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = ("llada", "llada_gqa_bias_tied", "dream", "llada_moe", "llada2_moe", "sdar", "a2d_qwen3")
METHODS = ("int8", "int4")
IDS = torch.arange(24)[None]


def loaded(name, **options):
    return load_model(GOLDEN / name, dtype="float32", device="cpu", **options)


@pytest.fixture(params=METHODS)
def method(request) -> str:
    return request.param


def by_hand(kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The matrix that codes, scales and zero points stand for, one element at a time, and the step at each; float32."""
    outputs, inputs = kept.shape
    out, steps = ([[0.0] * inputs for _ in range(outputs)] for _ in range(2))
    codes, scales, zeros = kept.qdata.tolist(), kept.scale.tolist(), kept.zero_point.tolist()
    width, half = inputs // len(scales[0]), inputs // 2
    for i in range(outputs):
        for j in range(inputs):
            code = codes[i][j % len(codes[i])]
            if isinstance(kept, quantized.Int4Weight):
                code = code % 16 if j < half else code // 16
            steps[i][j] = scales[i][j // width]
            out[i][j] = (code - zeros[i][j // width]) * scales[i][j // width]
    return torch.tensor(out), torch.tensor(steps)


def quantized_names(model) -> set[str]:
    kinds = (quantized.Int8Weight, quantized.Int4Weight)
    return {name for name, parameter in model.named_parameters() if isinstance(parameter, kinds)}


# --- what is quantized, and to what -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOLDERS)
def test_logits_are_those_of_the_weights_by_hand(name, method):
    model, plain = loaded(name, quantize=method), loaded(name)
    plain.unpack()
    names = quantized_names(model)
    blocks = {f"{n}.weight" for n, m in plain.named_modules() if isinstance(m, Linear) and n.startswith("blocks.")}
    assert names == {one for one in blocks if not one.endswith("router.weight")}
    with torch.no_grad():
        for parameter in names:
            weight, kept = plain.get_parameter(parameter), model.get_parameter(parameter)
            value, step = by_hand(kept)
            torch.testing.assert_close(kept.dequantize(), value, atol=1e-7, rtol=1e-6)
            assert ((value - weight).abs() <= 0.51 * step).all()  # rounded to the nearest code
            weight.copy_(value)
    torch.testing.assert_close(model.logits(IDS), plain.logits(IDS), atol=1e-4, rtol=1e-4)


def test_int8_is_torchaos():
    """The codes and scales of its `Int8WeightOnlyConfig`, and its product up to the order of a sum."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    layer, x = torch.nn.Linear(96, 40), torch.randn(16, 96)
    kept = quantized.int8(layer.weight.detach())
    with torch.no_grad():
        quantize_(layer, Int8WeightOnlyConfig(set_inductor_config=False))
        assert torch.equal(kept.qdata, layer.weight.qdata) and torch.equal(kept.scale, layer.weight.scale)
        torch.testing.assert_close(F.linear(x, kept, layer.bias), layer(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(48, 64), (8, 160), (5, 16), (3, 48)])
def test_int4_codes_are_torchaos(shape):
    """Unpacked, they are what torchao's own dequantization makes of them."""
    from torchao.quantization.quant_primitives import dequantize_affine

    weight = quantized.int4(torch.randn(shape))
    codes = torch.cat([weight.qdata & 15, weight.qdata >> 4], 1)
    block = (1, shape[1] // weight.scale.shape[1])
    expected = dequantize_affine(codes, block, weight.scale, weight.zero_point, torch.uint8, 0, 15)
    assert torch.equal(weight.dequantize(), expected)


def test_constant_weights_survive(method):
    weight = quantized.METHODS[method](torch.cat([torch.zeros(2, 64), torch.full((2, 64), 3.0)]))
    torch.testing.assert_close(weight.dequantize()[:2], torch.zeros(2, 64))
    torch.testing.assert_close(weight.dequantize()[2:], torch.full((2, 64), 3.0), atol=0.02, rtol=0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_bytes_of_a_block(tmp_path, method, dtype):
    """int8 is half of bfloat16 and 5 bytes an output; int4 a quarter, and a scale and a byte for 32 weights."""
    model = load_model(LLADA, dtype=dtype, device="cpu", quantize=method)
    size = model.dtype.itemsize
    block = model.blocks[0]
    matrices = [layer.weight for layer in block.modules() if isinstance(layer, Linear)]
    weights, outputs = sum(w.numel() for w in matrices), sum(w.shape[0] for w in matrices)
    rest = quantized.weight_bytes(block.attention_norm) + quantized.weight_bytes(block.mlp_norm)
    expected = {"int8": weights + 5 * outputs, "int4": weights // 2 + weights // 32 * (size + 1)}[method]
    assert quantized.weight_bytes(block) - rest == expected
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in loaded("llada").parameters())


def test_one_matrix_is_whole_at_a_time(method, monkeypatch):
    """While a model loads, all that have been read are quantized but the one at hand."""
    seen = []

    def watching(network, name, kind):
        path = {f"{n}.weight": m.weight for n, m in network.named_modules() if isinstance(m, Linear)}
        blocks = [w for n, w in path.items() if n.startswith("blocks.") and not n.endswith("router.weight")]
        seen.append(sum(not w.is_meta and type(w) is torch.nn.Parameter for w in blocks))
        quantize(network, name, kind)

    quantize = quantized.quantize_parameter
    monkeypatch.setattr(quantized, "quantize_parameter", watching)
    loaded("llada2_moe", quantize=method)
    assert max(seen) == 1


# --- rows, devices, copies --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not can_pack(torch.zeros(1)), reason="this build of torch has none of oneDNN's products")
@pytest.mark.parametrize("shape", [(1536, 512), (512, 1536), (128, 384), (112, 130)])
def test_rows_keep_their_bits_in_any_company(shape, method, threads):
    """From the 16 rows of a flat batch up; torchao's own int8 product does not on two threads, at the first shape."""
    inputs, outputs = shape
    layer = Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight = torch.nn.Parameter(quantized.METHODS[method](layer.weight.detach()), requires_grad=False)
        x = torch.randn(260, inputs)
        whole = layer(x)
        for rows in (*range(16, 40), 63, 64, 65, 127, 200):
            assert torch.equal(layer(x[:rows]), whole[:rows]), rows
            assert torch.equal(layer(x[7 : 7 + rows]), whole[7 : 7 + rows]), rows


@pytest.mark.parametrize("name", ["llada", "llada2_moe", "sdar"])
def test_a_row_does_not_depend_on_its_batch(name, method):
    model = loaded(name, quantize=method)
    rows = [RowInput(torch.arange(n) + n, torch.arange(n), torch.arange(n)) for n in (3, 24, 8, 40)]
    together = model.forward_rows(rows)
    for row, expected in zip(rows, together, strict=True):
        assert torch.equal(model.forward_rows([row])[0], expected)


def test_generations_do_not_depend_on_the_batch(method):
    llm = LLM("tiny", dtype="float32", device="cpu", quantize=method)
    asked = ['["Ana", "Bob"]\nReverse the list.\n', "Name: Ana, Age: 31\nWrite JSON with keys: age\n", "Hello"]
    params = SamplingParams(max_new_tokens=24, seed=0)
    together = llm.generate(asked, params)
    assert [llm.generate(one, params).token_ids for one in asked] == [one.token_ids for one in together]
    assert together[0].text.strip() == '["Bob", "Ana"]'


def test_copies_moves_and_states(method):
    model = loaded("llada", quantize=method)
    expected = model.logits(IDS)
    model.unpack()
    model.pack()
    assert torch.equal(model.logits(IDS), expected) and quantized_names(model)
    other = copy.deepcopy(model).to("cpu")
    assert torch.equal(other.logits(IDS), expected) and quantized_names(other) == quantized_names(model)
    model.unpack()  # the head has been packed, as ever
    other.load_state_dict(model.state_dict())
    moved = other.to(torch.bfloat16)
    assert moved.dtype == torch.bfloat16 and quantized_names(moved) == quantized_names(model)
    torch.testing.assert_close(moved.logits(IDS), expected, atol=0.2, rtol=0)


def test_half_precision_products(method):
    model = load_model(LLADA, dtype="bfloat16", device="cpu", quantize=method)
    wide = copy.deepcopy(model).to(torch.float32)  # of the same codes
    torch.testing.assert_close(model.logits(IDS), wide.logits(IDS), atol=0.2, rtol=0)
    weight = quantized.METHODS[method](torch.randn(8, 32, dtype=torch.float16))
    x = torch.randn(4, 32, dtype=torch.float16)
    torch.testing.assert_close(F.linear(x, weight), F.linear(x, weight.dequantize()), atol=0.02, rtol=0.01)


def test_fast_paths_leave_quantized_networks_alone(method, monkeypatch):
    model = loaded("llada", quantize=method)
    layer = model.blocks[0].attention.q
    assert layer.fused.packed is None and not can_pack(layer.weight) and not can_join([layer, layer])
    assert model.scores.packed is not None or not can_pack(torch.zeros(1))
    rows = [RowInput(IDS[0], IDS[0], IDS[0])]
    monkeypatch.setattr(cuda, "has_triton", lambda: True)
    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    assert not cuda.usable(model, rows) and cuda.usable(loaded("llada"), rows)


# --- the front doors, and what is refused -----------------------------------------------------------------------------


def test_command_line(method):
    arguments = ["generate", '["Ana", "Bob"]\nReverse the list.\n', "-n", "24", "--quantize", method]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert '["Bob", "Ana"]' in result.output
    report = CliRunner().invoke(app, ["doctor", "--quantize", method, "--json"])
    assert report.exit_code == 0 and f'"quantized": "{method}"' in report.output


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"quantize": "int3"}, "quantize='int3' must be one of: int8, int4"),
        ({"quantize": "int8", "device_map": "auto"}, "one device"),
    ],
)
def test_illegal_arguments(options, match):
    with pytest.raises(ConfigError, match=match):
        load_model(LLADA, **options)


def test_objects_are_not_quantized(method):
    with pytest.raises(ConfigError, match="quantize apply to folders"):
        LLM(loaded("llada"), quantize=method)


def test_tensor_parallel_is_refused(method):
    class Mesh:
        def size(self) -> int:
            return 1

    with pytest.raises(ConfigError, match=f"quantized to {method}"):
        tensor_parallel(loaded("llada", quantize=method), Mesh())


def test_widths_that_leave_no_group():
    with pytest.raises(ModelError, match="40 inputs, which must be a multiple of 16"):
        quantized.int4(torch.randn(4, 40))


def test_torchao_is_imported_for_quantized_models_only_and_missed_in_one_line():
    """One that says what to install, before anything is read; in a process that has not imported it yet."""
    code = (
        "import sys\n"
        "from dllm import LLM, load_model\n"
        "from dllm.errors import DllmError\n"
        "LLM('tiny')\n"
        "print('torchao' in sys.modules)\n"
        "sys.modules['torchao'] = None\n"
        "load_model('tiny')\n"
        "for _ in range(2):\n"
        "    try: load_model('tiny', quantize='int8')\n"
        "    except DllmError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert run.returncode == 0, run.stderr
    imported, *lines = run.stdout.splitlines()
    assert imported == "False"
    assert len(lines) == 2 and all("pip install 'dllm-engine[quantize]'" in line for line in lines)
    assert issubclass(ConfigError, DllmError)


def test_broken_checkpoints_are_still_refused(tmp_path, method):
    with pytest.raises(DllmError):
        load_model(copied(LLADA, tmp_path / "broken", n_layers=3), quantize=method)
