"""The byte-level BPE of ``tiny``: trained on the tasks, every byte in the vocabulary, so any text round-trips.

The split keeps capitalised words free of a leading space (one id for a name in every context), digits single, and
runs of punctuation together, so that tokens cross the terminals of JSON: ``", "`` and ``": `` are one token each.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from dllm.eval.tiny import json_records, tasks, words
from dllm.eval.tiny.names import FREQUENT

START, END, MASK = "<|startoftext|>", "<|endoftext|>", "<|mdm_mask|>"
HEADER, HEADER_END, TURN_END = "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"
SPECIAL = (START, END, MASK, HEADER, HEADER_END, TURN_END)
VOCABULARY = 1664
SPLIT = r" ?[a-z]+|[A-Z][a-z]*|[0-9]|[^A-Za-z0-9]+?(?= [a-z])|[^A-Za-z0-9]+"
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first %}{{ '<|startoftext|>' }}{% endif %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def chat_prompt(content: str) -> str:
    """What the chat template makes of one user message, with the generation prompt."""
    user = f"{START}{HEADER}user{HEADER_END}\n\n{content.strip()}{TURN_END}"
    return f"{user}{HEADER}assistant{HEADER_END}\n\n"


def _corpus(rng: random.Random, items: int) -> Iterator[str]:
    # Names and nouns are repeated because the number of merges is small and each of them must become one token.
    for name in FREQUENT:
        yield "\n".join([name] * 200)
    for noun in words.NOUNS:
        yield " ".join(f'"{noun}" {noun}' for _ in range(300))
    for shape in json_records.SHAPES.values():
        for key in shape:
            yield " ".join(f'"{key}" {key} {key.capitalize()}' for _ in range(40))
    for _ in range(items):
        example = tasks.sample_any(rng)
        if example.parts:
            yield from example.parts
        else:
            yield from (chat_prompt(example.prompt), example.prompt + "\n", example.answer)


def train_tokenizer(seed: int = 0, items: int = 20_000, vocabulary: int = VOCABULARY) -> Tokenizer:
    """Train the BPE on ``items`` sampled items of the task mix."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        max_token_length=24,
    )
    tokenizer.train_from_iterator(_corpus(random.Random(seed), items), trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write ``tokenizer.json`` and a ``tokenizer_config.json`` that transformers' AutoTokenizer loads."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": START,
        "eos_token": END,
        "pad_token": END,
        "mask_token": MASK,
        "additional_special_tokens": [HEADER, HEADER_END, TURN_END],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
