"""The small torch module that is trained, and its export to LLaDA's checkpoint layout.

Attention is written out (sequences are short). Input and output embeddings are one matrix E ~ N(0, 1/d) and the
input is multiplied by sqrt(d): with the usual 0.02 initialisation a model of this size learns nothing for minutes.
The export unties them: ``wte = sqrt(d) E``, ``ff_out = E``, so the loader needs no special case.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

Rope = tuple[Tensor, Tensor]  # cosines and sines, [L, head_dim] or broadcastable


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyShape:
    """Sizes of the network."""

    vocabulary: int
    width: int = 128
    layers: int = 4
    heads: int = 4
    hidden: int = 384
    theta: float = 10_000.0
    eps: float = 1e-5
    length: int = 512


def _matrix(out: int, into: int, scale: float = 1.0) -> nn.Parameter:
    return nn.Parameter(torch.randn(out, into) * (scale / math.sqrt(into)))


class TinyLayer(nn.Module):
    """One pre-norm layer: attention, then SwiGLU. Parameter names are those of LLaDA."""

    def __init__(self, shape: TinyShape) -> None:
        super().__init__()
        d, f = shape.width, shape.hidden
        self.heads, self.eps = shape.heads, shape.eps
        depth = 1 / math.sqrt(2 * shape.layers)
        self.attn_norm = nn.Parameter(torch.ones(d))
        self.ff_norm = nn.Parameter(torch.ones(d))
        self.q_proj, self.k_proj, self.v_proj = _matrix(d, d), _matrix(d, d), _matrix(d, d)
        self.attn_out = _matrix(d, d, depth)
        self.ff_proj, self.up_proj = _matrix(f, d), _matrix(f, d)
        self.ff_out = _matrix(d, f, depth)

    def forward(self, x: Tensor, rope: Rope, bias: Tensor | None, at: Tensor | None = None) -> Tensor:
        """x: [B, L, d]; bias: [B, 1, 1, L] added to the scores, or None; at: [B, M] positions to compute, or all."""
        b, length, d = x.shape
        size = d // self.heads
        h = F.rms_norm(x, (d,), self.attn_norm, self.eps)
        keys = F.linear(h, torch.cat([self.k_proj, self.v_proj])).view(b, length, 2, self.heads, size)
        k, v = keys.permute(2, 0, 3, 1, 4)
        own = rope
        if at is not None:
            index = at[..., None].expand(-1, -1, d)
            x, h = x.gather(1, index), h.gather(1, index)
            own = (rope[0][at][:, None], rope[1][at][:, None])
        q = F.linear(h, self.q_proj * size**-0.5).view(b, -1, self.heads, size).transpose(1, 2)
        scores = _rotate(q, own) @ _rotate(k, rope).transpose(-1, -2)
        if bias is not None:
            scores = scores + bias
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape)
        x = x + F.linear(mixed, self.attn_out)
        h = F.rms_norm(x, (d,), self.ff_norm, self.eps)
        gate, up = F.linear(h, torch.cat([self.ff_proj, self.up_proj])).chunk(2, -1)
        return x + F.linear(F.silu(gate) * up, self.ff_out)


def _rotate(x: Tensor, rope: Rope) -> Tensor:
    half = x.shape[-1] // 2
    return x * rope[0] + torch.cat([-x[..., half:], x[..., :half]], -1) * rope[1]


class TinyModel(nn.Module):
    """Bidirectional transformer over ids; ``forward`` gives logits at chosen positions only."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: TinyShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = _matrix(shape.vocabulary, shape.width)
        self.head = self.embedding
        self.blocks = nn.ModuleList(TinyLayer(shape) for _ in range(shape.layers))
        self.ln_f = nn.Parameter(torch.ones(shape.width))
        self.input_scale = math.sqrt(shape.width)
        size = shape.width // shape.heads
        angle = torch.outer(torch.arange(shape.length), shape.theta ** (-torch.arange(0, size, 2) / size))
        self.register_buffer("cos", torch.cat([angle.cos()] * 2, -1), persistent=False)
        self.register_buffer("sin", torch.cat([angle.sin()] * 2, -1), persistent=False)

    def forward(self, ids: Tensor, valid: Tensor | None = None, at: Tensor | None = None) -> Tensor:
        """Logits of row i predict position i.

        Args:
            ids: [B, L] int64.
            valid: [B, L] bool, False at padding; None when there is none.
            at: [B, L] bool; the result is then [at.sum(), V] instead of [B, L, V].
        """
        rope = (self.cos[: ids.shape[1]], self.sin[: ids.shape[1]])
        bias = None
        if valid is not None:
            bias = torch.zeros(valid.shape, device=ids.device).masked_fill_(~valid, -1e9)[:, None, None, :]
        x = F.embedding(ids, self.embedding) * self.input_scale
        for block in self.blocks[:-1]:
            x = block(x, rope, bias)
        if at is None:
            x = self.blocks[-1](x, rope, bias)
        else:
            # The last layer is needed at the chosen positions only (a row's spare slots compute unwanted ones).
            count = at.sum(1)
            slots = int(count.max())
            where = (~at).to(torch.uint8).argsort(dim=1, stable=True)[:, :slots]
            x = self.blocks[-1](x, rope, bias, where)
            x = x[torch.arange(slots, device=ids.device) < count[:, None]]
        return F.linear(F.rms_norm(x, (self.shape.width,), self.ln_f, self.shape.eps), self.head)


_NORMS = ("attn_norm", "ff_norm")
_MATRICES = ("q_proj", "k_proj", "v_proj", "attn_out", "ff_proj", "up_proj", "ff_out")


def config(shape: TinyShape, mask: int, end: int) -> dict[str, object]:
    """LLaDA's config.json with every key of the family present."""
    off = (
        "alibi attention_layer_norm bias_for_layer_norm flash_attention include_bias include_qkv_bias input_emb_norm "
        "scale_logits use_cache weight_tying"
    )
    values: dict[str, object] = {
        "architectures": ["LLaDAModelLM"],
        "model_type": "llada",
        "activation_type": "silu",
        "alibi_bias_max": 8.0,
        "attention_dropout": 0.0,
        "attention_layer_norm_with_affine": True,
        "block_group_size": 1,
        "block_type": "llama",
        "d_model": shape.width,
        "embedding_dropout": 0.0,
        "embedding_size": shape.vocabulary,
        "eos_token_id": end,
        "init_cutoff_factor": None,
        "init_device": "meta",
        "init_fn": "mitchell",
        "init_std": 0.02,
        "layer_norm_type": "rms",
        "layer_norm_with_affine": True,
        "mask_token_id": mask,
        "max_sequence_length": shape.length,
        "mlp_hidden_size": shape.hidden,
        "mlp_ratio": 4,
        "multi_query_attention": None,
        "n_heads": shape.heads,
        "n_kv_heads": shape.heads,
        "n_layers": shape.layers,
        "pad_token_id": end,
        "precision": "fp32",
        "residual_dropout": 0.0,
        "rms_norm_eps": shape.eps,
        "rope": True,
        "rope_full_precision": True,
        "rope_theta": shape.theta,
        "torch_dtype": "float32",
        "transformers_version": "4.57.0",
        "vocab_size": shape.vocabulary,
    }
    return dict(sorted((values | dict.fromkeys(off.split(), False)).items()))


def export(model: TinyModel, folder: Path, mask: int, end: int) -> None:
    """Write ``config.json`` and ``model.safetensors`` (bfloat16) in LLaDA's layout."""
    prefix = "model.transformer."
    tensors = {
        prefix + "wte.weight": model.embedding * model.input_scale,
        prefix + "ff_out.weight": model.head,
        prefix + "ln_f.weight": model.ln_f,
    }
    for i, block in enumerate(model.blocks):
        for name in _NORMS + _MATRICES:
            tensors[f"{prefix}blocks.{i}.{name}.weight"] = getattr(block, name)
    rounded = {name: value.detach().cpu().to(torch.bfloat16).contiguous().clone() for name, value in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(rounded, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config(model.shape, mask, end), indent=2) + "\n")


def load_trained(folder: Path, tied: bool = False) -> TinyModel:
    """The exported checkpoint as a module in float32: for evaluation, or ``tied`` (one matrix again) for training."""
    values = json.loads((folder / "config.json").read_text())
    shape = TinyShape(
        vocabulary=values["vocab_size"],
        width=values["d_model"],
        layers=values["n_layers"],
        heads=values["n_heads"],
        hidden=values["mlp_hidden_size"],
    )
    model = TinyModel(shape)
    tensors = load_file(folder / "model.safetensors")
    prefix = "model.transformer."

    def weight(name: str) -> nn.Parameter:
        return nn.Parameter(tensors[f"{prefix}{name}.weight"].float())

    model.head, model.ln_f = weight("ff_out"), weight("ln_f")
    model.embedding = model.head
    if not tied:
        model.embedding, model.input_scale = weight("wte"), 1.0
    for i, block in enumerate(model.blocks):
        for name in _NORMS + _MATRICES:
            setattr(block, name, weight(f"blocks.{i}.{name}"))
    return model.train(tied)
