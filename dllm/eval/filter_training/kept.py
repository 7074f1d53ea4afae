"""What training a filter leaves on disk: batches as they are collected, and at the end the filter, whole.

Collecting is what takes long; a run that is killed goes on behind the last batch.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from dllm.eval.files import mark_of, write_whole
from dllm.eval.filter_training.collect import Trajectories
from dllm.schedulers.filter import Filter


class KeptBatches:
    """Batches in a hidden folder beside the filter that is to be.

    Args:
        filter: the file of the filter.
        settings: what the batches depend on, JSON values; those of other settings are another run's.
    """

    def __init__(self, filter: Path, settings: Mapping[str, Any]) -> None:
        self._folder = filter.with_name(f".{filter.stem}.collected")
        self._mark = mark_of(settings)

    def get(self, start: int, batch: Sequence[str | Sequence[int]]) -> Trajectories | None:
        """The batch whose first prompt is number `start`, if it is there."""
        path = self._path(start, batch)
        try:
            found: dict[str, Any] = load(path.read_bytes())
            return Trajectories(**{**found, "pasted": int(found["pasted"])})
        except (OSError, SafetensorError, KeyError, TypeError):  # collected anew
            return None

    def add(self, start: int, batch: Sequence[str | Sequence[int]], found: Trajectories) -> None:
        """Keep a batch; it is on disk when this returns."""
        self._folder.mkdir(exist_ok=True)
        tensors = {field.name: torch.as_tensor(getattr(found, field.name)).contiguous() for field in fields(found)}
        write_whole(self._path(start, batch), save(tensors))

    def forget(self) -> None:
        """Remove the folder, when the filter is written."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, start: int, batch: Sequence[str | Sequence[int]]) -> Path:
        prompts = hashlib.sha256(json.dumps(list(batch), default=list).encode()).hexdigest()[:12]
        return self._folder / f"{self._mark}-{start}-{prompts}.safetensors"


def save_whole(filter: Filter, path: Path) -> None:
    """Write a filter's two files so that what is under their names is a filter of one training, or none.

    An earlier one of the same name is gone for a moment, in which loading says that there is none.
    """
    made = path.with_name(f".{path.stem}.part")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    filter.save(made / path.name)
    about = path.with_suffix(".json")
    about.unlink(missing_ok=True)
    for file in made.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    for name in (path.name, about.name):  # without its JSON file no filter is loaded, so that comes last
        os.replace(made / name, path.with_name(name))
    made.rmdir()
