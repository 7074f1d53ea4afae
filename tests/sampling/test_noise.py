"""The noise of a draw: uniform, and a function of seed, step and the row's own position."""

import math

import torch

from dllm.sampling.noise import gumbel, uniform


def test_numbers_are_uniform():
    u = uniform(7, 3, torch.arange(64), 1024)
    assert u.dtype == torch.float64 and u.shape == (64, 1024)
    assert float(u.min()) > 0 and float(u.max()) < 1
    counts = torch.histc(u, bins=64, min=0, max=1)
    expected = u.numel() / 64
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert chi2 < 63 + 5 * math.sqrt(2 * 63)
    # neighbouring columns, rows, steps and seeds are uncorrelated: |r| stays within 5 sigma
    for other in (
        u.roll(1, 0),
        u.roll(1, 1),
        uniform(7, 4, torch.arange(64), 1024),
        uniform(8, 3, torch.arange(64), 1024),
    ):
        r = float(torch.corrcoef(torch.stack([u.flatten(), other.flatten()]))[0, 1])
        assert abs(r) < 5 / math.sqrt(u.numel())


def test_a_number_depends_on_its_own_position_only():
    whole = uniform(1, 0, torch.arange(10), 50)
    part = uniform(1, 0, torch.tensor([7, 3]), 50)
    assert torch.equal(part, whole[[7, 3]])
    assert torch.equal(uniform(1, 0, torch.arange(10), 20), whole[:, :20])


def test_streams_steps_and_seeds_differ():
    positions = torch.arange(4)
    draws = [uniform(s, t, positions, 8, stream=k) for s in (0, 1, 2**61) for t in (0, 1) for k in (0, 1)]
    flat = torch.cat([d.flatten() for d in draws])
    assert len(flat.unique()) == len(flat)


def test_gumbel_argmax_samples_the_distribution():
    p = torch.tensor([0.5, 0.25, 0.2, 0.05], dtype=torch.float64)
    n = 20_000
    picks = (p.log() + gumbel(3, 0, torch.arange(n), 4)).argmax(-1)
    counts = torch.bincount(picks, minlength=4).double()
    chi2 = float(((counts - n * p) ** 2 / (n * p)).sum())
    assert chi2 < 3 + 5 * math.sqrt(6)
