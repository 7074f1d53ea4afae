"""Reading a tokenizer folder: added tokens, named tokens, chat template, and the tokenizer itself.

Kept apart from `native.py` because loading a model needs the token names without building a tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from dllm.errors import ModelError
from dllm.hub import LARGE, present, read_json, read_json_if_present, read_text, shown
from dllm.tokenizer.chat import template_of
from dllm.tokenizer.panics import raised_as

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where Qwen2's and Dream's tokenizers cut a text before BPE: contractions, words, single digits, the rest."""

TEMPLATE_LENGTH = 1 << 20
"""Most characters of a chat template; published ones have some thousands."""
_NAMED = ("bos_token", "eos_token", "pad_token", "mask_token", "unk_token", "sep_token", "cls_token")
_FLAGS: tuple[str, ...] = ("lstrip", "rstrip", "single_word", "normalized")
_MOST_IDS = 1 << 31


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token recognised as a whole wherever it stands in a text.

    Attributes:
        id: its id.
        special: left out by `decode(skip_special=True)`.
        flags: the matching options `lstrip`, `rstrip`, `single_word`, `normalized`, as the files give them.
    """

    id: int
    special: bool
    flags: Mapping[str, bool]


def added_tokens(folder: Path) -> dict[str, AddedToken]:
    """Text -> added token, from `tokenizer.json`, `tokenizer_config.json` and `added_tokens.json`; {} without them.

    Raises:
        ModelError: a file is broken, or an entry is no token with an id.
    """
    named = set(named_tokens(folder).values()) | set(_additional(folder))
    tokens: dict[str, AddedToken] = {}
    for path, token_id, entry in _entries(folder):
        text = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(text, str) or type(token_id) is not int or not 0 <= token_id < _MOST_IDS:
            raise ModelError(
                f"{path}: the added tokens hold {shown(entry)} with the id {shown(token_id)}; a token has a text "
                f"('content') and an id from 0 to {_MOST_IDS - 1}"
            )
        switches = {key: entry[key] for key in (*_FLAGS, "special") if entry.get(key) is not None}
        if not all(isinstance(value, bool) for value in switches.values()):
            raise ModelError(f"{path}: the added token {shown(entry)} has a switch that is neither true nor false")
        special = switches.pop("special", text in named)
        tokens.setdefault(text, AddedToken(token_id, special, switches))
    return tokens


def _entries(folder: Path) -> Iterator[tuple[Path, Any, Any]]:
    """File, id and entry of each added token; neither is checked yet."""
    path = folder / "tokenizer.json"
    listed = read_json_if_present(path, LARGE).get("added_tokens")
    for entry in _typed(path, "added_tokens", listed, list, "a list"):
        yield path, entry.get("id") if isinstance(entry, dict) else None, entry
    path = folder / "tokenizer_config.json"
    decoder = read_json_if_present(path).get("added_tokens_decoder")
    for key, entry in _typed(path, "added_tokens_decoder", decoder, dict, "an object").items():
        known = key.isascii() and key.isdigit() and len(key) < 20
        yield path, int(key) if known else key, {"content": entry} if isinstance(entry, str) else entry
    path = folder / "added_tokens.json"
    for text, token_id in read_json_if_present(path).items():
        yield path, token_id, {"content": text}


def _typed(path: Path, key: str, value: Any, kind: type, name: str) -> Any:
    """The value of a key, empty where it is missing or null."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise ModelError(f"{path}: {key!r} is {shown(value)}; it must be {name}")
    return value


def named_tokens(folder: Path) -> dict[str, str]:
    """`bos_token`, `eos_token`, `mask_token`, ... -> text, as far as the folder names them.

    Raises:
        ModelError: a file is broken, or a name stands for something else than a token's text.
    """
    names: dict[str, str] = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        values = read_json_if_present(folder / file)
        names |= {name: text for name in _NAMED if (text := _content(folder / file, name, values.get(name)))}
    return names


def _additional(folder: Path) -> list[str]:
    """Texts of tokens that are special, whatever they are called."""
    key = "additional_special_tokens"
    texts: list[str | None] = []
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        listed = read_json_if_present(folder / file).get(key)
        texts += [_content(folder / file, key, entry) for entry in _typed(folder / file, key, listed, list, "a list")]
    return [text for text in texts if text]


def _content(path: Path, key: str, value: Any) -> str | None:
    """A token given as a string or as a serialised AddedToken; None for null."""
    text = value.get("content") if isinstance(value, dict) else value
    if text is None or isinstance(text, str):
        return text
    raise ModelError(f"{path}: {key!r} is {shown(value)}; a token is a text, or an object with its 'content'")


def chat_template(folder: Path) -> str | None:
    """The folder's Jinja chat template: `chat_template.jinja`, else the default one of `tokenizer_config.json`.

    Raises:
        ModelError: a file is broken, or holds no template where there should be one.
    """
    if present(folder / "chat_template.jinja"):
        return read_text(folder / "chat_template.jinja", TEMPLATE_LENGTH)
    path = folder / "tokenizer_config.json"
    found = template_of(read_json_if_present(path).get("chat_template"), f"{folder}: chat_template in {path.name}")
    if found is not None and len(found) > TEMPLATE_LENGTH:
        raise ModelError(
            f"{folder}: chat_template in {path.name} is longer than the {TEMPLATE_LENGTH:,} characters it may have"
        )
    return found


def has_tokenizer(folder: Path) -> bool:
    """Whether `build_core` can do something with the folder."""
    return present(folder / "tokenizer.json") or _slow_files(folder)


def _slow_files(folder: Path) -> bool:
    return present(folder / "vocab.json") and present(folder / "merges.txt")


def build_core(folder: Path) -> tokenizers.Tokenizer:
    """The folder's tokenizer: `tokenizer.json`, else byte-level BPE from `vocab.json` and `merges.txt`.

    Raises:
        ModelError: there is neither, a file is broken, or an added token cannot get the id the files give it.
    """
    added = added_tokens(folder)
    if not has_tokenizer(folder):
        raise ModelError(f"{folder}: no tokenizer; expected tokenizer.json, or vocab.json with merges.txt")
    with raised_as(ModelError, f"{folder}: the tokenizer files cannot be read"):
        if present(folder / "tokenizer.json"):
            core = tokenizers.Tokenizer.from_str(read_text(folder / "tokenizer.json", LARGE))
        else:
            core = _byte_level_bpe(folder, {text: token.id for text, token in added.items()})
        _add(core, added, folder)
        core.no_truncation()
        core.no_padding()
    return core


def _byte_level_bpe(folder: Path, added: Mapping[str, int]) -> tokenizers.Tokenizer:
    """What Qwen2's slow tokenizer and Dream's do: NFC, single digits, byte-level BPE."""
    merges = [
        (left, right)
        for number, line in enumerate(read_text(folder / "merges.txt", LARGE).split("\n"))
        if line and not (number == 0 and line.startswith("#version"))
        for left, right in [line.split(" ")]
    ]
    # Added tokens go into the vocabulary too: added afterwards, they could not keep ids that leave holes.
    core = tokenizers.Tokenizer(models.BPE({**read_json(folder / "vocab.json", LARGE), **added}, merges))
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    return core


def _add(core: tokenizers.Tokenizer, added: Mapping[str, AddedToken], folder: Path) -> None:
    """Make `core` recognise the tokens it does not yet, in the order of their ids."""
    known = {token.content for token in core.get_added_tokens_decoder().values()}
    for text, token in sorted(added.items(), key=lambda item: item[1].id):
        if text not in known:
            core.add_tokens([tokenizers.AddedToken(text, special=token.special, **token.flags)])
        if core.token_to_id(text) != token.id:
            raise ModelError(
                f"{folder}: the files give {text!r} the id {token.id}, the tokenizer {core.token_to_id(text)}; "
                "tokenizer.json and the other tokenizer files are of different versions"
            )
