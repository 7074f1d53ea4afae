"""Dream's forward and its block-cached greedy loop, written out on the checkpoint's tensor names; one row at a time."""

from __future__ import annotations

import torch
from torch import Tensor


class PlainDream:
    """Reads K/V from `store` for positions that are not fed; row p - 1 predicts position p."""

    def __init__(self, weights: dict[str, Tensor], config: dict) -> None:
        self.weights, self.config = weights, config
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.width = config["hidden_size"] // self.heads

    def run(self, ids: list[int], fed: list[int], store: list) -> Tensor:
        """`[len(fed), V]` raw logits; `store[layer]` = {position: (k, v)}, overwritten at the fed positions."""
        x = self.weights["model.embed_tokens.weight"][torch.tensor([ids[p] for p in fed])]
        for layer in range(self.config["num_hidden_layers"]):
            x = x + self._attention(x, layer, fed, store[layer], len(ids))
            h = self._norm(x, f"model.layers.{layer}.post_attention_layernorm.weight")
            gate, up = self._linear(h, layer, "mlp.gate_proj"), self._linear(h, layer, "mlp.up_proj")
            x = x + self._linear(torch.nn.functional.silu(gate) * up, layer, "mlp.down_proj")
        return self._norm(x, "model.norm.weight") @ self.weights["lm_head.weight"].T

    def _attention(self, x: Tensor, layer: int, fed: list[int], store: dict, length: int) -> Tensor:
        h = self._norm(x, f"model.layers.{layer}.input_layernorm.weight")
        q, k, v = (self._linear(h, layer, f"self_attn.{n}_proj").unflatten(-1, (-1, self.width)) for n in "qkv")
        for row, position in enumerate(fed):
            store[position] = (self._rope(k[row], position), v[row])
        out = []
        for row, position in enumerate(fed):
            query, mixed = self._rope(q[row], position), []
            for head in range(self.heads):
                shared = head * self.kv_heads // self.heads
                keys = torch.stack([store[p][0][shared] for p in range(length)])
                values = torch.stack([store[p][1][shared] for p in range(length)])
                mixed.append(torch.softmax(keys @ query[head] / self.width**0.5, 0) @ values)
            out.append(torch.cat(mixed))
        return self._linear(torch.stack(out), layer, "self_attn.o_proj")

    def _linear(self, x: Tensor, layer: int, name: str) -> Tensor:
        bias = self.weights.get(f"model.layers.{layer}.{name}.bias", 0)
        return x @ self.weights[f"model.layers.{layer}.{name}.weight"].T + bias

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.config["rms_norm_eps"]) * self.weights[name]

    def _rope(self, x: Tensor, position: int) -> Tensor:
        half = self.width // 2
        angle = position / self.config["rope_theta"] ** (torch.arange(half, dtype=torch.float32) / half)
        low, high = x[..., :half], x[..., half:]
        return torch.cat([low * angle.cos() - high * angle.sin(), high * angle.cos() + low * angle.sin()], -1)


def published_generate(model: PlainDream, prompt: list[int], new: int, block: int, cache: str, tau: float) -> list[int]:
    """Fast-dLLM's loop for Dream with a cache: the full forward at a block's opening commits the block's first position
    alone; from then on the block is fed without the position before it, and threshold `tau` decides.
    """
    mask = model.config["mask_token_id"]
    canvas = prompt + [mask] * new
    for start in range(len(prompt), len(canvas), block):
        end = min(start + block, len(canvas))
        store: list[dict] = [{} for _ in range(model.config["num_hidden_layers"])]
        fed, opening = list(range(len(canvas))), True
        while mask in canvas[start:end]:
            logits = model.run(canvas, fed, store)
            found = []
            for position in (p for p in range(start, end) if canvas[p] == mask):
                p = torch.softmax(logits[fed.index(position - 1)].double(), -1)
                p[mask] = -1
                found.append((-float(p.max()), position, int(p.argmax())))
            ranked = sorted(found)
            chosen = ranked[:1] + [one for one in ranked[1:] if -one[0] >= tau]
            for _, position, token in found[:1] if opening else chosen:
                canvas[position] = token
            fed, opening = list(range(start, end if cache == "dual" else len(canvas))), False
    return canvas[len(prompt) :]


def cached_generate(model: PlainDream, prompt: list[int], new: int, block: int, cache: str, k: int) -> list[int]:
    """The `k` most confident masks of the live block at every step, under `prefix` or `dual`."""
    mask = model.config["mask_token_id"]
    canvas = prompt + [mask] * new
    for start in range(len(prompt), len(canvas), block):
        end = min(start + block, len(canvas))
        store: list[dict] = [{} for _ in range(model.config["num_hidden_layers"])]
        fed = list(range(len(canvas)))
        while mask in canvas[start:end]:
            logits = model.run(canvas, fed, store)
            found = []
            for position in (p for p in range(start, end) if canvas[p] == mask):
                p = torch.softmax(logits[fed.index(position - 1)].double(), -1)
                p[mask] = -1
                found.append((-float(p.max()), position, int(p.argmax())))
            for _, position, token in sorted(found)[:k]:
                canvas[position] = token
            fed = list(range(start - 1, end if cache == "dual" else len(canvas)))
    return canvas[len(prompt) :]
