"""Checkpoints with random weights in a family's own layout, at any size: for tests, benchmarks and first steps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from dllm.arguments import one_of, whole
from dllm.errors import ConfigError
from dllm.models.building import Network, build_network, contents_of
from dllm.models.checkpoint import INDEX, SINGLE
from dllm.models.families.config import ConfigReader
from dllm.models.families.family import AnyFamily
from dllm.models.families.table import family_of
from dllm.models.loading import DTYPES
from dllm.testing.configs import EXAMPLES


def make_checkpoint(
    example: str,
    folder: Path,
    *,
    small: bool = True,
    changes: Mapping[str, Any] | None = None,
    seed: int = 0,
    shard_bytes: int = 4 << 30,
    tokenizer: bool = True,
) -> Path:
    """Write config.json, weights, and a tokenizer of bytes into a folder, which is made if it is not there.

    Matrices are drawn so that the logits of a fresh network spread by about 2; norms and biases are not trivial either.
    The same seed gives the same weights. One shard is in memory at a time.

    Args:
        example: a key of `EXAMPLES`.
        small: the example's small size, else the published one.
        changes: keys of config.json and their values, on top of that.
        shard_bytes: most bytes a file; more than one file come with an index.
        tokenizer: write `tokenizer.json`, in which every byte is a token.

    Raises:
        ConfigError: no such example, or a folder that holds a checkpoint.
        ModelError: the changed config is not legal.
    """
    one_of("family", example, tuple(EXAMPLES))
    whole("shard_bytes", shard_bytes, 1)
    if (folder / "config.json").exists():
        raise ConfigError(f"out={str(folder)!r} holds a checkpoint already; name another folder")
    chosen = EXAMPLES[example]
    values = {**chosen.published, **(chosen.small if small else {}), **(changes or {})}
    config = ConfigReader(values, str(folder / "config.json"))
    family = family_of(config)
    with torch.device("meta"):
        network = build_network(family, config)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    dtype = DTYPES[values["torch_dtype"]]
    _write(folder, _tensors(network, family, config, dtype, torch.Generator().manual_seed(seed)), shard_bytes)
    if tokenizer:
        write_tokenizer(folder, family, values, network.vocab_size)
    return folder


def _tensors(
    network: Network, family: AnyFamily, config: ConfigReader, dtype: torch.dtype, generator: torch.Generator
) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the checkpoint, the parameters of one name stacked."""
    for name, held in contents_of(network, family, config).items():
        drawn = [_drawn(name, shape, generator) for _, shape in held]
        yield name, torch.cat(drawn).to(dtype)


def _drawn(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    noise: Tensor = torch.randn(shape, generator=generator)
    if len(shape) == 2:
        return noise.mul_(2 * shape[1] ** -0.5)
    return noise.mul_(0.1) if name.endswith("bias") else noise.mul_(0.1).add_(1)


def _write(folder: Path, tensors: Iterator[tuple[str, Tensor]], shard_bytes: int) -> None:
    """As many files as are needed, of a name that says how many there are."""
    shards: list[list[str]] = []
    held: dict[str, Tensor] = {}
    size = total = 0

    def flush() -> None:
        save_file(held, folder / f"part-{len(shards)}.safetensors")
        shards.append(list(held))
        held.clear()

    for name, tensor in tensors:
        if held and size + tensor.nbytes > shard_bytes:
            flush()
            size = 0
        held[name] = tensor
        size, total = size + tensor.nbytes, total + tensor.nbytes
    flush()
    if len(shards) == 1:
        (folder / "part-0.safetensors").rename(folder / SINGLE)
        return
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards):
        file = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        (folder / f"part-{number}.safetensors").rename(folder / file)
        weight_map |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def write_tokenizer(folder: Path, family: AnyFamily, values: Mapping[str, Any], columns: int) -> None:
    """Every byte is a token; then the mask, the end, and the ends of turns, at the config's ids where it has any.

    Raises:
        ConfigError: fewer columns than that takes.
    """
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {character: number for number, character in enumerate(sorted(alphabet))}
    special = {
        family.mask_tokens[0]: values.get("mask_token_id"),
        "<|endoftext|>": values.get("eos_token_id"),
        **dict.fromkeys(family.turn_end_tokens),
    }
    taken = set(vocabulary.values()) | {number for number in special.values() if number is not None}
    free = iter(number for number in range(columns) if number not in taken)
    for text, number in special.items():
        own = next(free, None) if number is None else number
        if own is None or own >= columns:
            raise ConfigError(f"vocab_size={columns} has no room for {text}; take more, or write no tokenizer")
        vocabulary[text] = own
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in special])
    made.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "mask_token": family.mask_tokens[0]}
    text = json.dumps({**named, "eos_token": "<|endoftext|>"}, indent=2)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
