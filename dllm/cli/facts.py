"""What `dllm doctor` finds out. Every function returns plain JSON values and survives a broken installation."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

from dllm.errors import ModelError

if TYPE_CHECKING:
    from dllm.models.building import Network
    from dllm.tokenizer import Tokenizer

PACKAGES = (
    *("torch", "transformers", "tokenizers", "safetensors", "accelerate", "huggingface_hub", "numpy"),
    *("lark", "numba", "typer", "rich"),
)

Facts = dict[str, Any]


def versions() -> dict[str, str]:
    """Package -> version, or "missing"; nothing is imported."""
    found = {"dllm": _version("dllm"), "python": platform.python_version()}
    return found | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    if package == "dllm":
        from dllm import __version__

        return __version__
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def machine() -> Facts:
    """Devices torch can use, and its CPU threads."""
    try:
        import torch
    except ImportError as error:
        return {"error": f"torch cannot be imported: {error}"}
    devices = [
        {"device": "cpu", "name": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    ]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        gib = round(properties.total_memory / 2**30, 1)
        devices.append({"device": f"cuda:{index}", "name": properties.name, "memory_gib": gib})
    if torch.backends.mps.is_available():
        devices.append({"device": "mps", "name": "Apple GPU"})
    return {"devices": devices}


def model(name: str, dtype: str, device: str, quantize: str | None = None) -> Facts:
    """Whether a model loads, and what it turned out to be; an illegal option is the caller's mistake."""
    try:
        from dllm.hub import resolve_folder
        from dllm.models.loading import load_model
        from dllm.tokenizer import tokenizer_of

        folder = resolve_folder(name)
        network = load_model(folder, dtype=dtype, device=device, quantize=quantize)
        tokenizer = tokenizer_of(folder, network.family.chat_template)
    except (ModelError, ImportError) as error:
        return {"model": name, "loads": False, "error": " ".join(str(error).split())}
    return {"model": name, "loads": True, "folder": str(folder)} | _network(network) | _text(tokenizer, network)


def _network(network: Network) -> Facts:
    from dllm.cache import resolve_cache
    from dllm.models.adapters import as_denoiser

    return {
        "family": network.family.name,
        "second_hand": network.family.second_hand,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "dtype": str(network.dtype).removeprefix("torch."),
        **({} if network.quantized is None else {"quantized": network.quantized}),
        "device": str(network.device),
        "vocab_size": network.vocab_size,
        "max_length": network.max_length,
        "attention": "full" if network.block_rule is None else f"blocks of {network.block_rule.length}",
        "row_predicts": "the next position" if network.lookback else "its own position",
        "mask_token_id": network.mask_token_id,
        "eos_token_ids": list(network.eos_token_ids),
        "block_length": network.usual.block_length,
        "scheduler": network.usual.scheduler,
        "cache": str(resolve_cache(None, as_denoiser(network))),
        "capabilities": sorted(network.capabilities),
        "id_sources": dict(network.id_sources),
    }


def _text(tokenizer: Tokenizer | None, network: Network) -> Facts:
    if tokenizer is None:
        return {"tokenizer": None, "chat_template": None}
    template = tokenizer.chat_template
    whose = "ours, for there is none in the folder" if template == network.family.chat_template else "the folder's"
    return {"tokenizer": f"{tokenizer.vocab_size} ids", "chat_template": None if template is None else whose}
