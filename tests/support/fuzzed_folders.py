"""Folders of checkpoints with one or more files changed the way an attacker, a broken tool or a cut download would.

Every change is drawn from a `random.Random`, so that hypothesis can shrink it (`st.randoms`) and a seed repeats it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from dllm import LLM, DllmError, SamplingParams, load_model
from dllm.models import checkpoint
from dllm.testing.checkpoints import make_checkpoint
from dllm.tokenizer import tokenizer_of

TEXT = "Mary 12 é <|endoftext|>"
SECONDS = 20.0
"""Of CPU time that no folder may take; a whole one takes a tenth of a second."""
SETTINGS = {
    "generation_config.json": {"eos_token_id": [257, 258], "bos_token_id": None, "temperature": 0.7},
    "special_tokens_map.json": {
        "mask_token": {"content": "<|mask|>", "lstrip": False},
        "eos_token": "<|endoftext|>",
        "additional_special_tokens": ["<|im_end|>", {"content": "<|im_start|>"}],
    },
    "tokenizer_config.json": {
        "added_tokens_decoder": {"300": {"content": "<|mask|>", "special": True}, "301": {"content": "<|im_end|>"}},
        "chat_template": [{"name": "default", "template": "{{ messages[0]['content'] }}"}],
        "model_max_length": 4096,
        "eos_token": "<|endoftext|>",
    },
    "added_tokens.json": {"<|mask|>": 300, "<|im_end|>": 301, "<|endoftext|>": 302},
}


# --- whole folders ----------------------------------------------------------------------------------------------------


def whole_folders(examples: tuple[str, ...], home: Path) -> list[Path]:
    """Of each example a folder in one file with `tokenizer.json`, and one in shards with `vocab.json` and settings."""
    folders = []
    for name in examples:
        single = make_checkpoint(name, home / f"{name}-single", changes=_one_layer(name))
        write_json(single / "generation_config.json", SETTINGS["generation_config.json"])
        write_json(single / "special_tokens_map.json", {"mask_token": None, "eos_token": {"content": "<|endoftext|>"}})
        sharded = make_checkpoint(name, home / f"{name}-sharded", changes=_one_layer(name), shard_bytes=60_000)
        vocabulary = json.loads((sharded / "tokenizer.json").read_text())["model"]["vocab"]
        (sharded / "tokenizer.json").unlink()
        bytes_alone = {text: number for text, number in vocabulary.items() if number < 256}
        write_json(sharded / "vocab.json", {**bytes_alone, "ab": 299})
        (sharded / "merges.txt").write_text("#version: 0.2\na b\n", encoding="utf-8")
        (sharded / "chat_template.jinja").write_text("{{ messages[0]['content'] }}", encoding="utf-8")
        for file, value in SETTINGS.items():
            write_json(sharded / file, value)
        folders += [single, sharded]
    return folders


def _one_layer(name: str) -> dict[str, Any]:
    if name == "llada":
        return {"n_layers": 1}
    return {"num_hidden_layers": 1, **({"moe_layer_freq": [1]} if name == "llada-moe" else {})}


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


# --- hostile values ---------------------------------------------------------------------------------------------------

RAW = {
    "deep list": "[" * 100_000 + "]" * 100_000,
    "deep object": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "unclosed": "[" * 100_000,
    "half a character": '"\\ud800"',
    "5,000 digits": "9" * 5_000,
    "400 digits": "9" * 400,
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "1e999": "1e999",
    "1e-999": "1e-999",
    "nothing": "",
    "a comment": "1 // of",
}
"""JSON, or nearly, that `json.dumps` does not write."""
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 64, 1 << 20, (1 << 24) + 1, 1 << 31, (1 << 63) - 1, 1 << 64, 1 << 70),
    *(0.0, 0.5, -1.5, 1.0, 1e-300, 1e300, 64.0, "", "64", "x", "x" * 5_000, "\x1b[2J", "\x00", "é\u202e", "../x", "/"),
    *("../outside.safetensors", "/etc/passwd", "model.safetensors", "config.json", "float32", "int4", "silu", "gelu"),
    *([], {}, [[]], [None], {"a": {}}, [1, [2, [3]]], [0] * 3_000, {"": ""}, {"content": 5}, {"content": "<|mask|>"}),
    *({"rope_type": "yarn", "factor": 4.0}, {"rope_theta": 1e4, "rope_type": "default"}, {"id": 3, "content": "x"}),
)
KEYS = (
    *("expert_capacity", "logit_softcapping", "attention_multiplier", "sliding_window", "rope_scaling", "head_dim"),
    *("rope_parameters", "quantization_config", "layer_types", "num_experts", "block_size", "torch_dtype", "dtype"),
    *("mask_token_id", "eos_token_id", "n_kv_heads", "mlp_only_layers", "is_decoder", "pruned_heads", "chat_template"),
    *("added_tokens_decoder", "additional_special_tokens", "weight_map", "__metadata__", "", "\x1b[2J", "x" * 300),
)
_MARK = "\ue000{}\ue001"


def _nodes(tree: Any) -> list[tuple[Any, Any]]:
    """Container and key of every value of a tree, the outermost of each kind first; none of the thousandth entries."""
    found, level = [], [tree]
    while level and len(found) < 4_000:
        inner = []
        for node in level:
            keys = list(node) if isinstance(node, dict) else range(len(node))
            found += [(node, key) for key in list(keys)[:200]]
            inner += [node[key] for key in list(keys)[:200] if isinstance(node[key], dict | list)]
        level = inner
    return found


def mutate_tree(rng: random.Random, tree: Any) -> str:
    """Change a JSON tree in place; says what was done."""
    nodes = _nodes(tree)
    if not nodes or rng.random() < 0.1:
        if isinstance(tree, dict):
            key = rng.choice(KEYS)
            tree[key] = _hostile(rng)
            return f"new key {key!r:.40}"
        return "nothing"
    node, key = rng.choice(nodes)
    what = rng.randrange(8)
    if what < 4:
        node[key] = _hostile(rng)
        return f"{key!r:.60} = {node[key]!r:.60}"
    if what == 4:
        del node[key]
        return f"without {key!r:.60}"
    if what == 5:
        other, there = rng.choice(nodes)
        node[key] = json.loads(json.dumps(other[there])) if not isinstance(other[there], str) else other[there]
        return f"{key!r:.60} = what {there!r:.60} is"
    if what == 6 and isinstance(node, dict):
        node[rng.choice([f"{key}x", str(key)[:-1], f" {key}", rng.choice(KEYS)])] = node.pop(key)
        return f"renamed {key!r:.60}"
    if isinstance(node, dict):
        node[_MARK.format(f"twice:{key}")] = _hostile(rng)
        return f"{key!r:.60} twice"
    node[key] = [node[key]]
    return f"{key!r:.60} in a list"


def _hostile(rng: random.Random) -> Any:
    return _MARK.format(rng.choice(list(RAW))) if rng.random() < 0.2 else rng.choice(VALUES)


def written(tree: Any) -> bytes:
    """A tree as JSON, with what `json.dumps` does not write in the place of its marks."""
    text = json.dumps(tree, ensure_ascii=False)
    for name, raw in RAW.items():
        text = text.replace(f'"{_MARK.format(name)}"', raw)
    while "\ue000twice:" in text:
        before, _, after = text.partition("\ue000twice:")
        text = before + after.replace("\ue001", "", 1)
    return text.encode("utf-8", "surrogatepass")


# --- changes of a file ------------------------------------------------------------------------------------------------


def _tree_of(path: Path, rng: random.Random) -> str:
    tree = json.loads(path.read_bytes())
    done = [mutate_tree(rng, tree) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    path.write_bytes(written(tree))
    return "; ".join(done)


def _header_of(path: Path, rng: random.Random) -> str:
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    tree = json.loads(data[8 : 8 + size])
    done = mutate_tree(rng, tree)
    header = written(tree)
    length = rng.choice((len(header), len(header), len(header), 0, 1 << 40, (1 << 64) - 1))
    path.write_bytes(struct.pack("<Q", length) + header + data[8 + size :])
    return f"header: {done}, said to have {length} bytes"


def _bytes_of(path: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 3, 20))):
        if data:
            data[rng.randrange(min(len(data), 4_000))] = rng.randrange(256)
    path.write_bytes(bytes(data))
    return "bytes flipped"


def _cut(path: Path, rng: random.Random) -> str:
    data = path.read_bytes()
    kept = rng.choice((0, 1, 7, 8, 9, len(data) // 2, max(0, len(data) - 1)))
    path.write_bytes(data[:kept])
    return f"cut to {kept} bytes"


def _framed(path: Path, rng: random.Random) -> str:
    marks = ((b"\xef\xbb\xbf", b""), (b"\xff\xfe", b""), (b"", b"}"), (b"", b"\x00" * 64), (b"\xff", b""))
    before, after = rng.choice(marks)
    path.write_bytes(before + path.read_bytes() + after)
    return f"{before!r} before and {after[:4]!r} after"


def _replaced(path: Path, rng: random.Random) -> str:
    texts = (b"", b"null", b"[]", b"{}", b"3", b'"x"', b"[" * 100_000, b"\x80\x81", b" " * 1_000_000, b"\n\n")
    path.write_bytes(rng.choice(texts))
    return "other content"


def _moved(path: Path, rng: random.Random) -> str:
    """No file, but something else of its name; what is outside is whole, so that opening it would work."""
    outside = path.parent.parent / "outside" / path.name
    outside.parent.mkdir(exist_ok=True)
    what = rng.randrange(6)
    if what < 3:
        shutil.copy(path, outside)
    path.unlink()
    if what < 3:
        target = (outside, Path("..") / "outside" / path.name, Path("..", "outside", "..", "outside") / path.name)[what]
        path.symlink_to(target)
        return f"a link to {target}"
    if what == 3:
        path.mkdir()
        return "a folder"
    if what == 4:
        path.symlink_to(path.name)
        return "a link to itself"
    return "gone"


def _shards(path: Path, rng: random.Random) -> str:
    """The index names a file outside, which is whole."""
    index = path.parent / "model.safetensors.index.json"
    if not index.exists():
        return "nothing"
    tree = json.loads(index.read_bytes())
    file = rng.choice(sorted(set(tree["weight_map"].values())))
    outside = path.parent.parent / "outside"
    outside.mkdir(exist_ok=True)
    shutil.copy(path.parent / file, outside / file)
    names = (f"../outside/{file}", f"{outside}/{file}", f"./{file}", f"x/../{file}", file * 300, f"\x00{file}")
    name = rng.choice(names)
    tree["weight_map"] = {key: name if value == file else value for key, value in tree["weight_map"].items()}
    index.write_bytes(written(tree))
    return f"the index names {name:.80}"


CHANGES: dict[str, Callable[[Path, random.Random], str]] = {
    "tree": _tree_of,
    "header": _header_of,
    "bytes": _bytes_of,
    "cut": _cut,
    "framed": _framed,
    "replaced": _replaced,
    "moved": _moved,
    "shards": _shards,
}


def broken_folder(rng: random.Random, source: Path, target: Path) -> list[str]:
    """A copy of a whole folder with one file changed, at times two; says how."""
    target.mkdir(parents=True)
    for path in source.iterdir():
        shutil.copy(path, target / path.name)
    files = sorted(path.name for path in source.iterdir())
    done = []
    for _ in range(rng.choice((1, 1, 1, 2))):
        path = target / rng.choice([*files, *["config.json"] * 4])
        kinds = [kind for kind in CHANGES if kind not in ("tree", "header")]
        kinds += ["tree"] * 12 if path.suffix == ".json" else ["header"] * 12 if path.suffix == ".safetensors" else []
        kind = rng.choice(kinds)
        try:
            done.append(f"{path.name}: {CHANGES[kind](path, rng)}")
        except (ValueError, OSError, AttributeError, TypeError, RecursionError, struct.error):
            done.append(f"{path.name}: too broken for {kind}")
    return done


# --- what is checked --------------------------------------------------------------------------------------------------


@contextmanager
def opened(seen: list[str]):
    """Notes the real path of every file that is opened, in Python or by safetensors."""
    kept = checkpoint.safe_open
    _LISTENING.append(seen)
    checkpoint.safe_open = lambda path, **options: seen.append(os.path.realpath(path)) or safe_open(path, **options)
    try:
        yield
    finally:
        checkpoint.safe_open = kept
        _LISTENING.remove(seen)


_LISTENING: list[list[str]] = []


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _LISTENING and isinstance(arguments[0], str | bytes):
        _LISTENING[-1].append(os.path.realpath(os.fsdecode(arguments[0])))


sys.addaudithook(_heard)


def check(folder: Path) -> str:
    """Load model and tokenizer, and if there are both, generate; what came of it.

    Raises:
        AssertionError: something else than a `DllmError`, a file opened outside the folder, or too much time.
    """
    seen: list[str] = []
    began = time.process_time()
    with opened(seen):
        ends = [_end(lambda: _model(folder)), _end(lambda: _tokenizer(folder))]
        if set(ends) == {"loaded"}:
            ends.append(_end(lambda: _generates(folder)))
    spent = time.process_time() - began
    assert spent < SECONDS, f"{spent:.1f} s of CPU time"
    outside = os.path.realpath(folder.parent / "outside")
    strangers = [path for path in seen if path.startswith((outside, "/etc/passwd"))]
    assert not strangers, f"opened {strangers[0]}"
    return ", ".join(ends)


def _end(action: Callable[[], Any]) -> str:
    try:
        action()
    except DllmError as error:
        message = str(error)
        assert "\n" not in message or len(message) < 4_000, "a message of many lines"
        assert len(message) < 4_000, f"a message of {len(message)} characters"
        return type(error).__name__
    return "loaded"


def _model(folder: Path) -> None:
    model = load_model(folder, device="cpu", dtype="float32")
    assert model.logits(torch.tensor([[0, 1, 2]])).shape == (1, 3, model.vocab_size)


def _generates(folder: Path) -> None:
    LLM(folder, device="cpu", dtype="float32").generate("ab", SamplingParams(max_new_tokens=2))


def _tokenizer(folder: Path) -> None:
    tokenizer = tokenizer_of(folder, None)
    if tokenizer is not None:
        tokenizer.decode(tokenizer.encode(TEXT))
        for token in (0, 300, 5_000):
            tokenizer.token_bytes(token)
        assert tokenizer.decodable(512).shape == (512,)
