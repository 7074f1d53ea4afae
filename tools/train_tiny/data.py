"""From examples to training batches: formats, region lengths, hole widths, and the masks of a step."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from dllm.eval.tiny import tasks
from dllm.eval.tiny.example import Example
from tools.train_tiny.tokenizer import END, MASK, chat_prompt

LONGEST_ANSWER = 128
BLOCK = 32
CAP = 4.0
START_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class TinySequence:
    """Ids of one sequence; ``region`` holds the positions that may be masked, ``size`` how many of them carry text."""

    ids: list[int]
    region: list[int]
    size: int
    document: bool = False


class Encoder:
    """Turns examples into sequences. Fixed text and holes are tokenized separately, as the engine will do."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab()
        self.end, self.mask = vocabulary[END], vocabulary[MASK]

    def ids(self, text: str) -> list[int]:
        """Token ids of ``text``; special tokens in it are recognised."""
        ids: list[int] = self.tokenizer.encode(text).ids
        return ids

    def prompt(self, example: Example, form: str) -> list[int]:
        """The prompt as ``chat``, ``bare`` (a newline after it) or ``unended`` (without): the answer is the same."""
        if form == "chat":
            return self.ids(chat_prompt(example.prompt))
        return self.ids(example.prompt + ("\n" if form == "bare" else ""))

    def answer(self, prompt: list[int], answer: list[int], region: int) -> TinySequence:
        """Prompt, then a region of ``region`` tokens: the answer, END, and END to fill."""
        ids = prompt + answer + [self.end] * (region - len(answer))
        return TinySequence(ids, list(range(len(prompt), len(ids))), len(answer) + 1)

    def document(self, example: Example, rng: random.Random | None = None) -> TinySequence:
        """Fixed pieces and holes in turn; with ``rng`` a fifth of the holes get more tokens than needed."""
        ids: list[int] = []
        region: list[int] = []
        for i, part in enumerate(example.parts):
            piece = self.ids(part)
            if i % 2:
                if rng is not None and rng.random() < 0.2 and len(part) > 1:
                    at = rng.randrange(1, len(part))
                    piece = self.ids(part[:at]) + self.ids(part[at:])
                region += range(len(ids), len(ids) + len(piece))
            ids += piece
        return TinySequence(ids, region, len(region), document=True)

    def training(self, example: Example, rng: random.Random) -> TinySequence | None:
        """A training sequence in a random form, or None for the few that are too long."""
        if example.parts:
            made = self.document(example, rng)
        else:
            form = rng.choices(("chat", "bare", "unended"), (0.5, 0.42, 0.08))[0]
            prompt, answer = self.prompt(example, form), self.ids(example.answer)
            if len(answer) >= LONGEST_ANSWER:
                return None
            made = self.answer(prompt, answer, region_length(len(answer), rng))
        return made if len(made.ids) <= 320 and made.region else None


def region_length(answer: int, rng: random.Random) -> int:
    """Mostly the answer and 1..12 more; one time in five a whole number of blocks, as the engine's canvas has."""
    if rng.random() < 0.8:
        return min(LONGEST_ANSWER, answer + rng.randint(1, 12))
    fitting = [length for length in (32, 64, 96, 128) if length > answer]
    return rng.choices(fitting, [{32: 3, 64: 4, 96: 1, 128: 4}[length] for length in fitting])[0]


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows: ``ids``, ``valid`` and ``region`` are [B, L]; ``sizes`` is the text tokens of all rows."""

    ids: Tensor
    valid: Tensor
    region: Tensor
    sizes: int


def collate(rows: list[TinySequence], pad: int) -> Batch:
    """Right-pad ``rows`` to the longest."""
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad)
    valid, region = torch.zeros(len(rows), width, dtype=torch.bool), torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        valid[i, : len(row.ids)] = True
        region[i, torch.tensor(row.region)] = True
    return Batch(ids, valid, region, sum(min(len(row.region), row.size + 12) for row in rows))


def batch_pool(
    encoder: Encoder, seed: str, batches: int, tokens: int, only: str | None, hard: float = 0.0
) -> list[Batch]:
    """``batches`` batches of about ``tokens`` tokens each, rows of similar length together; a function of ``seed``."""
    rng = random.Random(seed)
    rows: list[TinySequence] = []
    total = 0
    while total < batches * tokens:
        example = tasks.sample(only, rng, hard=hard) if only else tasks.sample_any(rng, hard)
        row = encoder.training(example, rng)
        if row is not None:
            rows.append(row)
            total += len(row.ids)
    rows.sort(key=lambda row: len(row.ids) + rng.random())
    groups: list[list[TinySequence]] = [[] for _ in range(batches)]
    done = 0
    for row in rows:
        groups[min(batches - 1, done * batches // total)].append(row)
        done += len(row.ids)
    groups = [group for group in groups if group] or [rows]
    while len(groups) < batches:  # never in practice; keeps the ranks in step
        groups.append(groups[-1])
    rng.shuffle(groups)
    return [collate(group, encoder.end) for group in groups]


def masks(batch: Batch, rng: random.Random, blocks: float = 0.5) -> tuple[Tensor, Tensor]:
    """Which positions are masked [B, L] bool and the weight of each [B, L] float.

    Of a region of L positions exactly l ~ U{1..L} are masked, each with weight L/l but at most 4 (the few masks of a
    nearly full region would otherwise dominate a step); l is spread evenly over the batch.
    Rows longer than one block are, in the share ``blocks``, put into a state of block-wise decoding instead: clean
    before a block, part of the block masked, everything after it masked. One row in ten is masked wholly, beyond its
    share of the draw: decoding starts there, and a first step that is overconfident about the answer's length cuts it.
    """
    count = batch.ids.shape[0]
    order = list(range(count))
    rng.shuffle(order)
    masked = torch.zeros_like(batch.region)
    weight = torch.zeros(batch.region.shape)
    shift = rng.random()
    noise = torch.rand(batch.region.shape, generator=torch.Generator().manual_seed(rng.getrandbits(48)))
    for i in range(count):
        where = batch.region[i].nonzero()[:, 0]
        u = ((order[i] + shift) / count) % 1.0
        if len(where) > BLOCK and rng.random() < blocks:
            block = rng.randrange(math.ceil(len(where) / BLOCK))
            rest, where = where[(block + 1) * BLOCK :], where[block * BLOCK : (block + 1) * BLOCK]
            masked[i, rest] = True
            weight[i, rest] = 0.3
        size = len(where)
        picked = size if rng.random() < START_SHARE else 1 + int(u * size)
        chosen = where[noise[i, where].argsort()[:picked]]
        masked[i, chosen] = True
        weight[i, chosen] = min(size / picked, CAP)
    return masked, weight
