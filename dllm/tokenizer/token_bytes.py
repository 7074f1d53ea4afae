"""The exact bytes behind a token's spelling in the vocabulary.

A token may be a part of a character, so its text is undefined and only its bytes are exact. Vocabularies spell bytes
in one of two ways: byte-level BPE gives each byte a printable character, SentencePiece marks spaces with U+2581 and
spells odd bytes `<0xNN>`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import tokenizers

Spelling = Callable[[str], bytes]
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\u2581"


@cache
def byte_alphabet() -> dict[str, int]:
    """Character -> byte of byte-level BPE: printable Latin-1 stands for itself, other bytes for U+0100 and up."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def byte_level(spelling: str) -> bytes:
    """Bytes of a byte-level token; one that leaves the alphabet stands for its own text."""
    alphabet = byte_alphabet()
    if all(character in alphabet for character in spelling):
        return bytes(alphabet[character] for character in spelling)
    return spelling.encode("utf-8")


def sentencepiece(spelling: str) -> bytes:
    """Bytes of a SentencePiece token. The space a decoder strips from the start of a text is kept here."""
    match = _BYTE.fullmatch(spelling)
    return bytes([int(match[1], 16)]) if match else spelling.replace(_SPACE, " ").encode("utf-8")


def spelling_of(core: tokenizers.Tokenizer) -> Spelling | None:
    """How `core` spells bytes, judged by its decoder; None for other vocabularies (WordPiece, words)."""
    kinds = set(_decoder_kinds(core.decoder))
    if "ByteLevel" in kinds:
        return byte_level
    if kinds & {"ByteFallback", "Metaspace"}:
        return sentencepiece
    return None


def _decoder_kinds(decoder: Any) -> list[str]:
    if decoder is None:
        return []
    state = json.loads(decoder.__getstate__())
    return [part["type"] for part in [state, *state.get("decoders", [])]]
