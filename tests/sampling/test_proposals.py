"""What is proposed at each position, and how sure of it the model is, against float64 and the published rule."""

import math

import pytest
import torch

from dllm.sampling.noise import uniform
from dllm.sampling.proposals import Shape, guide, propose

V = 40
MEASURES = ("entropy", "margin")


GREEDY = Shape()


def ask(logits, shape=GREEDY, banned=(), measures=MEASURES, seed=0, step=0, positions=None):
    mask = torch.zeros(logits.shape[-1], dtype=torch.bool)
    mask[list(banned)] = True
    positions = torch.arange(len(logits)) if positions is None else positions
    found = propose(
        logits, mask, shape, measures, seed=seed, step=step, positions=positions, held=torch.zeros_like(positions)
    )
    return dict(zip(("token", "confidence", *measures), found, strict=True))


@pytest.fixture
def logits():
    return torch.randn(9, V, generator=torch.Generator().manual_seed(0)) * 3


def test_greedy_equals_the_float64_reference(logits):
    found = ask(logits, banned=[5, 6])
    p = torch.softmax(logits.double(), -1)
    open_p = p.clone()
    open_p[:, [5, 6]] = 0
    assert torch.equal(found["token"].long(), open_p.argmax(-1))
    # the banned ids keep their share of the normaliser
    torch.testing.assert_close(found["confidence"], open_p.max(-1).values, rtol=0, atol=1e-6)
    top = open_p.topk(2).values
    torch.testing.assert_close(found["margin"], top[:, 0] - top[:, 1], rtol=0, atol=1e-6)
    torch.testing.assert_close(found["entropy"], -(p * p.log()).sum(-1), rtol=0, atol=1e-5)


def test_the_mask_is_never_proposed_but_lowers_confidence(logits):
    logits[:, 7] = 20.0
    found = ask(logits, banned=[7])
    assert 7 not in found["token"].tolist()
    assert float(found["confidence"].max()) < 1e-3


def test_ties_go_to_the_lowest_id():
    assert ask(torch.zeros(3, V), banned=[0])["token"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_measured_in_float32(logits, dtype):
    low = logits.to(dtype)
    reference = torch.softmax(low.double(), -1).max(-1).values
    torch.testing.assert_close(ask(low)["confidence"], reference, rtol=0, atol=1e-6)


def test_temperature_matches_the_published_gumbel_rule(logits):
    """LLaDA takes argmax exp(l) / (-ln u)^T in float64; ours is its logarithm over T."""
    temperature, positions = 0.7, torch.arange(9) + 100
    found = ask(logits, Shape(temperature=temperature), seed=5, step=3, positions=positions)
    u = uniform(5, 3, positions, V)
    published = (logits.double().exp() / (-u.log()) ** temperature).argmax(-1)
    assert torch.equal(found["token"].long(), published)
    # confidence is measured before the temperature
    p = torch.softmax(logits.double(), -1).gather(-1, published[:, None]).squeeze(-1)
    torch.testing.assert_close(found["confidence"], p, rtol=0, atol=1e-6)


def test_noise_ignores_batch_mates(logits):
    shape = Shape(temperature=1.0)
    whole = ask(logits, shape, seed=1)
    for i in range(9):
        alone = ask(logits[i : i + 1], shape, seed=1, positions=torch.tensor([i]))
        assert {k: float(v[0]) for k, v in alone.items()} == {k: float(v[i]) for k, v in whole.items()}


def test_samples_follow_temperature_top_p_and_top_k():
    logits = torch.tensor([3.0, 2.5, 2.0, 1.0, 0.0, -1.0])
    n = 6000
    for shape in (Shape(1.0), Shape(0.5), Shape(1.0, top_k=3), Shape(1.0, top_p=0.7), Shape(2.0, top_p=0.8, top_k=4)):
        p = torch.softmax(logits.double() / shape.temperature, -1)
        ranked, order = p.sort(descending=True)
        keep = [i for i in range(6) if shape.top_p is None or float(ranked[:i].sum()) < shape.top_p]
        keep = [i for i in keep if shape.top_k is None or i < shape.top_k]
        kept = torch.zeros(6, dtype=torch.float64)
        kept[order[keep]] = p[order[keep]]
        kept /= kept.sum()
        draws = ask(logits.expand(n, 6), shape, seed=2, measures=())["token"].long()
        counts = torch.bincount(draws, minlength=6).double()
        assert set(draws.tolist()) == set(kept.nonzero().squeeze(-1).tolist())
        chi2 = float((((counts - n * kept) ** 2)[kept > 0] / (n * kept)[kept > 0]).sum())
        assert chi2 < len(keep) + 6 * math.sqrt(2 * len(keep))


def test_shaped_measures_are_taken_after_shaping(logits):
    shape = Shape(temperature=0.5, top_k=3, measured=True)
    found = ask(logits, shape, banned=[5], seed=4)
    scaled = logits.double() / 0.5
    barred = scaled.clone()
    barred[:, 5] = -math.inf
    kth = barred.topk(3).values[:, -1:]
    kept = torch.where((barred >= kth) | (torch.arange(V) == 5), scaled, -math.inf)
    p = torch.softmax(kept, -1)
    picked = p.gather(-1, found["token"].long()[:, None]).squeeze(-1)
    torch.testing.assert_close(found["confidence"], picked, rtol=0, atol=1e-6)
    entropy = -(p * p.clamp_min(1e-300).log()).sum(-1)
    torch.testing.assert_close(found["entropy"], entropy, rtol=0, atol=1e-5)


def test_top_p_never_leaves_only_the_mask(logits):
    logits[:, 7] = 30.0
    for shape in (Shape(1.0, top_p=0.1), Shape(0.0, top_k=1), Shape(1.0, top_k=1, measured=True)):
        found = ask(logits, shape, banned=[7])
        rest = logits.clone()
        rest[:, 7] = -math.inf
        assert torch.equal(found["token"].long(), rest.argmax(-1))


def test_row_count_does_not_change_bits():
    """A row's numbers must not depend on how many positions are asked together."""
    logits = torch.randn(40, 50_000, generator=torch.Generator().manual_seed(1))
    whole = torch.stack(list(ask(logits).values()))
    for m in (1, 2, 3, 5, 8, 17):
        assert torch.equal(torch.stack(list(ask(logits[:m]).values())), whole[:, :m]), m


def test_guidance_formula(logits):
    other = logits.flip(0)
    torch.testing.assert_close(guide(logits, other, 1.5), other + 2.5 * (logits - other))
    assert torch.equal(guide(logits, other, 1.5), other + 2.5 * (logits - other))


def test_guidance_leaves_what_is_ruled_out_as_it_is(logits):
    """-inf in both stays; in the unconditional alone there is nothing to be guided away from; the rest is unchanged."""
    other = logits.flip(0).clone()
    plain, wanted = guide(logits, other, 1.5), logits.clone()
    wanted[:, 3], other[:, 3] = -torch.inf, -torch.inf
    wanted[:, 4] = -torch.inf
    other[1, 5] = -torch.inf
    found = guide(wanted, other, 1.5)
    assert (found[:, 3:5] == -torch.inf).all() and found[1, 5] == wanted[1, 5]
    same = torch.ones_like(plain, dtype=torch.bool)
    same[:, 3:5], same[1, 5] = False, False
    assert torch.equal(found[same], plain[same])
    assert guide(torch.full((1, 2), torch.nan), torch.zeros(1, 2), 1.0).isnan().all()
    assert guide(torch.zeros(0, 4), torch.zeros(0, 4), 1.0).shape == (0, 4)
