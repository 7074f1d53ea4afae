"""Runs one method in its authors' code and environment: a job as JSON on stdin, the rows as JSON on stdout.

python -m tools.authors.child < job.json      a job has the keys method, checkouts {name: folder}, prompts and as_is

Needs torch, safetensors, and what the authors' files import; neither dllm nor its dependencies.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # some compile their rules, which changes nothing but the time

import torch
from safetensors.torch import load_file
from torch import Tensor

from tools.authors.method import IDS, MASK, Method, Pairing, SharedModel
from tools.authors.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]


class Recorder:
    """A model that keeps the canvas as it stood at every forward.

    A loop with a cache feeds a slice of its canvas; the slice's storage holds the whole.

    Attributes:
        length: of the canvas.
        canvases: the canvas before each forward.
        canvas: the last one, as it is now.
        double: hand the float32 logits over as float64, for a rule that would round probabilities to float32 and then
            order near-certain positions by chance.
    """

    def __init__(self, model: Any, double: bool) -> None:
        self.model, self.double, self.length, self.canvases = model, double, 0, list[list[int]]()
        self.canvas = torch.empty(0, dtype=torch.long)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, input_ids: Tensor, *args: Any, **options: Any) -> Any:
        whole = torch.empty(0, dtype=input_ids.dtype).set_(input_ids.untyped_storage())
        if len(whole) < self.length:
            raise ValueError(f"a forward over storage of {len(whole)} ids, of a canvas of {self.length}: {self.model}")
        self.canvas = whole[: self.length]
        self.canvases.append(self.canvas.tolist())
        output = self.model(input_ids, *args, **options)
        if self.double:
            output.logits = output.logits.double()
        return output

    forward = __call__  # a sampler that is a method of its model, called with this in the place of `self`


def changes(canvases: list[list[int]], start: int, mask: int = MASK) -> list[list[int]]:
    """What each forward led to: `i` for a position of the answer that was committed, `-1 - i` for one masked again.

    Forwards that changed nothing are left out.
    """
    steps = []
    for before, after in pairwise(canvases):
        places = range(start, len(after))
        done = [i - start for i in places if before[i] == mask != after[i]]
        undone = [start - 1 - i for i in places if before[i] != mask == after[i]]
        if done or undone:
            steps.append(done + undone)
    return steps


def load_sampler(path: Path, patches: dict[str, str]) -> ModuleType:
    """The authors' file as a module, with what `patches` says in place of its own words."""
    text = path.read_text()
    for old, new in patches.items():
        text = text.replace(old, new)
    package, module = ModuleType("sampler"), ModuleType(f"sampler.{path.stem}")
    package.__path__ = [str(path.parent)]
    module.__file__, module.__package__ = str(path), "sampler"
    sys.modules |= {package.__name__: package, module.__name__: module}
    sys.path.insert(0, str(path.parent))
    exec(compile(text, str(path), "exec"), vars(module))
    return module


def load_network(folder: Path, module: str, checkpoint: SharedModel) -> Any:
    """The checkpoint in the modelling code of `folder`, float32, every tensor by its own name."""
    weights_folder = ROOT / checkpoint.folder
    sys.path.insert(0, str(folder))
    code = importlib.import_module(module)
    values = json.loads((weights_folder / "config.json").read_text())
    model = getattr(code, checkpoint.network)(getattr(code, checkpoint.config)(**values))
    weights = {name: tensor.float() for name, tensor in load_file(weights_folder / "model.safetensors").items()}
    model.load_state_dict(weights, strict=True)
    return model.float().eval()


def record(method: Method, case: Pairing, module: Any, recorder: Recorder, prompt: list[int]) -> list[Any]:
    """[answer ids, forwards, steps] of one prompt."""
    theirs = dict(case.theirs)
    recorder.length = len(prompt) + theirs["gen_length"]
    given = torch.tensor([prompt])
    if method.call is None:
        result = getattr(module, theirs.pop("function", method.function))(recorder, given, **theirs)
    else:
        result = method.call(module, recorder, given, theirs)
    final = recorder.canvas.tolist()
    if torch.is_tensor(result) or isinstance(result, tuple):
        ids: list[int] = (result[0] if isinstance(result, tuple) else result).flatten().tolist()
        final = ids[: recorder.length] + final[len(ids) :]  # a loop that cuts its canvas leaves the rest as it was
    steps = changes([*recorder.canvases, final], len(prompt), method.checkpoint.mask)
    return [final[len(prompt) :], len(recorder.canvases), steps]


def main() -> None:
    job = json.load(sys.stdin)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    method = METHODS[job["method"]]
    double = method.precision == "float32" and not job["as_is"]
    roots = {name: Path(folder) for name, folder in job["checkouts"].items()}
    checkout, folder, module_name = method.modelling
    with contextlib.redirect_stdout(sys.stderr):  # their files print
        network = load_network(roots[checkout] / folder, module_name, method.checkpoint)
        module = load_sampler(roots[method.checkout] / method.file, IDS | method.patches)
        gc.freeze()  # some collect garbage at every step, which would look through all of torch
        rows = [
            [record(method, case, module, Recorder(network, double), one) for one in job["prompts"]]
            for case in method.cases
        ]
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
