"""Safetensors folders, read strictly: every tensor is used exactly once and every parameter is filled.

A checkpoint that loads partly produces text that looks almost right, so each way of loading partly is an error here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from dllm.errors import ModelError
from dllm.hub import LARGE, present, read_json, said, shown

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
STORED_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a checkpoint: its file, shape and safetensors dtype."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tensors of a folder, by name; only headers have been read."""

    folder: Path
    tensors: Mapping[str, StoredTensor]

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are stored in: the dtype of the first tensor."""
        kinds = (STORED_DTYPES[one.dtype] for name, one in self.tensors.items() if not _BUFFER.search(name))
        return next(kinds, torch.float32)

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(path.stat().st_size for path in {stored.file for stored in self.tensors.values()})

    def read(self, name: str) -> Tensor:
        """One tensor, on the CPU; a view of the mapped file, so copy it before keeping it."""
        with _open(self.tensors[name].file) as file:
            return _tensor(file, name, self.tensors[name].file)

    def read_all(self, names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """The tensors named, one at a time and file by file, so that one is in memory at once; views as in `read`."""
        by_file: dict[Path, list[str]] = {}
        for name in names:
            by_file.setdefault(self.tensors[name].file, []).append(name)
        for path, members in by_file.items():
            with _open(path) as file:
                for name in members:
                    yield name, _tensor(file, name, path)

    def expect_at_least(self, modules: int) -> None:
        """Check that there can be a tensor for each module of a network.

        Raises:
            ModelError: there are fewer.
        """
        if modules > len(self.tensors):
            raise ModelError(
                f"{self.folder}: the weights do not fit config.json. It asks for {modules} layers and experts, and "
                f"there are {len(self.tensors)} tensors{self._hint(self.tensors)}"
            )

    def expect(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Check that the checkpoint holds exactly the tensors of `shapes` (name -> shape).

        Rotary frequencies, which old checkpoints carry as buffers, may be there: they are computed from the config.

        Raises:
            ModelError: listing every tensor that is missing, unexpected or of another shape.
        """
        missing = [name for name in shapes if name not in self.tensors]
        unexpected = [name for name in self.tensors if name not in shapes and not _BUFFER.search(name)]
        wrong = [
            f"{name} is {list(self.tensors[name].shape)} in the file and {list(shape)} by the config"
            for name, shape in shapes.items()
            if name in self.tensors and self.tensors[name].shape != shape
        ]
        problems = [("missing", missing), ("unexpected", unexpected), ("wrong shape", wrong)]
        found = [f"{len(names)} {what}: {_list(names)}" for what, names in problems if names]
        if found:
            hint = self._hint(unexpected)
            raise ModelError(f"{self.folder}: the weights do not fit config.json. {'; '.join(found)}{hint}")

    @staticmethod
    def _hint(names: Iterable[str]) -> str:
        """What stacked tensors are."""
        return _MERGED if any(_STACKED.search(name) for name in names) else ""


_BUFFER = re.compile(r"(^|\.)rotary_emb\.inv_freq$")
_STACKED = re.compile(r"\.experts\.(?!\d)|\.(qkv|gate_up)_proj\.")
_MERGED = (
    ". Projections or experts are stacked, as training and serving frameworks merge them for themselves; load the "
    "original checkpoint, or have the framework convert it back"
)


def refuse_adapter(folder: Path) -> None:
    """Refuse a folder of a low-rank adapter: without its base it is no model, and beside weights it would be left out.

    Raises:
        ModelError: there is one.
    """
    if present(folder / ADAPTER):
        base = read_json(folder / ADAPTER).get("base_model_name_or_path")
        whose = f" of {base[:200]!r}" if isinstance(base, str) and base else ""
        raise ModelError(
            f"{folder}: {ADAPTER} makes this an adapter{whose} (LoRA, or one of its kin), and adapters are not loaded "
            "here; merge it into its base with peft (PeftModel.merge_and_unload, then save_pretrained), and load that"
        )


def open_checkpoint(folder: Path) -> Checkpoint:
    """Read the headers of `model.safetensors`, or of the shards its index names. Nothing outside the folder is opened.

    Raises:
        ModelError: there are none, only pickled weights are there, a file is broken, a shard is missing, index and
            shards disagree, a tensor is in two shards, or tensors are quantised.
    """
    if present(folder / SINGLE):
        return Checkpoint(folder, _header(folder / SINGLE))
    if present(folder / INDEX):
        return Checkpoint(folder, _sharded(folder))
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        raise ModelError(
            f"{folder}: only pickled weights (.bin) are here, and unpickling runs code; convert them to safetensors, "
            "e.g. with save_pretrained of transformers"
        )
    code = sorted(path.name for path in folder.glob("*.py"))
    also = f"; {', '.join(code[:3])} is code, which dllm never runs: download the *.safetensors too" if code else ""
    raise ModelError(f"{folder}: no weights; expected {SINGLE} or {INDEX}{also}")


def _sharded(folder: Path) -> dict[str, StoredTensor]:
    index = folder / INDEX
    weight_map = _weight_map(index)
    files = sorted(set(weight_map.values()))
    absent = [name for name in files if not present(folder / name)]
    if absent:
        raise ModelError(f"{index}: names {len(absent)} shards that are not there: {_list(absent)}; download them")
    tensors: dict[str, StoredTensor] = {}
    for name in files:
        header = _header(folder / name)
        twice = [tensor for tensor in header if tensor in tensors]
        if twice:
            raise ModelError(f"{folder / name}: {len(twice)} tensors are in another shard too: {_list(twice)}")
        tensors.update(header)
    misplaced = [
        f"{tensor} ({file})"
        for tensor, file in weight_map.items()
        if tensor not in tensors or tensors[tensor].file.name != Path(file).name
    ]
    if misplaced:
        raise ModelError(f"{index}: {len(misplaced)} tensors are not in the shard it names: {_list(misplaced)}")
    return tensors


def _weight_map(index: Path) -> dict[str, str]:
    """Tensor -> shard, each the plain name of a file beside the index."""
    weight_map = read_json(index, LARGE).get("weight_map")
    if not isinstance(weight_map, dict):
        raise ModelError(f"{index}: 'weight_map' is {shown(weight_map)}; it must be an object of tensors and files")
    for tensor, file in weight_map.items():
        if not isinstance(file, str) or _SHARD.fullmatch(file) is None:
            raise ModelError(
                f"{index}: puts {shown(tensor)} into {shown(file)}; a shard is a file *.safetensors of this folder, "
                "named without a path in at most 255 characters"
            )
    return weight_map


_SHARD = re.compile(r"(?!\.)[^/\\:\x00-\x1f\x7f-\x9f]{1,243}\.safetensors")


def _header(path: Path) -> dict[str, StoredTensor]:
    with _open(path) as file, _reading(path):
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        tensors = {name: StoredTensor(path, tuple(s.get_shape()), str(s.get_dtype())) for name, s in slices.items()}
    quantised = [f"{name} ({stored.dtype})" for name, stored in tensors.items() if stored.dtype not in STORED_DTYPES]
    if quantised:
        raise ModelError(
            f"{path}: {len(quantised)} tensors are not in {', '.join(STORED_DTYPES)}: {_list(quantised)}; "
            "quantised weights are not supported, use the original checkpoint"
        )
    return tensors


def _open(path: Path) -> Any:
    with _reading(path):
        return safe_open(path, framework="pt", device="cpu")


def _tensor(file: Any, name: str, path: Path) -> Tensor:
    with _reading(path):
        tensor: Tensor = file.get_tensor(name)
    return tensor


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What the library raises for a file that is not what it should be, of whatever type, as a `ModelError`."""
    try:
        yield
    except Exception as error:
        raise ModelError(f"{path}: truncated or corrupt ({said(error)}); download it again") from error


def _list(names: list[str]) -> str:
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name if len(name) <= 200 else f"{name[:200]}..." for name in names[:_SHOWN]) + more
