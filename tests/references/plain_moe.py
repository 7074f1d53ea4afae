"""LLaDA-MoE and LLaDA2 read aloud from their own files: float64, one token after the other, no module of the engine."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor


class Plain:
    """Tensors by name, and the keys of config.json as attributes."""

    def __init__(self, folder: Path) -> None:
        self.tensors = {name: tensor.double() for name, tensor in load_file(folder / "model.safetensors").items()}
        self.config = json.loads((folder / "config.json").read_text())

    def __getattr__(self, key: str):
        return self.config[key]

    def linear(self, name: str, x: Tensor) -> Tensor:
        out = x @ self.tensors[f"{name}.weight"].T
        return out + self.tensors[f"{name}.bias"] if f"{name}.bias" in self.tensors else out

    def norm(self, name: str, x: Tensor) -> Tensor:
        return self.tensors[f"{name}.weight"] * x / (x.pow(2).mean(-1, keepdim=True) + self.rms_norm_eps).sqrt()

    def mlp(self, name: str, x: Tensor) -> Tensor:
        gate = self.linear(f"{name}.gate_proj", x)
        return self.linear(f"{name}.down_proj", gate * torch.sigmoid(gate) * self.linear(f"{name}.up_proj", x))

    def rotate(self, x: Tensor, head_dim: int) -> Tensor:
        """`[n, heads, d]`, the first channels turned by their positions."""
        width = int(head_dim * self.partial_rotary_factor)
        out = x.clone()
        for position in range(len(x)):
            for c in range(width // 2):
                angle = torch.tensor(position * self.rope_theta ** (-2 * c / width), dtype=torch.float64)
                low, high = x[position, :, c], x[position, :, c + width // 2]
                out[position, :, c] = low * angle.cos() - high * angle.sin()
                out[position, :, c + width // 2] = high * angle.cos() + low * angle.sin()
        return out

    def attend(self, q: Tensor, k: Tensor, v: Tensor, block: int | None) -> Tensor:
        """`[n, H * d]` of `[n, H, d]` queries and `[n, K, d]` keys and values."""
        rows = []
        for i in range(len(q)):
            seen = [j for j in range(len(k)) if block is None or j // block <= i // block]
            heads = []
            for h in range(q.shape[1]):
                own = h * k.shape[1] // q.shape[1]
                p = torch.softmax(k[seen, own] @ q[i, h] * q.shape[2] ** -0.5, 0)
                heads.append(p @ v[seen, own])
            rows.append(torch.cat(heads))
        return torch.stack(rows)


def llada_moe(folder: Path, ids: list[int]) -> Tensor:
    """`[n, V]` logits."""
    m = Plain(folder)
    head_dim = m.hidden_size // m.num_attention_heads
    x = m.tensors["model.embed_tokens.weight"][ids]
    for layer in range(m.num_hidden_layers):
        at = f"model.layers.{layer}"
        h = m.norm(f"{at}.input_layernorm", x)
        q, k, v = (m.linear(f"{at}.self_attn.{part}_proj", h).view(len(ids), -1, head_dim) for part in "qkv")
        if m.qk_layernorm:
            q, k = m.norm(f"{at}.self_attn.q_norm", q), m.norm(f"{at}.self_attn.k_norm", k)
        if m.clip_qkv is not None:
            q, k, v = (one.clamp(-m.clip_qkv, m.clip_qkv) for one in (q, k, v))
        mixed = m.attend(m.rotate(q, head_dim), m.rotate(k, head_dim), v, None)
        x = x + m.linear(f"{at}.self_attn.o_proj", mixed)
        h = m.norm(f"{at}.post_attention_layernorm", x)
        if m.moe_layer_freq[layer]:
            out = torch.stack([_softmax_experts(m, at, token) for token in h])
        else:
            out = m.mlp(f"{at}.mlp", h)
        if m.shared_expert_intermediate_size is not None:
            out = out + m.mlp(f"{at}.shared_expert", h)
        x = x + out
    return m.norm("model.norm", x) @ m.tensors["lm_head.weight"].T


def _softmax_experts(m: Plain, at: str, x: Tensor) -> Tensor:
    scores = torch.softmax(m.linear(f"{at}.mlp.gate", x), 0)
    if m.moe_router_enable_expert_bias:
        scores = scores + m.tensors[f"{at}.mlp.expert_bias"]
    best = sorted(range(m.num_experts), key=lambda e: -scores[e])[: m.num_experts_per_tok]
    return sum(scores[e] * m.mlp(f"{at}.mlp.experts.{e}", x) for e in best)


def llada2(folder: Path, ids: list[int], block: int) -> Tensor:
    """`[n, V]` logits."""
    m = Plain(folder)
    heads, kv_heads, d = m.num_attention_heads, m.num_key_value_heads, m.head_dim
    x = m.tensors["model.word_embeddings.weight"][ids]
    for layer in range(m.num_hidden_layers):
        at = f"model.layers.{layer}"
        h = m.norm(f"{at}.input_layernorm", x)
        qkv = m.linear(f"{at}.attention.query_key_value", h).view(len(ids), heads + 2 * kv_heads, d)
        q, k, v = qkv[:, :heads], qkv[:, heads : heads + kv_heads], qkv[:, heads + kv_heads :]
        if m.use_qk_norm:
            q, k = m.norm(f"{at}.attention.query_layernorm", q), m.norm(f"{at}.attention.key_layernorm", k)
        x = x + m.linear(f"{at}.attention.dense", m.attend(m.rotate(q, d), m.rotate(k, d), v, block))
        h = m.norm(f"{at}.post_attention_layernorm", x)
        if layer < m.first_k_dense_replace:
            x = x + m.mlp(f"{at}.mlp", h)
            continue
        out = torch.stack([_grouped_experts(m, at, token) for token in h])
        x = x + (out + m.mlp(f"{at}.mlp.shared_experts", h) if m.num_shared_experts else out)
    return m.norm("model.norm", x) @ m.tensors["lm_head.weight"].T


def _grouped_experts(m: Plain, at: str, x: Tensor) -> Tensor:
    scores = torch.sigmoid(m.linear(f"{at}.mlp.gate", x))
    bias = m.tensors[f"{at}.mlp.gate.expert_bias"] if m.moe_router_enable_expert_bias else torch.zeros(m.num_experts)
    ranked = (scores + bias).tolist()
    size = m.num_experts // m.n_group
    groups = [range(g * size, (g + 1) * size) for g in range(m.n_group)]
    by_group = sorted(groups, key=lambda group: -sum(sorted((ranked[e] for e in group), reverse=True)[:2]))
    allowed = [e for group in by_group[: m.topk_group] for e in group]
    best = sorted(allowed, key=lambda e: -ranked[e])[: m.num_experts_per_tok]
    weights = scores[best]
    if m.norm_topk_prob:
        weights = weights / weights.sum()
    weights = weights * m.routed_scaling_factor
    return sum(w * m.mlp(f"{at}.mlp.experts.{e}", x) for w, e in zip(weights, best, strict=True))
