"""The least time a denoising step can take on a device: bytes over bandwidth, or FLOPs over throughput."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dllm.models.network.spec import BackboneSpec
from tools.gpu_check.timing import milliseconds

WEIGHT_BYTES = 2
"""Weights, keys and values in bfloat16."""
LOGIT_BYTES = 4
"""Logits leave the model in float32."""
MEASURED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What this device reaches: `bandwidth` in bytes a second of a large copy, `flops` a second of a large product."""

    bandwidth: float
    flops: float


def measure_machine(device: torch.device, *, copy_bytes: int = 4 << 30, side: int = 8192) -> Machine:
    """Bandwidth of a device-to-device copy (bytes read plus written), throughput of a square bfloat16 product."""
    return Machine(
        bandwidth=2e3 * copy_bytes / _copy_ms(device, copy_bytes), flops=2e3 * side**3 / _product_ms(device, side)
    )


def _copy_ms(device: torch.device, size: int) -> float:
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return milliseconds(lambda: target.copy_(source), device, repeats=10, seconds=MEASURED_SECONDS)


def _product_ms(device: torch.device, side: int) -> float:
    # random values: a product of zeros draws less power and runs at a higher clock
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return milliseconds(lambda: a @ b, device, repeats=10, seconds=MEASURED_SECONDS)


@dataclass(frozen=True, slots=True)
class Step:
    """One forward: `rows` rows of a canvas of `length` tokens, `fed` tokens and `wanted` predictions each."""

    rows: int
    length: int
    fed: int
    wanted: int
    stored: bool


def floor_ms(spec: BackboneSpec, step: Step, machine: Machine) -> float:
    """`max(bytes / bandwidth, FLOPs / throughput)` in milliseconds; launches cost nothing here."""
    return 1e3 * max(step_bytes(spec, step) / machine.bandwidth, step_flops(spec, step) / machine.flops)


def step_bytes(spec: BackboneSpec, step: Step) -> int:
    """Weights once, stored K/V read and fresh K/V written, logits written and read again by the sampler."""
    kv = step.rows * (step.length + step.fed) * kv_bytes_per_token(spec) if step.stored else 0
    logits = 2 * step.rows * step.wanted * spec.columns * LOGIT_BYTES
    return WEIGHT_BYTES * (body_weights(spec) + head_weights(spec)) + kv + logits


def step_flops(spec: BackboneSpec, step: Step) -> int:
    """Two a weight and fed token, two a head weight and wanted position, and attention over the whole canvas."""
    attention = 4 * step.fed * step.length * spec.heads * spec.head_dim * spec.layers
    return step.rows * (2 * step.fed * body_weights(spec) + 2 * step.wanted * head_weights(spec) + attention)


def kv_bytes_per_token(spec: BackboneSpec) -> int:
    return 2 * spec.layers * spec.kv_heads * spec.head_dim * WEIGHT_BYTES


def body_weights(spec: BackboneSpec) -> int:
    """Weights every fed token meets (the embedding is looked up, not streamed)."""
    queries, keys = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    return spec.layers * spec.hidden_size * (2 * queries + 2 * keys + 3 * spec.intermediate_size)


def head_weights(spec: BackboneSpec) -> int:
    return spec.hidden_size * spec.columns
