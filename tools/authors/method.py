"""What is run: one `Method` a sampling function, with the settings of theirs and of ours that are meant to be equal.

Nothing here imports dllm, since the child process of another environment reads it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILTER = Path(__file__).parents[2] / "dllm" / "schedulers" / "filters" / "tiny.safetensors"
LEAVES = ("weight", "bias")

MASK, EOS, END_OF_TURN = 2, 1, 5
"""Ids of the model `tiny`."""


@dataclass(frozen=True, eq=False)
class SharedModel:
    """A model that both sides run.

    Attributes:
        folder: of its weights, in this repository.
        mask: its mask id.
        network, config: names of the classes in the authors' modelling code.
        block_length: of its attention, which a block-causal model's config does not tell; None: it sees everything.
    """

    folder: str
    mask: int
    network: str
    config: str
    block_length: int | None = None


TINY = SharedModel("dllm/models/tiny", MASK, "LLaDAModelLM", "LLaDAConfig")
LLADA2 = SharedModel("tests/golden/llada2_moe", 246, "LLaDA2MoeModelLM", "LLaDA2MoeConfig", block_length=8)
DREAM = SharedModel("tests/golden/dream", 246, "DreamModel", "DreamConfig")
"""Random weights, both."""

IDS: dict[str, str] = {"126336": str(MASK), "126081": str(EOS), "126348": str(END_OF_TURN)}
"""LLaDA's ids, which the authors' files hold as literals, and what stands in their place."""

Call = Callable[[Any, Any, Any, dict[str, Any]], Any]
"""(their module, the recording model, prompt `[1, P]`, arguments) -> whatever their function returns."""


@dataclass(frozen=True)
class Pairing:
    """One setting: arguments of theirs beside the spec and the parameters of ours.

    Attributes:
        theirs: keywords of their function; `gen_length` is always among them.
        scheduler: our spec.
        ours: further fields of our `SamplingParams`.
        muted: ids that the rule takes out of the softmax that it orders by.
        by: what it orders by: confidence, margin (the best probability minus the next) or entropy.
    """

    theirs: Mapping[str, Any]
    scheduler: str
    ours: Mapping[str, Any] = field(default_factory=dict)
    muted: tuple[int, ...] = ()
    by: str = "confidence"

    def params(self) -> dict[str, Any]:
        """Fields of our `SamplingParams`."""
        fixed = {"max_new_tokens": self.theirs["gen_length"], "scheduler": self.scheduler, "ignore_eos": True}
        block = self.theirs.get("block_length", self.theirs["gen_length"])
        return {**fixed, "block_length": block, "cache": "none", **self.ours}

    def told(self) -> str:
        """For a table."""
        params = self.params()
        scheduler = re.sub("delimiters='[^']*'", "delimiters=...", self.scheduler)
        more = {name: value for name, value in self.ours.items() if name not in ("block_length",)}
        return f"{scheduler}, {params['max_new_tokens']} in blocks of {params['block_length']} {more or ''}".rstrip()


@dataclass(frozen=True)
class Method:
    """One published sampling function.

    Attributes:
        name: of the file of goldens.
        repository, commit, file, function: where it is.
        cases: at least three settings.
        modelling: (checkout, folder in it, module) of the network that it is run on.
        checkpoint: the weights.
        call: how it is called; None: with the model, the prompt and the keywords of the case.
        idle: whether their loop makes forwards that look at a block in which nothing is masked any more, and change
            nothing; a fault of theirs, these are not counted.
        patches: words of their file that are replaced, beside the ids.
        precision: of the probabilities that it orders by.
    """

    name: str
    repository: str
    commit: str
    file: str
    function: str
    cases: tuple[Pairing, ...]
    modelling: tuple[str, str, str] = ("wino", "LLaDA", "modeling_llada")
    call: Call | None = None
    patches: dict[str, str] = field(default_factory=dict)
    checkpoint: SharedModel = TINY
    precision: str = "float64"
    idle: bool = False

    @property
    def checkout(self) -> str:
        """The name under which a user says where the repository lies: `--checkout wino=DIR`."""
        return CHECKOUTS[self.repository]

    @property
    def source(self) -> str:
        """Where the file can be read."""
        return f"https://github.com/{self.repository}/blob/{self.commit}/{self.file}"


CHECKOUTS = {
    "shkim0116/KLASS": "klass",
    "Feng-Hong/WINO-DLLM": "wino",
    "zhaoyMa/Saber": "saber",
    "pixeli99/Prophet": "prophet",
    "NVlabs/Fast-dLLM": "fast-dllm",
    "lgxi24/AdaBlock-dLLM": "adablock",
    "omerlux/DUS": "dus",
    "ims-kdks/Learning-to-Parallel-Decoding": "learn2pd",
    "ML-GSAI/LLaDA": "llada",
    "NEUIR/PC-Sampler": "pc-sampler",
    "lizhuo-luo/DAWN": "dawn",
    "inclusionAI/dInfer": "dinfer",
    "ZHZisZZ/dllm": "zhziszz-dllm",
    "amr-mohamedd/SchED": "sched",
    "LiangrunFlora/Slow-Fast-Sampling": "slowfast",
    "furiosa-ai/ParallelBench": "parallelbench",
    "hao-ai-lab/d3LLM": "d3llm",
    "pengzhangzhi/Open-dLLM": "open-dllm",
}
METHODS: dict[str, Method] = {}


def add(method: Method) -> None:
    METHODS[method.name] = method
