"""`as_denoiser`: what may stand in for a model, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from dllm import LLM, SamplingParams
from dllm.errors import CapabilityError, ConfigError, ModelError
from dllm.models.adapters import LogitsAdapter, as_denoiser
from dllm.models.base import (
    Blocks,
    Denoiser,
    RowDenoiser,
    RowInput,
    RowKV,
    TellsBlocks,
    TellsFolder,
    TellsName,
    TellsRowBytes,
    TellsUsual,
    Usual,
    block_rule,
    folder_of,
    name_of,
    usual_of,
)
from dllm.models.loading import load_model

LLADA = Path(__file__).parents[1] / "golden" / "llada"
V = 11


class Sum:
    """Every position predicts from its own id and the sum of the canvas; padding would change every row."""

    vocab_size, mask_token_id, eos_token_ids = V, 9, (10,)

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        assert attention_mask is None
        self.shapes.append(tuple(input_ids.shape))
        columns = torch.arange(V)
        return (input_ids[..., None] * columns + input_ids.sum(-1)[:, None, None]).double()


class Net(nn.Module):
    def __init__(self, wrap: bool = False, columns: int = V, **config) -> None:
        super().__init__()
        self.table = nn.Embedding(V, columns)
        self.wrap = wrap
        if config:
            self.config = SimpleNamespace(**config)

    def forward(self, input_ids: Tensor) -> Tensor:
        assert not self.training
        logits = self.table(input_ids)
        return SimpleNamespace(logits=logits) if self.wrap else logits


def whole(*ids: int, wanted: list[int] | None = None) -> RowInput:
    positions = torch.arange(len(ids))
    return RowInput(
        torch.tensor(ids), positions, positions if wanted is None else torch.tensor(wanted, dtype=torch.long)
    )


def test_native_models_pass_through():
    model = load_model(LLADA)
    assert as_denoiser(model) is model
    assert as_denoiser(model, mask_token_id=246) is model
    other = as_denoiser(model, mask_token_id=5)
    assert (other.mask_token_id, model.mask_token_id) == (5, 246)
    ids = torch.arange(8)[None]
    assert torch.equal(other.logits(ids), model.logits(ids))


class Rows:
    """The members of a `RowDenoiser` and no more: token 1 everywhere."""

    vocab_size, mask_token_id, eos_token_ids, max_length = V, 9, (10,), None
    capabilities, lookback, device = frozenset(), 0, torch.device("cpu")

    def logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        raise AssertionError

    def new_kv(self, length: int) -> RowKV:
        raise AssertionError

    def forward_rows(self, rows: Sequence[RowInput]) -> list[Tensor]:
        return [9.0 * (torch.arange(V) == 1).float().expand(len(row.wanted), V) for row in rows]


class Telling(Rows):
    """One that tells all that a model may tell."""

    block_rule, usual, name, folder = Blocks(4), Usual(block_length=2, scheduler="topk(1)"), "Teller", LLADA

    def row_bytes(self, length: int, stores: bool) -> int:
        return length


def test_what_a_model_may_tell_of_itself():
    quiet, telling, native = Rows(), Telling(), load_model(LLADA)
    assert as_denoiser(quiet) is quiet and as_denoiser(telling) is telling
    assert (block_rule(quiet), usual_of(quiet), name_of(quiet), folder_of(quiet)) == (None, Usual(), "Rows", None)
    assert (block_rule(telling), name_of(telling), folder_of(telling)) == (Blocks(4), "Teller", LLADA)
    assert (name_of(native), folder_of(native), usual_of(native).chat_template) == (
        *("LLaDA", LLADA),
        native.family.chat_template,
    )
    for protocol in (TellsBlocks, TellsUsual, TellsName, TellsFolder, TellsRowBytes):
        assert [isinstance(model, protocol) for model in (quiet, telling, native)] == [False, True, True]
    for model, forwards in ((quiet, 1), (telling, 6)):
        out = LLM(model).generate([2, 3], SamplingParams(max_new_tokens=6))
        assert (out.token_ids, out.stats.forwards, out.stats.cache) == ([1] * 6, forwards, "none")


def test_rows_of_equal_length_share_a_call_and_none_is_padded():
    model = Sum()
    adapter = as_denoiser(model)
    assert isinstance(model, Denoiser) and isinstance(adapter, RowDenoiser)
    assert (adapter.capabilities, adapter.lookback, adapter.max_length) == (frozenset(), 0, None)
    rows = [whole(1, 2, 3), whole(4), whole(5, 6, 7, wanted=[2, 0]), whole(8, 9), whole(2, wanted=[])]
    out = adapter.forward_rows(rows)
    assert sorted(model.shapes) == [(1, 2), (2, 1), (2, 3)]
    assert [tuple(x.shape) for x in out] == [(3, V), (1, V), (2, V), (2, V), (0, V)]
    for got, row in zip(out, rows, strict=True):
        assert got.dtype == torch.float32
        assert torch.equal(got, model.logits(row.token_ids[None])[0, row.wanted].float())


def test_padding_is_cut_off_before_a_foreign_model_sees_it():
    model = Sum()
    adapter = as_denoiser(model)
    ids = torch.tensor([[0, 0, 1, 2], [3, 4, 0, 0], [1, 2, 3, 4], [7, 7, 7, 7]])
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    logits = adapter.logits(ids, mask)
    assert torch.equal(logits[0, 2:], model.logits(ids[:1, 2:])[0].float())
    assert torch.equal(logits[1, :2], model.logits(ids[1:2, :2])[0].float())
    assert not logits[mask == 0].any()
    assert torch.equal(adapter.logits(ids[2:3]), model.logits(ids[2:3]).float())


@pytest.mark.parametrize("wrap", [False, True])
def test_torch_modules(wrap):
    net = Net(wrap, vocab_size=V, mask_token_id=9, eos_token_id=10, max_position_embeddings=128).train()
    adapter = as_denoiser(net)
    assert isinstance(adapter, RowDenoiser)
    assert (adapter.vocab_size, adapter.mask_token_id, adapter.eos_token_ids, adapter.max_length) == (V, 9, (10,), 128)
    (logits,) = adapter.forward_rows([whole(1, 2, wanted=[1])])
    assert torch.equal(logits[0], net.table.weight[2])
    assert not logits.requires_grad
    assert as_denoiser(Net(vocab_size=V, eos_token_id=[1, 2]), mask_token_id=4).eos_token_ids == (1, 2)
    assert as_denoiser(Net(vocab_size=V)).mask_token_id is None


def test_modules_on_the_cpu_get_one_row_a_call():
    """A linear layer's bits depend on how many rows it is given; a canvas must not."""
    generator = torch.Generator().manual_seed(0)

    class Deep(Net):
        def __init__(self) -> None:
            super().__init__(vocab_size=V)
            self.mix = nn.Linear(V, V)

        def forward(self, input_ids: Tensor) -> Tensor:
            return self.mix(torch.softmax(self.table(input_ids), -1))

    adapter = as_denoiser(Deep())
    rows = [whole(*torch.randint(0, V, (5,), generator=generator).tolist()) for _ in range(7)]
    for got, row in zip(adapter.forward_rows(rows), rows, strict=True):
        assert torch.equal(got, adapter.forward_rows([row])[0])


def test_transformers_model():
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=V, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, pad_token_id=0
    )
    bert = BertForMaskedLM(config)
    adapter = as_denoiser(bert, mask_token_id=3)
    assert (adapter.vocab_size, adapter.mask_token_id, adapter.max_length) == (V, 3, 512)
    ids = torch.tensor([1, 2, 3, 4])
    expected = bert(ids[None]).logits[0]
    torch.testing.assert_close(adapter.forward_rows([whole(1, 2, 3, 4)])[0], expected)


def test_mask_id():
    assert as_denoiser(Sum(), mask_token_id=3).mask_token_id == 3
    for bad in (-1, V, "9", True, 1.0):
        with pytest.raises(ConfigError, match=r"mask_token_id=.*0\.\.10"):
            as_denoiser(Sum(), mask_token_id=bad)
    with pytest.raises(ConfigError, match=r"mask_token_id=300"):
        as_denoiser(load_model(LLADA), mask_token_id=300)


def test_what_is_no_model():
    with pytest.raises(ModelError, match=r"int cannot serve as a model.*no logits\("):
        as_denoiser(3)
    with pytest.raises(ModelError, match="Sum is a class; pass an instance"):
        as_denoiser(Sum)
    with pytest.raises(ModelError, match="Net gives vocab_size neither"):
        as_denoiser(Net())


@pytest.mark.parametrize("missing", ["vocab_size", "mask_token_id", "eos_token_ids"])
def test_missing_attributes_are_named(missing):
    attributes = {"vocab_size": V, "mask_token_id": 9, "eos_token_ids": (), "logits": Sum().logits}
    del attributes[missing]
    with pytest.raises(ModelError, match=f"lacks {missing};"):
        as_denoiser(SimpleNamespace(**attributes))
    if missing == "mask_token_id":
        assert as_denoiser(SimpleNamespace(**attributes), mask_token_id=2).mask_token_id == 2


def test_bad_vocab_size():
    for bad in (0, "11", None, True):
        with pytest.raises(ModelError, match="vocab_size is"):
            as_denoiser(SimpleNamespace(vocab_size=bad, mask_token_id=0, eos_token_ids=(), logits=Sum().logits))


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda ids: torch.zeros(*ids.shape, V + 1), r"vocab_size=11 and its logits have 12 columns"),
        (lambda ids: torch.zeros(ids.shape[1], V), r"\[3, 11\] for ids \[1, 3\]; they must be \[1, 3, 11\]"),
        (lambda ids: torch.zeros(ids.shape[0], 1, V), r"one row of logits for every position"),
        (lambda ids: ids.tolist(), r"returned list; it must return a tensor or have \.logits"),
        (lambda ids: None, r"returned NoneType; it must return a tensor"),
        (lambda ids: torch.zeros(*ids.shape, V).to_sparse(), r"logits that are sparse_coo, float32 and on cpu"),
        (lambda ids: torch.zeros(*ids.shape, V, device="meta"), r"strided, float32 and on meta; they must be"),
        (lambda ids: torch.zeros(*ids.shape, V, dtype=torch.complex64), r"strided, complex64 and on cpu"),
        (lambda ids: torch.zeros(*ids.shape, V, dtype=torch.long), r"strided, int64 and on cpu"),
        (lambda ids: torch.zeros(*ids.shape, V, dtype=torch.bool), r"strided, bool and on cpu"),
        (lambda ids: torch.nested.nested_tensor([torch.zeros(3, V)]), r"logits that are nested"),
    ],
)  # fmt: skip
def test_wrong_output(answer, match):
    adapter = LogitsAdapter(answer, name="Mine", vocab_size=V, mask_token_id=9, eos_token_ids=())
    with pytest.raises(ModelError, match=match):
        adapter.forward_rows([whole(1, 2, 3)])


@pytest.mark.parametrize("cfg_scale", [0.0, 1.0])
def test_columns_of_minus_infinity_are_never_taken_and_nan_is_named(cfg_scale):
    model, params = Sum(), SamplingParams(max_new_tokens=4, cfg_scale=cfg_scale, ignore_eos=True)
    expected = LLM(model).generate([1, 2], params).token_ids
    assert 10 in expected  # the largest id, which the model likes best

    def without(value):
        class Changed(Sum):
            def logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
                logits = super().logits(input_ids)
                logits[..., 10] = value
                return logits

        return LLM(Changed()).generate([1, 2], params)

    assert set(without(-torch.inf).token_ids) == {8}
    for value in (torch.nan, torch.inf):
        with pytest.raises(ModelError, match="the model returned NaN or infinite logits at step 0"):
            without(value)


def test_bad_max_length():
    for bad in (0, -1, "512", 1.5, True):
        with pytest.raises(ModelError, match="max_length is"):
            as_denoiser(
                SimpleNamespace(vocab_size=V, mask_token_id=0, eos_token_ids=(), logits=Sum().logits, max_length=bad)
            )


def test_whole_canvases_only():
    adapter = as_denoiser(Sum())
    part = RowInput(torch.tensor([1, 2]), torch.tensor([1, 2]), torch.tensor([1]))
    with pytest.raises(CapabilityError, match="whole canvases only"):
        adapter.forward_rows([part])
    with pytest.raises(CapabilityError, match="cache='none'"):
        adapter.new_kv(4)
    store = load_model(LLADA).new_kv(2)
    with pytest.raises(CapabilityError, match="no stored keys"):
        adapter.forward_rows([RowInput(torch.tensor([1, 2]), torch.arange(2), torch.arange(2), store)])
    with pytest.raises(ModelError, match=r"\[B, L\]"):
        adapter.logits(torch.tensor([1]))
