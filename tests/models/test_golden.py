"""The native network against the references' logits, and against itself: padding, batch mates, K/V stores.

Bit-equality is asked for with `torch.equal`, in float32 on the CPU, as the contract in `dllm/models/base.py` promises.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from dllm.errors import ModelError
from dllm.models.base import KV, POSITIONS, SHADOWS, RowDenoiser, RowInput
from dllm.models.loading import load_model
from dllm.models.network.native import Backbone
from dllm.models.network.ragged import batch_of

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = ("llada", "llada_gqa_bias_tied", "dream", "llada_moe", "llada2_moe", "sdar", "a2d_qwen3")
STORED = {"dream": "logits_shifted", "sdar": "logits_block4", "llada2_moe": "logits_block8"}
"""Names of the reference's logits, where they are not just `logits`."""
ABOUT = {  # mask id, ends, longest canvas, block of attention
    "llada": (246, (241,), 64, None),
    "llada_gqa_bias_tied": (246, (241,), 64, None),
    "dream": (246, (241,), 131072, None),
    "llada_moe": (None, (241,), 8192, None),
    "llada2_moe": (None, (241,), 32768, 8),
    "sdar": (246, (241,), 32768, 4),
    "a2d_qwen3": (246, (242,), 40960, None),
}
TOLERANCE = {"atol": 5e-5, "rtol": 1e-4}


@pytest.fixture(scope="module", params=FOLDERS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name) -> Backbone:
    return loaded(name)


def loaded(name, dtype="float32") -> Backbone:
    block = {"block_length": 8} if name == "llada2_moe" else {}
    return load_model(GOLDEN / name, dtype=dtype, device="cpu", **block)


@pytest.fixture(scope="module")
def golden(name) -> dict[str, Tensor]:
    return load_file(GOLDEN / name / "golden.safetensors")


def shift(raw: Tensor, mask: Tensor | None = None) -> Tensor:
    """Raw rows of a shifted family by the position they predict; a row's first real position keeps its own."""
    out = torch.cat([raw[:, :1], raw[:, :-1]], 1)
    for b in range(raw.shape[0]):
        first = 0 if mask is None else int(mask[b].argmax())
        out[b, first] = raw[b, first]
    return out


def whole(ids: Tensor, wanted: list[int] | None = None) -> RowInput:
    positions = torch.arange(len(ids))
    return RowInput(ids, positions, positions if wanted is None else torch.tensor(wanted, dtype=torch.long))


def canvas(model: Backbone, length: int, seed: int = 0) -> Tensor:
    return torch.randint(0, model.vocab_size, (length,), generator=torch.Generator().manual_seed(100 * length + seed))


# --- against the references -------------------------------------------------------------------------------------------


def test_logits(name, model, golden):
    expected = golden[STORED.get(name, "logits")]
    assert expected.dtype == model.logits(golden["input_ids"]).dtype == torch.float32
    torch.testing.assert_close(model.logits(golden["input_ids"]), expected, **TOLERANCE)


def test_stored_shift_is_ours(name, golden):
    if name == "dream":
        assert torch.equal(shift(golden["logits_raw"]), golden["logits_shifted"])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_logits(name, model, golden, side):
    if f"attention_mask_{side}" not in golden:
        pytest.skip("no such set for this family")
    mask = golden[f"attention_mask_{side}"]
    expected = shift(golden[f"logits_raw_{side}"], mask) if name == "dream" else golden[f"logits_{side}"]
    logits = model.logits(golden.get(f"input_ids_{side}", golden["input_ids"]), mask)
    torch.testing.assert_close(logits[mask.bool()], expected[mask.bool()], **TOLERANCE)
    assert not logits[~mask.bool()].any()


def test_bfloat16(name, golden):
    exact = golden[STORED.get(name, "logits")]
    if name == "dream":
        stored = shift(golden["logits_raw_bf16"]).float()
    elif f"{STORED.get(name, 'logits')}_bf16" in golden:
        stored = golden[f"{STORED.get(name, 'logits')}_bf16"].float()
    else:
        pytest.skip("no such set for this family")
    model = loaded(name, "bfloat16")
    logits = model.logits(golden["input_ids"])
    assert logits.dtype == torch.float32
    rounding = (stored - exact).abs().mean()
    assert (logits - stored).abs().mean() < rounding
    assert (logits - exact).abs().mean() < 1.5 * rounding
    assert (logits.argmax(-1) == stored.argmax(-1)).float().mean() >= 0.95


def test_declares_what_it_is(name, model):
    assert isinstance(model, RowDenoiser)
    assert model.capabilities == {POSITIONS, KV, SHADOWS}
    mask, ends, longest, block = ABOUT[name]
    assert (model.vocab_size, model.mask_token_id, model.eos_token_ids) == (256, mask, ends)
    assert model.lookback == (1 if name == "dream" else 0)
    assert (model.block_rule and model.block_rule.length, model.max_length) == (block, longest)
    assert (model.device.type, model.dtype, model.folder) == ("cpu", torch.float32, GOLDEN / name)
    assert not any(p.requires_grad for p in model.parameters())


# --- against itself ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gaps", ["left", "right", "both"])
def test_padded_row_has_the_bits_of_the_unpadded_one(model, gaps):
    ids = canvas(model, 20)
    left, right = {"left": (5, 0), "right": (0, 5), "both": (3, 4)}[gaps]
    padded = F.pad(ids, (left, right), value=7)[None]
    mask = F.pad(torch.ones(20), (left, right))[None]
    assert torch.equal(model.logits(padded, mask)[0, left : left + 20], model.logits(ids[None])[0])


def test_interior_gap_follows_the_family(name, model):
    """Most count a masked-out token's position; Dream closes the gap, and we where the reference takes no mask."""
    closes = name in ("dream", "sdar", "llada2_moe")
    ids, kept = canvas(model, 12), torch.tensor([0, 1, 2, 6, 7, 8, 9, 10, 11])
    mask = torch.zeros(12, dtype=torch.bool)
    mask[kept] = True
    positions = torch.arange(9) if closes else kept
    (expected,) = model.forward_rows([RowInput(ids[kept], positions, positions)])
    logits = model.logits(ids[None], mask[None])[0]
    assert torch.equal(logits[kept], expected)
    assert torch.equal(logits[kept], model.logits(ids[None, kept])[0]) == closes


def test_fully_masked_row_is_zero(model):
    ids = torch.stack([canvas(model, 6), canvas(model, 6, seed=1)])
    logits = model.logits(ids, torch.tensor([[0] * 6, [1] * 6]))
    assert not logits[0].any()
    assert torch.equal(logits[1], model.logits(ids[1:])[0])


def test_wanted_positions_are_rows_of_the_full_logits(model):
    ids = canvas(model, 33)
    full = model.logits(ids[None])[0]
    for wanted in ([0], [32], [3, 4, 17], [31, 2], []):
        (some,) = model.forward_rows([whole(ids, wanted)])
        assert some.shape == (len(wanted), 256)
        assert torch.equal(some, full[wanted])


LENGTHS = (1, 3, 7, 20, 33, 2, 20, 16, 5, 40, 3, 12)


def rows_of(model: Backbone, count: int, *, stores: bool) -> list[RowInput]:
    """Rows of mixed lengths; with stores, spans of longer canvases whose other slots are already filled."""
    if not stores:
        return [whole(canvas(model, length, i)) for i, length in enumerate(LENGTHS[:count])]
    rows = []
    for i, length in enumerate(LENGTHS[:count]):
        total, start = length + 9, 4 + i % 3
        ids, kv = canvas(model, total, i), model.new_kv(length + 9)
        model.forward_rows([RowInput(ids, torch.arange(total), torch.arange(0), kv)])
        fed = torch.arange(start, start + length)
        rows.append(RowInput((ids[fed] + 1) % 256, fed, fed[model.lookback :], kv))
    return rows


@pytest.mark.parametrize("stores", [False, True])
@pytest.mark.parametrize("count", range(1, len(LENGTHS) + 1))
def test_a_row_does_not_depend_on_its_batch_mates(model, count, stores):
    together = model.forward_rows(rows_of(model, count, stores=stores))
    alone = [model.forward_rows([row])[0] for row in rows_of(model, count, stores=stores)]
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))


def test_with_and_without_stores_mix_in_one_batch(model):
    mixed = [*rows_of(model, 4, stores=False), *rows_of(model, 4, stores=True)][::-1]
    expected = [*rows_of(model, 4, stores=False), *rows_of(model, 4, stores=True)][::-1]
    for got, row in zip(model.forward_rows(mixed), expected, strict=True):
        assert torch.equal(got, model.forward_rows([row])[0])


@pytest.mark.parametrize("length", [1, 5, 20, 33])
def test_feeding_everything_with_a_store_changes_nothing(model, length):
    ids = canvas(model, length)
    positions = torch.arange(length)
    (with_store,) = model.forward_rows([RowInput(ids, positions, positions, model.new_kv(length))])
    assert torch.equal(with_store, model.logits(ids[None])[0])


@pytest.mark.parametrize("fed", [range(10, 20), range(32, 33), range(0, 3), [1, 4, 5, 20]])
def test_feeding_a_span_over_a_fresh_store_equals_the_full_forward(model, fed):
    ids, kv = canvas(model, 33), model.new_kv(40)
    kv.length = 33  # a store may be larger than the canvas
    full = model.forward_rows([RowInput(ids, torch.arange(33), torch.arange(33), kv)])[0]
    fed = torch.tensor(list(fed))
    wanted = torch.tensor([p for p in range(33) if max(p - model.lookback, 0) in fed.tolist()], dtype=torch.long)
    keys = kv.keys.clone()
    (span,) = model.forward_rows([RowInput(ids[fed], fed, wanted, kv)])
    assert torch.equal(span, full[wanted])
    assert torch.equal(kv.keys, keys), "the same ids give the same keys, in the same slots"
    assert not kv.keys[:, :, 33:].any()


def test_only_the_fed_slots_are_written(model):
    ids, kv = canvas(model, 12), model.new_kv(12)
    fed = torch.tensor([2, 3, 7])
    model.forward_rows([RowInput(ids[fed], fed, torch.arange(0), kv)])
    written = kv.values.abs().sum((0, 1, 3)) > 0
    assert written.nonzero().flatten().tolist() == fed.tolist()


def test_lookback_is_one_row_up(name, model):
    """Position p is read from the row of p - lookback: the rest of the canvas need not be fed."""
    row = rows_of(model, 5, stores=True)[4]
    first = int(row.positions[0])
    if name == "dream":
        with pytest.raises(ModelError, match=f"position {first - 1}, which was not fed"):
            model.forward_rows([RowInput(row.token_ids, row.positions, row.positions, row.kv)])
    else:
        assert model.forward_rows([RowInput(row.token_ids, row.positions, row.positions, row.kv)])[0].shape[0] == 33


# --- what callers get wrong -------------------------------------------------------------------------------------------


def test_no_rows(model):
    assert model.forward_rows([]) == []
    assert model.logits(torch.zeros(0, 5, dtype=torch.long)).shape == (0, 5, 256)


def test_bad_rows():
    one, kv = torch.tensor([1]), load_model(GOLDEN / "llada").new_kv(2)
    with pytest.raises(ModelError, match="at least one token"):
        batch_of([RowInput(torch.arange(0), torch.arange(0), torch.arange(0))], 0)
    with pytest.raises(ModelError, match="equal length"):
        batch_of([RowInput(one, torch.arange(2), torch.arange(0))], 0)
    with pytest.raises(ModelError, match="not fed"):
        batch_of([RowInput(one, one, torch.tensor([2]))], 0)
    with pytest.raises(ModelError, match="do not fit a store of length 2"):
        batch_of([RowInput(one, torch.tensor([2]), torch.arange(0), kv)], 0)


def test_bad_batches(model):
    ids = torch.zeros(2, 5, dtype=torch.long)
    with pytest.raises(ModelError, match=r"\[B, L\]"):
        model.logits(ids[0])
    with pytest.raises(ModelError, match=r"\[B, L\]"):
        model.logits(ids.float())
    with pytest.raises(ModelError, match="attention_mask"):
        model.logits(ids, torch.ones(2, 4))
    with pytest.raises(ModelError, match=r"256; legal ids are 0\.\.255"):
        model.logits(ids + 256)
    with pytest.raises(ModelError, match="length 0"):
        model.new_kv(0)
