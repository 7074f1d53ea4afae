"""`load_model`: a folder or Hub id becomes a ready `Backbone`, without running any code of the checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from accelerate.big_modeling import dispatch_model, init_empty_weights
from accelerate.utils.modeling import infer_auto_device_map, set_module_tensor_to_device

from dllm.arguments import one_of, whole
from dllm.errors import ConfigError, ModelError
from dllm.hub import read_json, resolve_folder, shown
from dllm.models.borrowed import Borrowed
from dllm.models.building import Contents, Network, build_network, contents_of
from dllm.models.checkpoint import Checkpoint, open_checkpoint, refuse_adapter
from dllm.models.families.config import ConfigReader
from dllm.models.families.family import AnyFamily, Family
from dllm.models.families.table import family_of
from dllm.models.ids import resolve_ids
from dllm.models.network.native import Backbone
from dllm.models.network.packed import Fused, Linear, can_pack
from dllm.progress import progress_bar

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
QUANTIZE = ("int8", "int4")
Device = int | str | torch.device
LARGE = 1 << 30
"""Bytes of a checkpoint from which on loading shows a bar on a terminal."""


def load_model(
    model: str | os.PathLike[str],
    *,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
    device_map: str | Mapping[str, Device] | None = None,
    revision: str | None = None,
    mask_token_id: int | None = None,
    block_length: int | None = None,
    quantize: str | None = None,
) -> Network:
    """Load a checkpoint into the native modules, or into transformers' own where the family says so.

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
        block_length: likewise, the block that attention of a block-causal family goes by.
        quantize: "int8" or "int4": the blocks' weights, each as it is read; see `dllm.models.network.quantized`. Not
            with `device_map`. None: as they are.

    Raises:
        ConfigError: an argument is not legal.
        ModelError: the folder or its files cannot serve as a model.
    """
    if quantize is not None:
        one_of("quantize", quantize, QUANTIZE)
        if device_map is not None:
            raise ConfigError(
                f"quantize={quantize!r} and device_map were both given; quantized weights go to one device"
            )
    folder = resolve_folder(model, revision)
    refuse_adapter(folder)
    config = ConfigReader(read_json(folder / "config.json"), str(folder / "config.json"))
    config.refuse_quantized()
    family = family_of(config)
    block, block_source = _block(family, config, block_length)
    checkpoint = open_checkpoint(folder)
    network, contents = _built(family, config, block, checkpoint)
    network.folder = folder
    ids = resolve_ids(folder, config, family, network.vocab_size, mask_token_id)
    network.mask_token_id, network.eos_token_ids = ids.mask, ids.eos
    scheduler, scheduler_source = family.scheduler_of(config)
    network.usual = replace(network.usual, scheduler=scheduler)
    network.id_sources = {**ids.sources, "attention": block_source, "scheduler": scheduler_source}

    quantizer = _quantizer(network, quantize)
    target = _device(device, device_map)
    kind = _dtype(dtype, config, checkpoint, target)
    placement = _placement(network, device_map, target, kind)
    packing = device_map is None and target.type == "cpu"
    _fill(network, checkpoint, contents, placement, kind, packing=packing, quantizer=quantizer)
    if device_map is not None:
        dispatch_model(network, dict(placement))
    else:
        network.pack()  # what is left: on a CPU, a tied head
    return network.requires_grad_(False).eval()


def _built(
    family: AnyFamily, config: ConfigReader, block: int | None, checkpoint: Checkpoint
) -> tuple[Network, Contents]:
    """The network without weights, and what the tensors hold: it fits before anything of its size is allocated."""
    with torch.device("meta"):
        network = build_network(family, config, block, checkpoint)
    contents = _expected(network, checkpoint, family, config)
    if isinstance(network, Borrowed):
        # buffers are computed where a network is built, and on the meta device nothing is
        with init_empty_weights():
            network = build_network(family, config, block)
        network.tie_weights()  # moving parameters to the meta device one by one has untied them
    return network, contents


def _quantizer(network: Network, method: str | None) -> Callable[[str], None] | None:
    """What is done to a parameter, by its name, once it is there. torchao's absence is an error now, not later."""
    if method is None:
        return None
    if not isinstance(network, Backbone):
        raise ConfigError(f"quantize={method!r}: {network.family.name} is not a native family; leave quantize out")
    from dllm.models.network.quantized import quantize_parameter

    network.quantized = method
    return lambda name: quantize_parameter(network, name, method)


def _block(family: AnyFamily, config: ConfigReader, given: int | None) -> tuple[int | None, str]:
    """The block that attention goes by, None where it is full, and who says so."""
    blocks = family.blocks if isinstance(family, Family) else None
    if blocks is None:
        if given is not None:
            raise ConfigError(f"block_length={given!r}: attention of {family.name} is full; leave block_length out")
        return None, f"published for {family.name}"
    if given is None:
        return blocks.read(config)
    return whole("block_length", given, 1), "argument"


def _expected(network: Network, checkpoint: Checkpoint, family: AnyFamily, config: ConfigReader) -> Contents:
    """What exactly the tensors of the checkpoint that are needed hold."""
    contents = contents_of(network, family, config)
    shapes = {tensor: (sum(rows for _, (rows, *_) in held), *held[0][1][1:]) for tensor, held in contents.items()}
    if network.tied is not None:
        head, embedding = (family.tensor_name(name, config) for name in network.tied)
        if head in checkpoint.tensors and embedding in checkpoint.tensors:
            _check_tied(checkpoint, head, embedding)
            shapes[head] = shapes[embedding]
    checkpoint.expect(shapes)
    return contents


def _check_tied(checkpoint: Checkpoint, head: str, embedding: str) -> None:
    """A head that is stored although it is tied must be the embedding."""
    if not torch.equal(checkpoint.read(head), checkpoint.read(embedding)):
        raise ModelError(
            f"{checkpoint.folder}: config.json ties the head to the embedding, but {head} differs from "
            f"{embedding}; untie it in config.json if the stored head is meant"
        )


def _fill(
    network: Network,
    checkpoint: Checkpoint,
    contents: Contents,
    placement: Mapping[str, Device],
    dtype: torch.dtype,
    *,
    packing: bool,
    quantizer: Callable[[str], None] | None,
) -> None:
    """Read every tensor; quantize it; with `packing`, pack the weights of a product as soon as they are there."""
    owners, missing = _products(network) if packing else ({}, {})
    wanted = None if checkpoint.bytes >= LARGE else False
    with progress_bar(len(contents), wanted, "loading") as done:
        for tensor, stored in checkpoint.read_all(contents):
            pieces = torch.split(stored, [rows for _, (rows, *_) in contents[tensor]])
            for (name, _), piece in zip(contents[tensor], pieces, strict=True):
                kind = torch.float32 if network.keeps_float32(name) else dtype
                owner = owners.get(name)
                if owner is None or name.endswith("bias") or quantizer is not None or not can_pack(piece, kind):
                    # The tensor is a view of the file, which would have to stay unchanged, and may lie unaligned.
                    piece = piece.to(kind, copy=True)
                set_module_tensor_to_device(network, name, _place(name, placement), value=piece, dtype=piece.dtype)
                if quantizer is not None:
                    quantizer(name)
                if owner is not None:
                    missing[owner].remove(name)
                    if not missing[owner]:
                        owner.pack(kind)
            done()
    for name, buffer in list(network.named_buffers()):
        set_module_tensor_to_device(network, name, _place(name, placement), value=buffer)
    network.tie_weights()


def _products(network: Network) -> tuple[dict[str, Fused], dict[Fused, set[str]]]:
    """Parameter -> the product it is part of, and product -> its parameters."""
    owners: dict[str, Fused] = {}
    members: dict[Fused, set[str]] = {}
    for path, module in network.named_modules():
        if isinstance(module, Linear) and module.fused is not None:
            for leaf, _ in module.named_parameters(recurse=False):
                owners[f"{path}.{leaf}"] = module.fused
                members.setdefault(module.fused, set()).add(f"{path}.{leaf}")
    return owners, members


def _place(parameter: str, placement: Mapping[str, Device]) -> Device:
    """The device of the longest prefix of a parameter's name that the map places; "" places everything."""
    prefix = parameter
    while prefix and prefix not in placement:
        prefix = prefix.rpartition(".")[0]
    if prefix not in placement:
        raise ConfigError(f"device_map places nothing that holds {parameter!r}; add it, its module, or '' for the rest")
    return placement[prefix]


def _placement(
    network: Network, device_map: str | Mapping[str, Device] | None, target: torch.device, dtype: torch.dtype
) -> Mapping[str, Device]:
    if device_map is None:
        return {"": target}
    if isinstance(device_map, str) and device_map == "auto":
        placement: Mapping[str, Device] = infer_auto_device_map(
            network, no_split_module_classes=list(network.no_split), dtype=dtype
        )
    elif isinstance(device_map, Mapping):
        placement = device_map
    else:
        raise ConfigError(
            f"device_map={device_map!r:.100} must be 'auto', None, or a mapping of module names to devices"
        )
    for module, device in placement.items():
        if device == "disk":
            raise ConfigError(f"device_map puts {module!r} on disk, which is not supported; use 'cpu' or a small dtype")
        _available(f"cuda:{device}" if isinstance(device, int) else device)
        if module and module not in dict(network.named_modules()) and module not in dict(network.named_parameters()):
            legal = ", ".join(name for name, _ in network.named_children())
            raise ConfigError(f"device_map names {module!r}; legal are '', {legal} and parts of them, as 'blocks.0'")
    return placement


def _device(device: str | torch.device, device_map: object) -> torch.device:
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device_map is not None:
        raise ConfigError(f"device={str(device)!r} and device_map were both given; choose one")
    return _available(device)


def _available(device: str | torch.device) -> torch.device:
    """A device that can hold weights here (meta tensors hold none)."""
    try:
        found = torch.empty(0, device=torch.device(device)).device
    except (RuntimeError, TypeError, ValueError, AssertionError, NotImplementedError):
        found = torch.device("meta")
    if found.type == "meta":
        legal = "'auto', 'cpu', and as far as present 'cuda', 'cuda:N', 'mps'"
        raise ConfigError(f"device={device!r:.100} is not available here; legal: {legal}")
    return found


def _dtype(dtype: str | torch.dtype, config: ConfigReader, checkpoint: Checkpoint, target: torch.device) -> torch.dtype:
    legal = f"'auto', {', '.join(repr(name) for name in DTYPES)}, or the torch dtype"
    if isinstance(dtype, str) and dtype == "auto":
        return _auto_dtype(config, checkpoint, target)
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or found not in DTYPES.values():
        raise ConfigError(f"dtype={dtype!r:.100} is not supported; legal: {legal}")
    return found


def _auto_dtype(config: ConfigReader, checkpoint: Checkpoint, target: torch.device) -> torch.dtype:
    key = "dtype" if config.optional("torch_dtype") is None else "torch_dtype"
    named: Any = config.optional(key)
    if named is None:
        found = checkpoint.dtype
    elif isinstance(named, str) and named in DTYPES:
        found = DTYPES[named]
    else:
        raise ModelError(f"{config.source}: {key!r} is {shown(named)}; give load_model a dtype: {', '.join(DTYPES)}")
    # On a CPU half precision is slow and overflows (bfloat16 keeps the range); nothing here needs double precision.
    half_on_cpu = found == torch.float16 and target.type == "cpu"
    return torch.float32 if half_on_cpu or found == torch.float64 else found
