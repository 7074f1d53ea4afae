"""The pass over the logits against float64 arithmetic written out."""

import random

import pytest
import torch

from dllm.engine.forward import together
from dllm.sampling import peaks_cuda
from dllm.sampling.peaks import GROUP, SMALL, Peaks, peaks

WIDTHS = (1, 2, 37, GROUP, GROUP + 1, SMALL, SMALL + 1, 5000, 20 * GROUP, 32_000)


def plain(logits, banned):
    """Ids by torch's argmax (the lowest of equals), everything else in float64."""
    wide = logits.double()
    allowed = wide.masked_fill(banned, -torch.inf)
    ids = torch.tensor([min((row == row.max()).nonzero()[:, 0].tolist()) for row in allowed])
    best = allowed.gather(1, ids[:, None])[:, 0]
    second = allowed.scatter(1, ids[:, None], -torch.inf).amax(-1)
    normaliser = wide.logsumexp(-1)
    p = (wide - normaliser[:, None]).exp()
    entropy = -(p * p.clamp_min(1e-300).log()).sum(-1)
    return ids, best, second, normaliser, entropy


def check(logits, banned):
    ids, best, second, normaliser, entropy = plain(logits, banned)
    found = peaks(logits, banned, entropy=True)
    assert torch.equal(found.token_ids, ids)
    assert torch.equal(found.best.double(), best) and torch.equal(found.second.double(), second)
    torch.testing.assert_close(found.normaliser.double(), normaliser, atol=1e-5, rtol=1e-6)
    torch.testing.assert_close(found.entropy.double(), entropy, atol=1e-4, rtol=1e-5)
    assert not peaks(logits, banned).entropy.any()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scale", [0.1, 3.0, 60.0])
def test_against_float64(width, scale):
    generator = torch.Generator().manual_seed(width)
    logits = torch.randn(7, width, generator=generator) * scale
    for share in (0.0, 0.001, 0.3, 0.99):
        banned = torch.rand(width, generator=generator) < share
        banned[width // 2] = False
        check(logits, banned)


@pytest.mark.parametrize("width", [5, 300, 5000, 32_000])
def test_of_equals_the_lowest_id(width):
    rng = random.Random(width)
    logits = torch.randn(6, width).round()  # many ties
    logits[0] = 0.0
    banned = torch.zeros(width, dtype=torch.bool)
    banned[[0, *rng.choices(range(1, width - 1), k=3)]] = True
    check(logits, banned)


@pytest.mark.parametrize("width", [300, 5000])
def test_what_is_ruled_out(width):
    logits = torch.randn(3, width)
    logits[:, 1:-1] = -torch.inf  # a grammar's bans
    logits[2, -1] = -torch.inf
    check(logits, torch.zeros(width, dtype=torch.bool))
    nothing = peaks(logits, torch.ones(width, dtype=torch.bool))
    assert (nothing.best == -torch.inf).all() and (nothing.second == -torch.inf).all()


@pytest.mark.parametrize("width", [300, 5000])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_row_that_is_not_finite_shows(width, bad):
    logits = torch.randn(3, width)
    logits[1, width // 3] = bad
    found = peaks(logits, torch.zeros(width, dtype=torch.bool))
    assert (found.best - found.normaliser).isfinite().tolist() == [True, False, True]


@pytest.mark.parametrize("width", [700, 5000, 32_000, 140_000])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_does_not_mind_the_others(width, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    logits, banned = torch.randn(24, width), torch.zeros(width, dtype=torch.bool)
    whole = peaks(logits, banned, entropy=True)
    for start, stop in ((0, 1), (5, 6), (23, 24), (3, 5), (0, 9), (8, 24)):
        part = peaks(logits[start:stop], banned, entropy=True)
        for name in ("token_ids", "best", "second", "normaliser", "entropy"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[start:stop]), (name, start, stop)
    torch.set_num_threads(before)


def sure(width, gaps):
    """A row a gap: one logit of 20 and one so far below it; the others are further still."""
    logits = torch.full((len(gaps), width), -200.0)
    logits[:, width // 2] = 20.0
    logits[range(len(gaps)), [width // 4 + i % 2 for i in range(len(gaps))]] = 20.0 - torch.tensor(gaps)
    return logits


def by_kernels(logits, banned, *, entropy=False):
    """The CUDA reader, by Triton's interpreter where there is no card."""
    pytest.importorskip("triton")
    if torch.cuda.is_available():
        pytest.skip("here the kernels are compiled: see scripts/gpu_check.py")
    return Peaks(*peaks_cuda.peaks(logits, banned, entropy))


@pytest.mark.parametrize("read", [peaks, by_kernels])
@pytest.mark.parametrize("width", [9, 5000, 32_000])
def test_probabilities_near_one_are_told_apart(width, read):
    """1 - p as float64 has it, far below what float32 has beside 1; a mask id that is the highest changes nothing."""
    gaps = [14.0, 15.5, 30.0, 13.0, 16.0, 16.0001, 24.0, 0.5]
    logits = sure(width, gaps)
    found = read(logits, torch.zeros(width, dtype=torch.bool), entropy=True)
    p = torch.softmax(logits.double(), -1)
    torch.testing.assert_close(found.log_p(found.best).exp(), p.amax(-1), rtol=0, atol=1e-7)
    torch.testing.assert_close(-found.log_p(found.best).expm1(), 1 - p.amax(-1), rtol=3e-6, atol=1e-15)
    torch.testing.assert_close(found.log_p(found.second), p.topk(2).values[:, 1].log(), rtol=1e-7, atol=3e-6)
    assert torch.equal(found.log_p(found.best).argsort(), p.amax(-1).argsort())
    assert torch.equal(found.entropy.argsort(), (-p * p.clamp_min(1e-300).log()).sum(-1).argsort())
    banned = torch.zeros(width, dtype=torch.bool)
    banned[width // 2] = True
    without = read(logits, banned)
    torch.testing.assert_close(without.log_p(without.best), found.log_p(found.second), rtol=0, atol=0)


def test_half_precision_is_read_as_it_is():
    logits = torch.randn(4, 5000).bfloat16()
    check(logits, torch.zeros(5000, dtype=torch.bool))


def test_together_copies_only_what_lies_apart():
    whole = torch.randn(10, 6)
    pieces = torch.split(whole, [2, 0, 5, 3])
    assert together(pieces).data_ptr() == whole.data_ptr() and torch.equal(together(pieces), whole)
    assert torch.equal(together([pieces[0], pieces[3]]), torch.cat([pieces[0], pieces[3]]))
    assert torch.equal(together([pieces[2], pieces[0]]), torch.cat([pieces[2], pieces[0]]))
    assert torch.equal(together([whole, torch.randn(1, 6).fill_(0)]), torch.cat([whole, torch.zeros(1, 6)]))
