"""Which ids are the mask and the ends of an answer, and who says so.

Checkpoints scatter this: some configs name the mask, some only the tokenizer does, some neither. Each answer is kept
with its source, for `dllm doctor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dllm.errors import ConfigError, ModelError
from dllm.hub import read_json_if_present, shown
from dllm.models.families.config import ConfigReader
from dllm.models.families.family import AnyFamily
from dllm.tokenizer.files import added_tokens, named_tokens


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """Resolved ids.

    Attributes:
        mask: id of the mask token, or None where nothing says.
        eos: ids that end an answer, most authoritative first, without repeats.
        sources: "mask_token_id" and "eos_token_ids" -> where each came from.
    """

    mask: int | None
    eos: tuple[int, ...]
    sources: dict[str, str]


def resolve_ids(
    folder: Path, config: ConfigReader, family: AnyFamily, columns: int, given_mask: int | None
) -> SpecialIds:
    """Find mask and end ids below `columns`.

    Raises:
        ConfigError: the mask id given is outside the vocabulary.
        ModelError: the checkpoint's own files name an id outside the vocabulary.
    """
    added = {name: token.id for name, token in added_tokens(folder).items() if token.id < columns}
    mask, mask_source = _mask(folder, config, family, columns, added, given_mask)
    ends: dict[int, str] = {}
    generation = folder / "generation_config.json"
    for file, values in (("config.json", config.values), (generation.name, read_json_if_present(generation))):
        for token in _id_list(values.get("eos_token_id"), f"{folder / file}: 'eos_token_id'", columns):
            ends.setdefault(token, file)
    for name in family.turn_end_tokens:
        if name in added:
            ends.setdefault(added[name], f"{name} of the tokenizer")
    if not ends and family.eos_token_id < columns:
        ends[family.eos_token_id] = f"published for {family.name}"
    end_sources = "; ".join(f"{token}: {source}" for token, source in ends.items()) or "none found"
    return SpecialIds(mask, tuple(ends), {"mask_token_id": mask_source, "eos_token_ids": end_sources})


def _mask(
    folder: Path, config: ConfigReader, family: AnyFamily, columns: int, added: Mapping[str, int], given: int | None
) -> tuple[int | None, str]:
    """The mask id and where it comes from: the first of argument, config, tokenizer, publication that says."""
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < columns:
            raise ConfigError(f"mask_token_id={given!r:.60} must be an integer in 0..{columns - 1}")
        return given, "argument"
    configured = _id_list(config.optional("mask_token_id"), f"{config.source}: 'mask_token_id'", columns)
    if len(configured) > 1:
        raise ModelError(f"{config.source}: 'mask_token_id' is {shown(configured)}; it must be one id")
    if configured:
        return configured[0], "config.json"
    named = named_tokens(folder).get("mask_token")
    for name in (*([named] if named else []), *family.mask_tokens):
        if name in added:
            return added[name], f"{name} of the tokenizer"
    if family.mask_token_id < columns:
        return family.mask_token_id, f"published for {family.name}"
    return None, "none found"


def _id_list(value: Any, what: str, columns: int) -> list[int]:
    """An id, a list of ids or null, as a list."""
    ids = [] if value is None else value if isinstance(value, list) else [value]
    for token in ids:
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < columns:
            raise ModelError(f"{what} holds {shown(token)}; legal ids are 0..{columns - 1}")
    return ids
