"""Shadows: against dense attention with a mask written out, and WINO against its paper read aloud."""

import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dllm import LLM, CapabilityError, ModelError, SamplingParams, load_model
from dllm.models.base import RowInput
from dllm.models.network.layers import rotate
from dllm.schedulers.wino import Wino
from tests.support.fakes import MixDenoiser

GOLDEN = Path(__file__).parents[1] / "golden"
NATIVE = ("llada", "llada_gqa_bias_tied", "dream")


def dense(model, canvas, shadows, together=False):
    """Logits of the canvas' own rows and of its shadows: one sequence of both, a square mask, softmax(QK)V."""
    sources = (shadows - model.lookback).clamp_min(0)
    ids = torch.cat([canvas, torch.where(sources == shadows, model.mask_token_id, canvas[sources])])
    positions = torch.cat([torch.arange(len(canvas)), sources])
    n, total = len(canvas), len(ids)
    sees = torch.zeros(total, total, dtype=torch.bool)
    sees[:, :n] = True
    for j, (source, hidden) in enumerate(zip(sources.tolist(), shadows.tolist(), strict=True)):
        sees[n + j, [source, hidden]] = False
        sees[n + j, n + j] = True
    if together:
        sees[n:, n:] = True
    x = model.embed(ids) * model.spec.embedding_scale
    cos, sin = model.rope(positions, 64, torch.float32)
    for block in model.blocks:
        a, h = block.attention, block.attention_norm(x)
        q, k, v = (a._heads(f(h)) for f in (a.q, a.k, a.v))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        repeats = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
        scores = torch.einsum("ihd,jhd->hij", q, k) * a.head_dim**-0.5
        p = scores.masked_fill(~sees, -torch.inf).softmax(-1)
        x = x + a.o(torch.einsum("hij,jhd->ihd", p, v).flatten(1))
        x = x + block.mlp(block.mlp_norm(x))
    return model.head(model.norm(x))[n:] * model.spec.logits_scale


def shadow_logits(model, canvas, shadows, kv=None, span=None, company=None):
    span = torch.arange(len(canvas)) if span is None else span
    row = RowInput(canvas[span], span, span[:0], kv, shadows, company)
    return model.forward_rows([row])[0]


@pytest.mark.parametrize("name", NATIVE)
def test_shadows_equal_dense_attention(name):
    model = load_model(GOLDEN / name, dtype="float32", device="cpu")
    rng = random.Random(0)
    with torch.no_grad():
        for length in (3, 9, 20):
            canvas = torch.tensor(rng.choices(range(200), k=length))
            canvas[1] = model.mask_token_id
            shadows = torch.tensor(sorted(rng.sample(range(length), k=length // 2 + 1)))
            torch.testing.assert_close(
                shadow_logits(model, canvas, shadows), dense(model, canvas, shadows), atol=2e-5, rtol=1e-4
            )


@pytest.mark.parametrize("name", NATIVE[:2])
def test_shadows_together_equal_dense_attention(name):
    """They see each other, and the masks that only stand there; with a store too."""
    model = load_model(GOLDEN / name, dtype="float32", device="cpu")
    rng = random.Random(0)
    with torch.no_grad():
        for length in (3, 9, 20):
            canvas = torch.tensor(rng.choices(range(200), k=length))
            places = rng.sample(range(length), k=length // 2 + 1)
            for count in (1, len(places) // 2 + 1, len(places)):
                shadows, company = torch.tensor(places[:count]), torch.tensor(places[count:], dtype=torch.long)
                expected = dense(model, canvas, torch.tensor(places), together=True)[:count]
                for kv in (None, model.new_kv(length)):
                    if kv is not None:
                        kv.length = length
                    found = shadow_logits(model, canvas, shadows, kv, company=company)
                    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_shifted_families_refuse_shadows_together():
    model = load_model(GOLDEN / "dream", dtype="float32", device="cpu")
    at = torch.tensor([1])
    with pytest.raises(ModelError, match="lookback 0"):
        shadow_logits(model, torch.tensor([5, 6, 7]), at, company=at + 1)


@pytest.mark.parametrize("name", NATIVE)
def test_a_lone_token_has_the_shadow_of_a_mask(name):
    """With one layer's worth of context to leak through, a shadow of the only token is the masked forward itself."""
    model = load_model(GOLDEN / name, dtype="float32", device="cpu")
    shadow = shadow_logits(model, torch.tensor([5]), torch.tensor([0]))
    masked = model.logits(torch.tensor([[model.mask_token_id]]))[0]
    torch.testing.assert_close(shadow, masked, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NATIVE)
def test_shadows_change_nothing_else_and_mind_no_batch_mates(name):
    model = load_model(GOLDEN / name, dtype="float32", device="cpu")
    rng = random.Random(1)
    rows, bare = [], []
    for length in (2, 7, 7, 19):
        canvas = torch.tensor(rng.choices(range(200), k=length))
        positions = torch.arange(length)
        kv = model.new_kv(length) if length == 19 else None
        rows.append(RowInput(canvas, positions, positions[:2], kv, positions[1:4] if length > 2 else None))
        bare.append(RowInput(canvas, positions, positions[:2]))
    together = model.forward_rows(rows)
    for row, plain, found in zip(rows, bare, together, strict=True):
        alone = RowInput(
            *(row.token_ids, row.positions, row.wanted), model.new_kv(19) if row.kv is not None else None, row.shadows
        )
        assert torch.equal(found, model.forward_rows([alone])[0])
        assert torch.equal(found[:2], model.forward_rows([plain])[0])


def test_wino_needs_shadows():
    with pytest.raises(CapabilityError, match="wino"):
        LLM(MixDenoiser()).generate([1], SamplingParams(scheduler="wino"))


def wino(model, prompt, new, block, accept, revoke, together=True, previous=True):
    """One row, the whole canvas, dense shadows; the positions that each step commits and masks again.

    As the authors' code has it: shadows of a whole block, and at most one fewer than the step before has committed.
    """
    mask, canvas, steps, start, end = model.mask_token_id, list(prompt), [], 0, 0
    canvas += [mask] * new
    while mask in canvas:
        if mask not in canvas[start:end]:
            start = canvas.index(mask)
            end, before = min(start + block, len(canvas)), 30
        ids = torch.tensor(canvas)
        p = torch.softmax(model.logits(ids[None])[0].double(), -1)
        p[:, mask] = -1
        active = [i for i in range(start, end) if canvas[i] == mask]
        ranked = sorted(active, key=lambda i: (-float(p[i].max()), i))
        most = min(max(int(0.7 * len(active)), 5), 20)
        chosen = [i for i in ranked if float(p[i].max()) > accept][:most] or ranked[:1]
        old = torch.tensor([i for i in range(start, end) if canvas[i] != mask], dtype=torch.long)
        doubts = []
        if len(old):
            if together:
                upheld = torch.softmax(dense(model, ids, torch.arange(start, end), together=True).double(), -1)
                worth = [(float(upheld[i - start, canvas[i]]), i) for i in old.tolist()]
            else:
                upheld = torch.softmax(dense(model, ids, old).double(), -1)
                worth = [(float(upheld[j, canvas[i]]), i) for j, i in enumerate(old.tolist())]
            most = (before if previous else len(chosen)) - 1 if len(chosen) > 1 else 0
            doubts = [i for w, i in sorted(worth) if w < revoke][:most]
        for i in chosen:
            canvas[i] = int(p[i].argmax())
        for i in doubts:
            canvas[i] = mask
        before = len(chosen)
        steps.append((tuple(sorted(chosen)), tuple(doubts)))
    return canvas[len(prompt) :], steps


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize(("shadow", "cap"), [("block", "previous"), ("alone", "step"), ("alone", "previous")])
def test_wino_equals_the_paper_read_aloud(name, shadow, cap):
    llm = LLM(GOLDEN / name, dtype="float32", device="cpu")
    together, previous = shadow == "block" and llm.model.lookback == 0, cap == "previous"
    revoked = 0
    for seed, (accept, revoke) in enumerate([(0.02, 0.03), (0.03, 0.9), (0.01, 1.0)]):
        prompt = random.Random(seed).choices(range(200), k=4 + seed)
        spec = f"wino({accept}, revoke={revoke}, shadow={shadow}, cap={cap})"
        params = SamplingParams(max_new_tokens=14, block_length=8, scheduler=spec, cache="none", ignore_eos=True)
        out = llm.generate(prompt, params)
        with torch.no_grad():
            expected, steps = wino(llm.model, prompt, 14, 8, accept, revoke, together, previous)
        assert [(s.positions, s.revoked) for s in out.trace.steps] == steps
        assert out.token_ids == expected
        revoked += sum(len(s.revoked) for s in out.trace.steps)
    assert revoked > 0


def test_no_mask_stands_for_fixed_text_of_a_document():
    view = SimpleNamespace(start=2, end=6, given=torch.tensor([True, True, False, True, False, False, False]))
    assert Wino().company(view, 0).tolist() == [2, 4, 5]
    assert Wino(shadow="alone").company(view, 0) is None
