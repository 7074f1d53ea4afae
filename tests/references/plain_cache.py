"""Cache modes written out: one row, all K/V in dictionaries, exactly the positions recomputed that a rule names."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.references.plain_dream import PlainDream
from tests.support.checkpoints import GOLDEN

_TOP = {"wte": "model.embed_tokens", "ln_f": "model.norm", "ff_out": "lm_head"}
_LAYER = {
    **{"attn_norm": "input_layernorm", "ff_norm": "post_attention_layernorm", "attn_out": "self_attn.o_proj"},
    **{f"{name}_proj": f"self_attn.{name}_proj" for name in "qkv"},
    **{"ff_proj": "mlp.gate_proj", "up_proj": "mlp.up_proj", "ff_out": "mlp.down_proj"},
}


def plain(name: str) -> tuple[PlainDream, int]:
    """A golden checkpoint in plain tensors, and how far left of a position its prediction stands."""
    weights = load_file(GOLDEN / name / "model.safetensors")
    config = json.loads((GOLDEN / name / "config.json").read_text())
    if config["model_type"] != "llada":
        return PlainDream(weights, config), 1
    config |= {"num_attention_heads": config["n_heads"], "num_key_value_heads": config["n_kv_heads"]}
    config |= {"num_hidden_layers": config["n_layers"], "hidden_size": config["d_model"]}
    return PlainDream({_renamed(name): tensor for name, tensor in weights.items()}, config), 0


def _renamed(name: str) -> str:
    parts = name.split(".")[2:-1]
    return (f"model.layers.{parts[1]}.{_LAYER[parts[2]]}" if len(parts) == 3 else _TOP[parts[0]]) + ".weight"


@dataclass
class Lane:
    """K/V of one canvas, `{position: (k, v)}` a layer, and the last layer's values at its last refresh."""

    store: list[dict]
    reference: dict = field(default_factory=dict)


@dataclass
class Now:
    """What a rule may look at before a forward; `before` is the canvas at the last forward."""

    canvas: list[int]
    before: list[int]
    mask: int
    lookback: int
    prompt: int
    start: int
    end: int
    block_step: int
    lane: Lane
    sure: float = 1.0  # the least probability of what the last step committed

    @property
    def length(self) -> int:
        return len(self.canvas)

    def everything(self) -> range:
        return range(self.length)

    def near(self, left: int, right: int) -> range:
        return range(max(0, self.start - max(left, self.lookback)), min(self.end + right, self.length))


Rule = Callable[[Now], tuple[list[int], int]]
"""-> positions to recompute, ascending, and how many positions are seen."""


def none(now: Now) -> tuple[list[int], int]:
    return list(now.everything()), now.length


def prefix(now: Now) -> tuple[list[int], int]:
    return list(now.near(0, now.length) if now.block_step else now.everything()), now.length


def dual(now: Now) -> tuple[list[int], int]:
    return list(now.near(0, 0) if now.block_step else now.everything()), now.length


def window(left: int, right: int, every: int) -> Rule:
    def rule(now: Now) -> tuple[list[int], int]:
        return list(now.near(left, right) if now.block_step % every else now.everything()), now.length

    return rule


def suffix(keep: int, every: int = 10**6) -> Rule:
    def rule(now: Now) -> tuple[list[int], int]:
        text = [p + 1 for p, token in enumerate(now.canvas) if token != now.mask]
        seen = min(now.length, max([now.end + keep, *text]))
        return list(now.near(0, 0) if now.block_step % every else range(seen)), seen

    return rule


def delayed(every: int) -> Rule:
    def rule(now: Now) -> tuple[list[int], int]:
        if now.block_step % every == 0:
            return list(now.everything()), now.length
        masks = {p for p in now.everything() if now.canvas[p] == now.mask}
        fresh = {p for p in now.everything() if now.before[p] == now.mask} - masks
        return sorted(masks | fresh | {p - now.lookback for p in masks if p}), now.length

    return rule


def drift(tau: float) -> Rule:
    def rule(now: Now) -> tuple[list[int], int]:
        if now.block_step == 0 or _similarity(now) < tau:
            return list(now.everything()), now.length
        return list(now.near(0, 0)), now.length

    return rule


def _similarity(now: Now) -> float:
    masks = [p for p in range(now.start, now.end) if now.before[p] == now.mask]
    last = now.lane.store[-1]
    each = [
        torch.cosine_similarity(last[p][1].flatten(), now.lane.reference[p][1].flatten(), dim=0).item() for p in masks
    ]
    return sum(each) / len(each)


def entropy(tau: float) -> Rule:
    def rule(now: Now) -> tuple[list[int], int]:
        return list(now.everything() if now.block_step == 0 or 1 - now.sure > tau else now.near(0, 0)), now.length

    return rule


def keep_prompt(inner: Rule) -> Rule:
    """The same, but nothing left of what predicts the first answer token is computed twice."""

    def rule(now: Now) -> tuple[list[int], int]:
        fed, seen = inner(now)
        first = not now.lane.store[0]
        return [p for p in fed if first or p >= now.prompt - now.lookback], seen

    return rule


def simulate(
    name: str, canvas: list[int], prompt: int, block: int, rule: Rule, k: int, cfg: float = 0.0
) -> tuple[list[int], list[tuple[list[int], Tensor]], int]:
    """The `k` most confident masks of the live block at every step.

    Returns:
        the last canvas; for every forward the masks of the block and their logits; how many positions were computed.
    """
    model, lookback = plain(name)
    mask, layers = model.config["mask_token_id"], model.config["num_hidden_layers"]
    given = [token != mask for token in canvas]
    lanes = [Lane([{} for _ in range(layers)]) for _ in range(2 if cfg else 1)]
    canvas, before, start, end, block_step, computed, seen_logits, sure = list(canvas), [], 0, 0, 0, 0, [], 1.0
    while mask in canvas:
        if mask not in canvas[start:end]:
            start, block_step = canvas.index(mask), 0
            end = min(start + block, len(canvas))
        now = Now(canvas, before, mask, lookback, prompt, start, end, block_step, lanes[0], sure)
        fed, seen = rule(now)
        refreshes = fed[-1] == seen - 1 and set(fed) >= set(range(prompt, seen))
        hidden = [mask if known else token for known, token in zip(given, canvas, strict=True)]
        found = [
            model.run(ids[:seen], fed, lane.store)
            for ids, lane in zip((canvas, hidden)[: len(lanes)], lanes, strict=True)
        ]
        if refreshes:
            lanes[0].reference = dict(lanes[0].store[-1])
        logits = found[1] + (cfg + 1) * (found[0] - found[1]) if cfg else found[0]
        masks = [p for p in range(start, end) if canvas[p] == mask]
        logits = torch.stack([logits[fed.index(max(0, p - lookback))] for p in masks])
        seen_logits.append((masks, logits))
        before = list(canvas)
        best = _best(masks, logits, mask, k)
        for position, token in best:
            canvas[position] = token
        p = torch.softmax(logits.double(), -1)
        sure = min(float(p[masks.index(position), token]) for position, token in best)
        computed += len(fed)
        block_step += 1
    return canvas, seen_logits, computed


def _best(masks: list[int], logits: Tensor, mask: int, k: int) -> list[tuple[int, int]]:
    p = torch.softmax(logits.double(), -1)
    p[:, mask] = -1
    order = sorted(range(len(masks)), key=lambda i: (-float(p[i].max()), masks[i]))
    return [(masks[i], int(p[i].argmax())) for i in order[:k]]
