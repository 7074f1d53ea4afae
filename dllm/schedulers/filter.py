"""The filter of Learn2PD: a small network that says which positions of a block are as they will end up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from dllm.errors import ConfigError, quoted
from dllm.hub import said

TENSORS = ("hidden.weight", "hidden.bias", "out.weight", "out.bias")
SHIPPED = Path(__file__).parent / "filters"


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """Linear, ReLU, Linear, all of block width b: 2 (b^2 + b) parameters.

    Attributes:
        weights: by `NAMES`, float32 on the CPU.
        about: what its JSON file tells: the model it was trained for, how, and how good it is.
    """

    weights: dict[str, Tensor]
    about: dict[str, Any]

    @property
    def width(self) -> int:
        """Positions the network reads at once, b."""
        return len(self.weights["out.bias"])

    def scores(self, confidence: Tensor) -> Tensor:
        """`[n]` float32 in (0, 1), the probability that each position is final.

        Args:
            confidence: `[n]`, of all positions of a block in order, committed ones included. A block of another
                length than b is read in chunks of b, the last one padded with 1.0, as if committed.
        """
        b = self.width
        padded = torch.ones(-(-len(confidence) // b) * b)
        padded[: len(confidence)] = confidence.float()
        return self.logits(padded.view(-1, b)).sigmoid().flatten()[: len(confidence)]

    def logits(self, blocks: Tensor) -> Tensor:
        """`[k, b]` confidences of whole blocks -> `[k, b]`."""
        hidden = torch.relu(F.linear(blocks, self.weights["hidden.weight"], self.weights["hidden.bias"]))
        return F.linear(hidden, self.weights["out.weight"], self.weights["out.bias"])

    def save(self, path: Path) -> None:
        """Write `path` (.safetensors) and a JSON file of the same name."""
        save_file({name: self.weights[name].contiguous() for name in TENSORS}, path)
        path.with_suffix(".json").write_text(json.dumps(self.about, indent=2) + "\n")


def load_filter(path: Path) -> Filter:
    """Read what `Filter.save` wrote. Raises ConfigError that names the file and what is wrong with it."""
    try:
        weights = load_file(path)
        about = json.loads(path.with_suffix(".json").read_text())
    except Exception as error:  # safetensors raises its own kind
        raise ConfigError(
            f"learn2pd: filter={quoted(str(path))} cannot be read: {said(error)}; train one with `dllm train-filter`"
        ) from error
    shapes = {name: list(value.shape) for name, value in weights.items()}
    b = shapes.get("out.bias", [0])[0]
    expected = {"hidden.weight": [b, b], "hidden.bias": [b], "out.weight": [b, b], "out.bias": [b]}
    if b < 1 or shapes != expected:
        raise ConfigError(f"learn2pd: filter={str(path)!r} holds {shapes}; expected {expected}")
    return Filter({name: value.float() for name, value in weights.items()}, about)


def shipped_filter(folder: Path | None) -> Path | None:
    """The filter that comes with dllm for the model in `folder`, or None."""
    from dllm.hub import TINY, resolve_folder

    if folder is not None and folder.resolve() == resolve_folder(TINY).resolve():
        return SHIPPED / "tiny.safetensors"
    return None
