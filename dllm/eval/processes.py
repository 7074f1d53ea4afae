"""Several processes that share an evaluation, each with a copy of the model, as `accelerate launch` starts them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dllm.errors import ConfigError

_PATIENCE = timedelta(days=30)  # ranks may finish hours apart


class Processes:
    """This process among those of a launch, or alone.

    `accelerate launch` and `torchrun` say in the environment how many there are. Only counts and results travel, so
    the processes talk over gloo, on CPUs and GPU machines alike. torch pickles objects for the way, which is no
    risk among processes of one launch.

    Attributes:
        rank: of this process, over all machines.
        size: how many there are.
        local_rank: of this process on its machine.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.size = int(environment.get("WORLD_SIZE", "1"))
        self.rank, self.local_rank = 0, 0
        if self.size > 1:
            if not dist.is_initialized():
                dist.init_process_group("gloo", timeout=_PATIENCE)
            self.rank, self.size = dist.get_rank(), dist.get_world_size()
            self.local_rank = int(environment.get("LOCAL_RANK", "0"))

    def device(self, asked: str | torch.device) -> str | torch.device:
        """Where this process's copy of the model goes.

        Raises:
            ConfigError: one GPU named for several processes, or fewer GPUs than processes.
        """
        if self.size == 1 or str(asked) == "cpu":
            return asked
        if str(asked) not in ("auto", "cuda"):
            raise ConfigError(
                f"device={str(asked)!r} with {self.size} processes, of which each takes a GPU of its own; give 'auto', "
                "or 'cpu'"
            )
        if not torch.cuda.is_available():
            return asked
        if self.local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"device={str(asked)!r}: process {self.local_rank} of this machine finds {torch.cuda.device_count()} "
                "GPUs; start one process a GPU (--num_processes)"
            )
        return f"cuda:{self.local_rank}"

    def concatenated(self, tensor: Tensor) -> Tensor:
        """`[n, ...]`, or a number, of each process -> `[size * n, ...]` on the CPU: the same everywhere."""
        mine = tensor.detach().cpu().contiguous()
        mine = mine if mine.dim() else mine[None]
        found = [torch.empty_like(mine) for _ in range(self.size)]
        if self.size == 1:
            return mine
        dist.all_gather(found, mine)
        return torch.cat(found)

    def everyones(self, thing: Any) -> list[Any]:
        """One thing of each process, in the order of ranks: the same everywhere."""
        if self.size == 1:
            return [thing]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, thing)
        return found

    def collected(self, thing: Any, rank: int) -> list[Any] | None:
        """One thing of each process, for process `rank` only; None for the others."""
        if self.size == 1:
            return [thing]
        found: list[Any] | None = [None] * self.size if self.rank == rank else None
        dist.gather_object(thing, found, dst=rank)
        return found

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()
