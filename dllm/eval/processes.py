"""Several processes that share an evaluation, each with a copy of the model, as `accelerate launch` starts them."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta
from typing import Any

import torch
from accelerate.state import PartialState
from accelerate.utils.operations import gather_object
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

    def __init__(self) -> None:
        self.rank, self.size, self.local_rank = 0, 1, 0
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # alone, accelerate's state is left as the user has it
            ours = not torch.distributed.is_initialized()
            state: Any = PartialState(cpu=True, backend="gloo", timeout=_PATIENCE)
            if ours:
                atexit.register(state.destroy_process_group)  # its threads may else abort a process that is ending
            self.rank, self.size = state.process_index, state.num_processes
            self.local_rank = state.local_process_index

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
        mine = tensor.detach().cpu()
        return torch.cat(self.everyones(mine if mine.dim() else mine[None]))

    def everyones(self, thing: Any) -> list[Any]:
        """One thing of each process, in the order of ranks: the same everywhere."""
        return [thing] if self.size == 1 else list(gather_object([thing]))

    def collected(self, thing: Any, rank: int) -> list[Any] | None:
        """One thing of each process, for process `rank` only; None for the others."""
        found = self.everyones(thing)
        return found if self.rank == rank else None
