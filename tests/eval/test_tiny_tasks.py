"""The task generators of the embedded model, their checkers, the split, the tokenizer and the training batches."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

import dllm
from dllm.eval.tiny import code, latin, lists, tasks, words
from dllm.eval.tiny import json_records as records
from dllm.eval.tiny.example import Example, held_out
from dllm.eval.tiny.names import FREQUENT
from tools.train_tiny import data, evaluate
from tools.train_tiny import tokenizer as bpe
from tools.train_tiny.model import TinyModel, TinyShape, export, load_trained
from tools.train_tiny.train import rate

FOLDER = Path(dllm.__file__).parent / "models" / "tiny"
FREE = ("shuffle", "replace_random", "latin", "words", "python", "cpp")


@pytest.fixture(scope="module")
def encoder() -> data.Encoder:
    return data.Encoder(Tokenizer.from_file(str(FOLDER / "tokenizer.json")))


def items(task: str, count: int = 40, seed: int = 0) -> list[Example]:
    rng = random.Random(seed)
    return [tasks.sample(task, rng) for _ in range(count)]


@pytest.mark.parametrize("task", tasks.TASKS)
def test_reference_answers_pass(task: str) -> None:
    for example in items(task):
        assert tasks.is_right(example, example.answer), example
        assert not example.parts or "".join(example.parts) == example.answer


@pytest.mark.parametrize("task", [task for task in tasks.TASKS if not task.startswith("fill_")])
def test_corrupted_answers_fail(task: str) -> None:
    for example in items(task):
        assert not tasks.is_right(example, "")
        assert not tasks.is_right(example, example.answer + "x")
        assert not tasks.is_right(example, example.answer[1:])
        assert not tasks.is_right(example, example.answer[:-1])
        if task not in FREE:
            assert not tasks.is_right(example, example.answer.swapcase())


@pytest.mark.parametrize("task", ["fill_answer", "fill_json", "fill_record", "fill_code"])
def test_corrupted_documents_fail(task: str) -> None:
    for example in items(task):
        assert not tasks.is_right(example, "")
        assert not tasks.is_right(example, example.answer + " )")


@pytest.mark.parametrize("task", tasks.TASKS)
def test_seed_decides_and_split_is_disjoint(task: str) -> None:
    assert items(task, 10, seed=3) == items(task, 10, seed=3)
    assert items(task, 10, seed=3) != items(task, 10, seed=4)
    rng = random.Random(5)
    assert not any(held_out(example.key) for example in items(task, 30))
    assert all(held_out(tasks.sample(task, rng, test=True).key) for _ in range(5))


def test_first_forms_are_the_documented_ones() -> None:
    shown = {example.prompt.split("\n", 1)[1] for example in items("replace", 200)}
    assert any(text.startswith('Replace the second name with "') for text in shown)
    assert lists.FORMS["sort"][0] == "Sort the list alphabetically."
    assert records.FORMS[0].format(keys="age, name") == "Write JSON with keys: age, name"
    assert "def add" in code.function(random.Random(0), "python").source().replace("def ", "def add", 1)


def test_shuffle_and_random_replacement_accept_any_right_answer() -> None:
    given = ["Ana", "Bob", "Cid"]
    shuffle = Example("shuffle", "", "", "", facts=(json.dumps(given), ""))
    assert tasks.is_right(shuffle, '["Cid", "Bob", "Ana"]')
    assert not tasks.is_right(shuffle, '["Ana", "Bob", "Cid"]')
    assert not tasks.is_right(shuffle, '["Ana", "Ana", "Cid"]')
    assert not tasks.is_right(shuffle, '["Cid","Bob","Ana"]')
    swap = Example("replace_random", "", "", "", facts=(json.dumps(given), "Ruth"))
    assert tasks.is_right(swap, '["Ana", "Bob", "Ruth"]')
    assert not tasks.is_right(swap, '["Ruth", "Bob", "Ruth"]')
    assert not tasks.is_right(swap, '["Ana", "Bob", "Cid"]')


def test_latin_squares() -> None:
    assert len(latin.SQUARES) == 576
    example = Example("latin", "", "", "", facts=("1000\n0000\n0000\n0004",))
    assert tasks.is_right(example, "1234\n2143\n3412\n4321") is False
    assert tasks.is_right(example, "1234\n2143\n4312\n3421") is False
    assert tasks.is_right(example, "1234\n2341\n3412\n4123") is False
    assert tasks.is_right(replace(example, facts=("1000\n0000\n0000\n0003",)), "1234\n2341\n3412\n4123")


def test_words_need_each_noun_once() -> None:
    example = Example("words", "", "", "", facts=("dog", "cat", "river"))
    assert tasks.is_right(example, "The cat sees the big dog near the river.")
    assert not tasks.is_right(example, "The cat sees the cat near the river.")
    assert not tasks.is_right(example, "The cat sees the dog.")
    assert words.NOUNS and not set(words.NOUNS) & set(words.ADJECTIVES)


def test_code_is_compared_up_to_free_names() -> None:
    example = Example("python", "", "def add(a, b):\n    return a + b", "", facts=("add",))
    assert tasks.is_right(example, "def add(x, y):\n    return x + y")
    assert not tasks.is_right(example, "def add(x, y):\n    return y + x")
    assert not tasks.is_right(example, "def sub(x, y):\n    return x + y")
    assert not tasks.is_right(example, "def add(x, x):\n    return x + x")
    document = Example("fill_code", "", "int f() { return 1; }", "")
    assert tasks.is_right(document, "int f() { int x = 2; return x * 3; }")
    assert not tasks.is_right(document, "int f() { return y; }")
    assert not tasks.is_right(document, "int f() { return (1; }")
    assert not tasks.is_right(document, "int f() { return 1 }")
    assert not tasks.is_right(document, "def f():\n    return y")


def test_records_know_their_types() -> None:
    example = Example("fill_record", "", "", "")
    assert tasks.is_right(example, '{"age": 3, "name": "Ana"}')
    assert tasks.is_right(example, '[{"age": 3}, {"name": "Ana"}]')
    twice = '{"age": 3, "age": 4}'
    for wrong in ('{"age": "3"}', '{"name": 3}', '{"name": ""}', '{"nam": "Ana"}', twice, "[]", "3", "{}"):
        assert not tasks.is_right(example, wrong), wrong


def test_holes_are_never_empty_and_never_touch() -> None:
    rng = random.Random(0)
    for _ in range(300):
        parts = tasks.cut_holes(code.document(rng), rng)
        assert len(parts) % 2 == 1 and len(parts) >= 3
        assert all(parts[1::2]) and all(parts[2:-1:2])


def test_tokenizer_round_trips_any_text(encoder: data.Encoder) -> None:
    decode = encoder.tokenizer.decode
    for text in ("", " a  b\n\n\t", "naïve café ☃ 😀 你好 \u0000\u007f", '{"a": [1, 2.5, null]}', "MaryAnn x_y  Z9"):
        assert decode(encoder.ids(text), skip_special_tokens=False) == text
    rng = random.Random(1)
    for _ in range(200):
        text = "".join(chr(rng.choice((rng.randrange(32, 127), rng.randrange(160, 0xD800)))) for _ in range(20))
        assert decode(encoder.ids(text), skip_special_tokens=False) == text
    vocabulary = encoder.tokenizer.get_vocab()
    assert sum(len(token) == 1 for token in vocabulary) >= 256


def test_frequent_names_are_one_token(encoder: data.Encoder) -> None:
    for name in FREQUENT:
        own = encoder.ids(name)
        assert len(own) == 1
        for context in (f'["{name}"]', f" {name}", f"Name: {name}, Age", f"x{name}."):
            assert own[0] in encoder.ids(context), context
    assert len(encoder.ids('["Mary", "Linda", "Susan"]')) == 7


def test_chat_template_is_llada(encoder: data.Encoder) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(FOLDER))
    messages = [{"role": "user", "content": "  Copy the list. \n"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == bpe.chat_prompt("Copy the list.")
    assert tokenizer.encode(text, add_special_tokens=False) == encoder.ids(text)
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == encoder.end


def test_batches_repeat_and_masks_count_exactly(encoder: data.Encoder) -> None:
    first, second = (data.batch_pool(encoder, "seed", 4, 400, None) for _ in range(2))
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(first, second, strict=True))
    for batch in first:
        masked, weight = data.masks(batch, random.Random(0), blocks=0.0)
        assert not (masked & ~batch.region).any() and masked.any(1).all()
        total = (weight * masked).sum(1)
        count, picked = batch.region.sum(1).float(), (masked & batch.region).sum(1).float()
        assert torch.allclose(total, picked * (count / picked).clamp(max=data.CAP))
    sequence = encoder.answer([7], [8, 9], 70)
    batch = data.collate([sequence], encoder.end)
    masked, _ = data.masks(batch, random.Random(1), blocks=1.0)
    where = masked[0, 1:].nonzero()[:, 0]
    block = int(where[0]) // data.BLOCK
    assert masked[0, 1 + (block + 1) * data.BLOCK :].all()


def test_learning_rate_follows_the_budget() -> None:
    assert rate(0.0, 0.4) == rate(0.6, 0.4) == 1.0
    assert rate(0.8, 0.4) == pytest.approx(0.5)
    assert rate(1.0, 0.4) == rate(1.2, 0.4) == 0.0


def test_export_round_trips_and_decoder_fills(encoder: data.Encoder, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = TinyModel(TinyShape(vocabulary=encoder.tokenizer.get_vocab_size(), layers=1))
    export(model, tmp_path, encoder.mask, encoder.end)
    loaded = load_trained(tmp_path)
    ids = torch.randint(0, 1000, (2, 9))
    at = torch.rand(2, 9) < 0.4
    at[:, 0] = True
    whole = loaded(ids)
    assert torch.allclose(whole, model(ids), atol=0.1)
    assert torch.allclose(loaded(ids, at=at), whole[at], atol=1e-5)
    found = evaluate.held_out_items(encoder, "copy", 3, 0) + evaluate.held_out_items(encoder, "fill_code", 3, 0)
    for rule in (evaluate.Rule(), evaluate.Rule(k=0), evaluate.Rule(threshold=0.9), evaluate.Rule(k=4, block=8)):
        for item, filled in zip(found, evaluate.decoder_of(loaded, encoder)([i.row for i in found], rule), strict=True):
            assert len(filled.ids) == len(item.row.ids) and encoder.mask not in filled.ids
            fixed = set(range(len(filled.ids))) - set(item.row.region)
            assert all(filled.ids[i] == item.row.ids[i] for i in fixed)
