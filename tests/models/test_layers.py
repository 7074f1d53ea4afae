"""The parts of a block: formulas, and bits that do not depend on where a value stands in a batch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dllm.models.network.layers import RMSNorm, Rope, attend, rotate, silu
from dllm.models.network.moe import Mixture
from dllm.models.network.spec import MoESpec


@pytest.mark.parametrize("eps", [1e-5, 1e-6])
def test_rms_norm_on_small_inputs(eps):
    """Inputs of 1e-3 square to the size of epsilon, where a wrong epsilon or a wrong place for it shows."""
    generator = torch.Generator().manual_seed(0)
    norm = RMSNorm(64, eps)
    norm.weight.data = torch.randn(64, generator=generator)
    x = torch.randn(5, 64, generator=generator) * 1e-3
    wide = x.double()
    expected = norm.weight.double() * wide / (wide.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    torch.testing.assert_close(norm(x).double(), expected, atol=1e-6, rtol=1e-5)


def test_rms_norm_rounds_before_the_weight():
    norm = RMSNorm(64, 1e-6).to(torch.bfloat16)
    norm.weight.data.fill_(1.37)
    x = torch.randn(3, 64, generator=torch.Generator().manual_seed(1)).bfloat16()
    wide = x.float()
    normed = (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).bfloat16()
    assert torch.equal(norm(x), norm.weight * normed)


def test_silu_has_the_same_bits_wherever_a_value_stands():
    x = torch.randn(1003, generator=torch.Generator().manual_seed(2)) * 5
    torch.testing.assert_close(silu(x), F.silu(x))
    for size in (1, 7, 33):
        assert torch.equal(torch.cat([silu(part.clone()) for part in x.split(size)]), silu(x))


def test_rope_table_does_not_depend_on_its_length():
    positions = torch.tensor([0, 5, 63])
    short, long = Rope(16, 1e4), Rope(16, 1e4)
    long(torch.tensor([5000]), 5001, torch.float32)
    for a, b in zip(short(positions, 64, torch.float32), long(positions, 64, torch.float32), strict=True):
        assert torch.equal(a, b)


def test_rope_is_half_split_and_relative():
    rope, x = Rope(8, 100.0), torch.randn(1, 2, 8, generator=torch.Generator().manual_seed(3))
    angle = 7 / 100.0 ** (2 / 8)  # channel 1 is paired with channel 1 + 8/2
    turned = rotate(x, *rope(torch.tensor([7]), 8, torch.float32))
    expected = x[0, 0, 1] * torch.tensor(angle).cos() - x[0, 0, 5] * torch.tensor(angle).sin()
    torch.testing.assert_close(turned[0, 0, 1], expected)

    def turn(position: int) -> Tensor:
        return rotate(x, *rope(torch.tensor([position]), 64, torch.float32))

    dots = [(turn(p) * turn(p + 3)).sum(-1) for p in (0, 40)]
    torch.testing.assert_close(dots[0], dots[1])


@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2)])
def test_attention_bits_do_not_depend_on_batch_or_query_count(heads, kv_heads):
    generator = torch.Generator().manual_seed(4)
    for queries, keys in [(1, 1), (2, 35), (3, 8), (7, 7), (20, 33), (40, 40)]:
        q = torch.randn(5, heads, queries, 16, generator=generator)
        k, v = (torch.randn(5, kv_heads, keys, 16, generator=generator) for _ in range(2))
        together = attend(q, k, v)
        assert all(
            torch.equal(together[b : b + 1], attend(*(x[b : b + 1].clone() for x in (q, k, v)))) for b in range(5)
        )
        assert torch.equal(together[:, :, -1:], attend(q[:, :, -1:], k, v))


@pytest.mark.parametrize("score", ["softmax", "sigmoid"])
def test_a_router_says_the_same_of_a_token_in_any_company(score):
    """torch's own sigmoid takes another code path for the last elements of a tensor."""
    torch.manual_seed(0)
    spec = MoESpec(experts=6, per_token=2, width=8, score=score, normalised=True)
    mixture = Mixture(16, spec).requires_grad_(False)
    for parameter in mixture.parameters():
        parameter.normal_()
    x = torch.randn(130, 16)
    whole = mixture._choice(x)
    for count in range(16, 130):  # from as many rows on as products keep their bits
        weights, chosen = mixture._choice(x[:count])
        assert torch.equal(weights, whole[0][:count]) and torch.equal(chosen, whole[1][:count]), count
