"""Training: one or more single-thread data-parallel workers, a schedule over a budget, checkpoints without pickle.

Every worker makes its own batches from (seed, rank, pool number), so a run is a function of its options. The learning
rate follows the *fraction of the budget used*: constant, then linear to zero over the last half. The budget is minutes,
steps or both (whichever is further along), and may be changed when resuming.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch.multiprocessing.spawn import spawn

from dllm.eval.tiny import tasks
from tools.train_tiny import data, evaluate
from tools.train_tiny.data import Batch, Encoder
from tools.train_tiny.model import TinyModel, TinyShape, export, load_trained
from tools.train_tiny.optim import Optimizer

POOL = 24
SMALL_START = 0.12
"""Share of the budget that runs on half batches: more updates while there is little to average over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """A run. ``minutes`` and ``steps`` of 0 mean no such limit; ``copy_sequences`` open the run with copying alone.

    ``start`` is an exported model to go on from (a second phase, which has its own rates and its own ``hard`` share of
    list items, see ``tasks.sample``); without it the run begins at random weights.
    """

    tokenizer: Path
    out: Path
    seed: int = 0
    minutes: float = 0.0
    steps: int = 0
    workers: int = 1
    tokens: int = 2560
    muon: float = 0.005
    adam: float = 1e-3
    decay: float = 0.5
    layers: int = 4
    copy_sequences: int = 12_000
    eval_minutes: float = 8.0
    eval_count: int = 12
    save_minutes: float = 3.0
    only: str | None = None
    resume: bool = False
    start: Path | None = None
    hard: float = 0.0
    device: str = "cpu"
    port: int = 29_611


def rate(fraction: float, decay: float) -> float:
    """Scale of the learning rates when ``fraction`` of the budget is used."""
    return min(1.0, max(0.0, (1.0 - fraction) / decay))


def train_model(options: TrainingOptions) -> None:
    """Train to the end of the budget; leaves ``checkpoint.safetensors`` and the exported model in ``options.out``."""
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if options.workers == 1:
        _Worker(options, 0).train()
    else:
        spawn(_start, args=(options,), nprocs=options.workers)  # type: ignore[no-untyped-call]


def _start(rank: int, options: TrainingOptions) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(options.port)}
    dist.init_process_group("gloo", rank=rank, world_size=options.workers)
    _Worker(options, rank).train()
    dist.destroy_process_group()


class _Worker:
    """One rank: its model replica, its data stream, its part of the evaluation."""

    def __init__(self, options: TrainingOptions, rank: int) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(options.seed)
        self.options, self.rank = options, rank
        self.encoder = Encoder(Tokenizer.from_file(str(options.tokenizer)))
        shape = TinyShape(vocabulary=self.encoder.tokenizer.get_vocab_size(), layers=options.layers)
        model = TinyModel(shape) if options.start is None else load_trained(options.start, tied=True)
        self.model = model.to(options.device)
        self.optimizer = Optimizer(self.model, options.muon, options.adam, options.workers, rank)
        self.parameters = list(self.model.parameters())
        self.step = self.pool = 0
        self.used = self.sequences = self.tokens = 0.0
        if options.resume:
            self._restore()

    def train(self) -> None:
        """The loop. ``fraction`` travels with the gradients, so that all ranks agree on it."""
        options = self.options
        started, base = time.monotonic(), self.used
        saved = evaluated = started
        mean = 0.0
        with self._progress() as progress:
            bar = progress.add_task("train", total=1.0, note="", disable=self.rank > 0)
            done = False
            while not done:
                for batch in self._batches():
                    self.used = base + time.monotonic() - started
                    loss, fraction = self._update(batch)
                    mean = loss if mean == 0.0 else 0.98 * mean + 0.02 * loss
                    speed = self.tokens / max(1e-9, self.used)
                    note = f"step {self.step} loss {mean:.3f} {speed:.0f} tok/s {self.sequences / 1000:.0f}k seq"
                    progress.update(bar, completed=fraction, note=note)
                    if self.rank == 0 and self.step % 50 == 0:
                        print(f"{self.used / 60:6.1f} min {fraction:.3f} {note}", flush=True)
                    done = fraction >= 1.0
                    if done:
                        break
                self.pool += 1
                now = time.monotonic()
                if self._agree(done or now - saved > options.save_minutes * 60):
                    saved = now
                    self._save()
                if self._agree(done or now - evaluated > options.eval_minutes * 60):
                    evaluated = now
                    self._evaluate()

    def _progress(self) -> Progress:
        columns = (*Progress.get_default_columns()[:3], TimeElapsedColumn(), TextColumn("{task.fields[note]}"))
        return Progress(*columns, disable=self.rank > 0 or not os.isatty(1))

    def _batches(self) -> Iterator[Batch]:
        options = self.options
        first = self.sequences < options.copy_sequences and options.start is None
        only = options.only or ("copy" if first else None)
        seed = f"{options.seed}/{self.rank}/{self.pool}"
        small = self._fraction() < SMALL_START and options.start is None
        yield from data.batch_pool(self.encoder, seed, POOL, options.tokens // (2 if small else 1), only, options.hard)

    def _update(self, batch: Batch) -> tuple[float, float]:
        options, device = self.options, self.options.device
        rng = random.Random(f"{options.seed}/{self.rank}/step/{self.step}")
        masked, weight = data.masks(batch, rng)
        noised = batch.ids.masked_fill(masked, self.encoder.mask).to(device)
        logits = self.model(noised, batch.valid.to(device), masked.to(device))
        losses = F.cross_entropy(logits, batch.ids[masked].to(device), reduction="none")
        loss = (losses * weight[masked].to(device)).sum() / batch.sizes
        for parameter in self.parameters:
            parameter.grad = None
        torch.autograd.backward(loss)
        numbers = [loss.item(), self._fraction(), float(len(batch.ids)), float(batch.valid.sum())]
        told = self._average(numbers)
        self.sequences += told[2] * options.workers
        self.tokens += told[3] * options.workers
        warm = min(1.0, (self.step + 1) / 50)
        self.optimizer.step(warm * rate(told[1], options.decay))
        self.step += 1
        return told[0], told[1]

    def _fraction(self) -> float:
        options = self.options
        parts = [self.step / options.steps] if options.steps else []
        parts += [self.used / 60 / options.minutes] if options.minutes else []
        return max(parts)

    @torch.no_grad()
    def _average(self, numbers: list[float]) -> list[float]:
        """Average the gradients (in place) and ``numbers`` over the ranks; clip the gradients' norm to 1."""
        gradients = [parameter.grad for parameter in self.parameters]
        flat = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])
        flat = torch.cat([flat, torch.tensor(numbers, device=flat.device)])
        if self.options.workers > 1:
            dist.all_reduce(flat)
            flat /= self.options.workers
        at = 0
        norm = float(flat[: -len(numbers)].norm())
        for gradient in gradients:
            assert gradient is not None
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
            gradient *= min(1.0, 1.0 / (norm + 1e-6))
            at += gradient.numel()
        return [float(x) for x in flat[-len(numbers) :]]

    def _agree(self, flag: bool) -> bool:
        """Rank 0's answer, everywhere."""
        if self.options.workers == 1:
            return flag
        told = torch.tensor(float(flag))
        dist.broadcast(told, 0)
        return bool(told)

    def _evaluate(self) -> None:
        names = (self.options.only,) if self.options.only else tasks.TASKS
        mine = names[self.rank :: self.options.workers]
        self.model.eval()
        rates = evaluate.quick_rates(self.model, self.encoder, mine, self.options.eval_count)
        told = torch.tensor([rates.get(name, 0.0) for name in names])
        if self.options.workers > 1:
            dist.all_reduce(told)
        if self.rank == 0:
            line = " ".join(f"{name} {value:.2f}" for name, value in zip(names, told.tolist(), strict=True))
            print(f"EVAL {self.used / 60:.1f} min mean {told.mean():.3f} | {line}", flush=True)

    def _save(self) -> None:
        if self.rank:
            return
        options = self.options
        counters = {"step": self.step, "pool": self.pool, "used": self.used}
        counters |= {"sequences": self.sequences, "tokens": self.tokens}
        told = {key: str(value) for key, value in asdict(options).items()}
        tensors = {f"model.{name}": value.detach() for name, value in self.model.named_parameters()}
        tensors |= {f"optimizer.{name}": value for name, value in self.optimizer.state().items()}
        metadata = {"counters": json.dumps(counters), "options": json.dumps(told)}
        new = options.out / "checkpoint.new"
        save_file({name: value.contiguous() for name, value in tensors.items()}, new, metadata=metadata)
        new.replace(options.out / "checkpoint.safetensors")
        export(self.model, options.out, self.encoder.mask, self.encoder.end)

    def _restore(self) -> None:
        with safe_open(self.options.out / "checkpoint.safetensors", "pt") as file:
            counters = json.loads(file.metadata()["counters"])
            names: list[str] = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
        self.step, self.pool = counters["step"], counters["pool"]
        self.used, self.sequences, self.tokens = counters["used"], counters["sequences"], counters["tokens"]
        with torch.no_grad():
            for name, value in self.model.named_parameters():
                value.copy_(tensors[f"model.{name}"])
        prefix = "optimizer."
        self.optimizer.restore({key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)})
