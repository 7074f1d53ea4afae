"""Golden checkpoints, and broken or rearranged copies of them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

GOLDEN = Path(__file__).parents[1] / "golden"
LLADA, TIED, DREAM = GOLDEN / "llada", GOLDEN / "llada_gqa_bias_tied", GOLDEN / "dream"
IDS = torch.arange(20)[None]
HEAD, EMBEDDING = "model.transformer.ff_out.weight", "model.transformer.wte.weight"
NORM = "model.transformer.ln_f.weight"


def copy(source: Path, target: Path, tensors: dict | None = None, drop: tuple[str, ...] = (), **config) -> Path:
    """A checkpoint like `source` with other tensors or other config keys."""
    target.mkdir(parents=True, exist_ok=True)
    save_file(load_file(source / "model.safetensors") if tensors is None else tensors, target / "model.safetensors")
    values = {**json.loads((source / "config.json").read_text()), **config}
    (target / "config.json").write_text(json.dumps({k: v for k, v in values.items() if k not in drop}))
    return target


def shard(source: Path, target: Path, count: int = 3) -> Path:
    """The same checkpoint in `count` files with an index."""
    copy(source, target)
    (target / "model.safetensors").unlink()
    tensors = load_file(source / "model.safetensors")
    weight_map = {name: f"model-{i % count + 1:05}-of-{count:05}.safetensors" for i, name in enumerate(sorted(tensors))}
    for file in set(weight_map.values()):
        save_file({name: t for name, t in tensors.items() if weight_map[name] == file}, target / file)
    (target / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return target
