"""A small byte-level BPE like Dream's, trained on the spot, and texts that exercise it."""

from __future__ import annotations

import json

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from dllm.tokenizer.files import QWEN2_SPLIT

SPECIAL = {"<|endoftext|>": 600, "<|im_start|>": 601, "<|im_end|>": 602, "<|mask|>": 605}  # 603 and 604 are holes
CORPUS = ["the quick brown fox isn't here", "déjà vu, naïve café", "in 1984 12 34", "int main() { return 0; }\n\n"] * 50
TEXTS = [
    "",
    "hello, the quick brown fox isn't here",
    "I'M They'LL don't",
    "cafe\u0301 and caf\u00e9",  # decomposed and composed: NFC makes them one
    "year 1984, 3.14159, \u0661\u0662",
    "漢字かな交じり文。",
    "smile 🙂 family 👨‍👩‍👧 flag 🇩🇪",
    "  two  spaces\ttab\r\n\r\nlines\n   x ",
    "int main() {\n    return 0;\n}\n",
    "<|im_start|>user\nhi<|im_end|>\n<|mask|><|mask|> <|endoftext|>",
    "<|not special|>",
]


def train() -> tokenizers.Tokenizer:
    """A small byte-level BPE with Qwen2's pre-tokenizer, trained here; 600 ids, then special tokens with holes."""
    trained = tokenizers.Tokenizer(models.BPE())
    trained.normalizer = normalizers.NFC()
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    state = json.loads(trained.to_str())
    state["model"]["vocab"].update(SPECIAL)
    state["added_tokens"] = [
        {"id": i, "content": text, "special": True, "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": False}
        for text, i in SPECIAL.items()
    ]
    return tokenizers.Tokenizer.from_str(json.dumps(state))
