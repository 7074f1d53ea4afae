"""`load_model`: a folder or Hub id becomes a ready `Backbone`, without running any code of the checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from accelerate.big_modeling import dispatch_model, init_empty_weights
from accelerate.utils.modeling import infer_auto_device_map, set_module_tensor_to_device

from dllm.errors import ConfigError, ModelError
from dllm.folder import read_json, resolve_folder
from dllm.models.backbone import Backbone
from dllm.models.checkpoint import Checkpoint, open_checkpoint
from dllm.models.family import Family, Settings
from dllm.models.ids import resolve_ids
from dllm.models.registry import family_of

__all__ = ["load_model", "resolve_folder"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Device = int | str | torch.device


def load_model(
    model: str | os.PathLike[str],
    *,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
    device_map: str | Mapping[str, Device] | None = None,
    revision: str | None = None,
    mask_token_id: int | None = None,
) -> Backbone:
    """Load a checkpoint into the native modules.

    Tensors are read one at a time, so memory peaks at the weights plus one tensor. Loading is strict: a tensor that is
    missing, left over, stored twice or of another shape is an error.

    Args:
        model: `"tiny"`, a folder, or a Hub id.
        dtype: "auto" (the config's, else the stored one; float16 becomes float32 on a CPU), "float32", "bfloat16",
            "float16", or the torch dtype.
        device: "auto" (CUDA where there is one, else the CPU), or a torch device. Not with `device_map`.
        device_map: "auto", or module name -> device as accelerate takes it; blocks are never split.
        revision: branch, tag or commit of a Hub id.
        mask_token_id: overrides what the files say.

    Raises:
        ConfigError: an argument is not legal.
        ModelError: the folder or its files cannot serve as a model.
    """
    folder = resolve_folder(model, revision)
    settings = Settings(read_json(folder / "config.json"), str(folder / "config.json"))
    settings.only_if_present("quantization_config", None)
    family = family_of(settings)
    with init_empty_weights():
        network = Backbone(family.spec(settings), family, max_length=settings.integer(family.length_key))
    network.tie_weights()  # moving parameters to the meta device one by one has untied them
    network.folder = folder
    ids = resolve_ids(folder, settings, family, network.vocab_size, mask_token_id)
    network.mask_token_id, network.eos_token_ids, network.id_sources = ids.mask, ids.eos, ids.sources

    target = _device(device, device_map)
    checkpoint = open_checkpoint(folder)
    names = _expected(network, checkpoint, family, settings)
    kind = _dtype(dtype, settings, checkpoint, target)
    placement = _placement(network, device_map, target, kind)
    _fill(network, checkpoint, names, placement, kind)
    if device_map is not None:
        dispatch_model(network, dict(placement))
    else:
        network.pack()
    return network.requires_grad_(False).eval()


def _expected(network: Backbone, checkpoint: Checkpoint, family: Family, settings: Settings) -> dict[str, str]:
    """Tensor name -> parameter name, for exactly the tensors of the checkpoint that are needed."""
    # A tied head is the same parameter as the embedding and appears here once, as the embedding.
    parameters = {family.tensor_name(name, settings): (name, tuple(p.shape)) for name, p in network.named_parameters()}
    shapes = {name: shape for name, (_, shape) in parameters.items()}
    head, embedding = (family.tensor_name(name, settings) for name in ("head.weight", "embed.weight"))
    if network.spec.tied_head and head in checkpoint.tensors and embedding in checkpoint.tensors:
        if not torch.equal(checkpoint.read(head), checkpoint.read(embedding)):
            raise ModelError(
                f"{checkpoint.folder}: config.json ties the head to the embedding, but {head} differs from "
                f"{embedding}; untie it in config.json if the stored head is meant"
            )
        shapes[head] = shapes[embedding]
    checkpoint.expect(shapes)
    return {name: parameter for name, (parameter, _) in parameters.items()}


def _fill(
    network: Backbone,
    checkpoint: Checkpoint,
    names: Mapping[str, str],
    placement: Mapping[str, Device],
    dtype: torch.dtype,
) -> None:
    for name, tensor in checkpoint.read_all(names):
        # Copied: the tensor is a view of the file, which would have to stay unchanged, and may lie unaligned in it.
        value = tensor.to(dtype, copy=True)
        set_module_tensor_to_device(network, names[name], _place(names[name], placement), value=value, dtype=dtype)
    network.tie_weights()


def _place(parameter: str, placement: Mapping[str, Device]) -> Device:
    """The device of the longest prefix of a parameter's name that the map places; "" places everything."""
    prefix = parameter
    while prefix and prefix not in placement:
        prefix = prefix.rpartition(".")[0]
    if prefix not in placement:
        raise ConfigError(f"device_map places nothing that holds {parameter!r}; add it, its module, or '' for the rest")
    return placement[prefix]


def _placement(
    network: Backbone, device_map: str | Mapping[str, Device] | None, target: torch.device, dtype: torch.dtype
) -> Mapping[str, Device]:
    if device_map is None:
        return {"": target}
    if device_map == "auto":
        placement: Mapping[str, Device] = infer_auto_device_map(network, no_split_module_classes=["Block"], dtype=dtype)
    elif isinstance(device_map, Mapping):
        placement = device_map
    else:
        raise ConfigError(f"device_map={device_map!r} must be 'auto', None, or a mapping of module names to devices")
    for module, device in placement.items():
        if device == "disk":
            raise ConfigError(f"device_map puts {module!r} on disk, which is not supported; use 'cpu' or a small dtype")
        _available(f"cuda:{device}" if isinstance(device, int) else device)
        if module and module not in dict(network.named_modules()) and module not in dict(network.named_parameters()):
            legal = ", ".join(name for name, _ in network.named_children())
            raise ConfigError(f"device_map names {module!r}; legal are '', {legal} and parts of them, as 'blocks.0'")
    return placement


def _device(device: str | torch.device, device_map: object) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device_map is not None:
        raise ConfigError(f"device={str(device)!r} and device_map were both given; choose one")
    return _available(device)


def _available(device: str | torch.device) -> torch.device:
    """A device that can hold weights here (meta tensors hold none)."""
    try:
        found = torch.empty(0, device=torch.device(device)).device
    except (RuntimeError, TypeError, AssertionError, NotImplementedError):
        found = torch.device("meta")
    if found.type == "meta":
        legal = "'auto', 'cpu', and as far as present 'cuda', 'cuda:N', 'mps'"
        raise ConfigError(f"device={device!r} is not available here; legal: {legal}")
    return found


def _dtype(dtype: str | torch.dtype, settings: Settings, checkpoint: Checkpoint, target: torch.device) -> torch.dtype:
    legal = f"'auto', {', '.join(repr(name) for name in DTYPES)}, or the torch dtype"
    if dtype == "auto":
        return _auto_dtype(settings, checkpoint, target)
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found is None or found not in DTYPES.values():
        raise ConfigError(f"dtype={dtype!r} is not supported; legal: {legal}")
    return found


def _auto_dtype(settings: Settings, checkpoint: Checkpoint, target: torch.device) -> torch.dtype:
    named: Any = settings.values.get("torch_dtype") or settings.values.get("dtype")
    if named is None:
        found = checkpoint.dtype
    elif named in DTYPES:
        found = DTYPES[named]
    else:
        raise ModelError(f"{settings.source}: 'torch_dtype' is {named!r}; give load_model a dtype: {', '.join(DTYPES)}")
    # On a CPU half precision is slow and overflows (bfloat16 keeps the range); nothing here needs double precision.
    half_on_cpu = found == torch.float16 and target.type == "cpu"
    return torch.float32 if half_on_cpu or found == torch.float64 else found
