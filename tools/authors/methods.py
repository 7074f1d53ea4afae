"""What is run: one `Method` a sampling function, with the settings of theirs and of ours that are meant to be equal.

Nothing here imports dllm, since the child process of another environment reads it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MASK, EOS, END_OF_TURN = 2, 1, 5
"""Ids of the model `tiny`."""

IDS = {"126336": str(MASK), "126081": str(EOS), "126348": str(END_OF_TURN)}
"""LLaDA's ids, which the authors' files hold as literals, and what stands in their place."""

Call = Callable[[Any, Any, Any, dict[str, Any]], Any]
"""(their module, the recording model, prompt `[1, P]`, arguments) -> whatever their function returns."""


@dataclass(frozen=True)
class Case:
    """One setting: arguments of theirs beside the spec and the parameters of ours.

    Attributes:
        theirs: keywords of their function; `gen_length` is always among them.
        scheduler: our spec.
        block: our `block_length`; None where it is theirs.
        ours: further fields of our `SamplingParams`.
    """

    theirs: Mapping[str, Any]
    scheduler: str
    ours: Mapping[str, Any] = field(default_factory=dict)

    def params(self) -> dict[str, Any]:
        """Fields of our `SamplingParams`."""
        fixed = {"max_new_tokens": self.theirs["gen_length"], "scheduler": self.scheduler, "ignore_eos": True}
        block = self.theirs.get("block_length", self.theirs["gen_length"])
        return {**fixed, "block_length": block, "cache": "none", **self.ours}


@dataclass(frozen=True)
class Method:
    """One published sampling function.

    Attributes:
        name: of the file of goldens.
        repository, commit, file, function: where it is.
        cases: at least three settings.
        modelling: (checkout, folder in it, module) of the network that it is run on.
        call: how it is called; None: with the model, the prompt and the keywords of the case.
        precision: of the probabilities that it orders by.
        note: what else was changed, and faults of theirs that a comparison allows for.
    """

    name: str
    repository: str
    commit: str
    file: str
    function: str
    cases: tuple[Case, ...]
    modelling: tuple[str, str, str] = ("wino", "LLaDA", "modeling_llada")
    call: Call | None = None
    precision: str = "float64"
    note: str = ""

    @property
    def checkout(self) -> str:
        """The name under which a user says where the repository lies: `--checkout wino=DIR`."""
        return CHECKOUTS[self.repository]


CHECKOUTS = {
    "shkim0116/KLASS": "klass",
    "Feng-Hong/WINO-DLLM": "wino",
    "zhaoyMa/Saber": "saber",
    "pixeli99/Prophet": "prophet",
}
METHODS: dict[str, Method] = {}


def add(method: Method) -> None:
    METHODS[method.name] = method


def _klass(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    return module.stable_confident_decode(model, None, prompt, steps=options["gen_length"], alg="klass", **options)


def _klass_case(new: int, block: int, tau: float, epsilon: float, history: int) -> Case:
    theirs = {"conf_threshold": tau, "kl_threshold": epsilon, "kl_history_length": history}
    spec = f"klass({tau}, epsilon={epsilon}, history={history})"
    return Case({"gen_length": new, "block_length": block, **theirs}, spec)


add(
    Method(
        name="klass",
        repository="shkim0116/KLASS",
        commit="ad87ecbe9fdef4a6e93701afbc150cb9213fbcd7",
        file="src/model/llada_klass.py",
        function="stable_confident_decode",
        call=_klass,
        cases=(
            _klass_case(64, 64, 0.9, 0.01, 2),
            _klass_case(64, 16, 0.9, 0.01, 2),
            _klass_case(64, 32, 0.6, 0.015, 3),
            _klass_case(32, 8, 0.5, 0.1, 1),
        ),
    )
)


def _wino_case(new: int, block: int, accept: float, revoke: float) -> Case:
    theirs = {"gen_length": new, "block_length": block, "threshold": accept, "threshold_back": revoke}
    return Case(theirs, f"wino({accept}, revoke={revoke})")


add(
    Method(
        name="wino",
        repository="Feng-Hong/WINO-DLLM",
        commit="9549a1d0c3cbd9dc9b8f7cd09be8a7aac322d6fb",
        file="LLaDA/decoding.py",
        function="decoding_wino",
        cases=(
            _wino_case(64, 64, 0.6, 0.9),
            _wino_case(64, 16, 0.6, 0.9),
            _wino_case(64, 32, 0.5, 0.95),
            _wino_case(48, 24, 0.3, 0.9),
        ),
    )
)


def _saber_case(new: int, block: int, least: int) -> Case:
    return Case({"gen_length": new, "block_length": block, "n": least}, f"saber(n={least})")


add(
    Method(
        name="saber",
        repository="zhaoyMa/Saber",
        commit="2f061e2e07359e27479174e862f46db5f9791c6c",
        file="decoding.py",
        function="generate_with_saber",
        precision="float32",
        cases=(_saber_case(64, 64, 2), _saber_case(64, 16, 2), _saber_case(64, 32, 1), _saber_case(48, 24, 4)),
    )
)


def _prophet(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    start = prompt.shape[1] + options.pop("answer_start")
    return module.generate(model, prompt, analyze_gap=True, answer_start_pos=start, **options)


def _prophet_case(new: int, block: int, k: int, start: int, gaps: tuple[float, float, float]) -> Case:
    early, middle, late = gaps
    theirs = {"early_exit_thresholds": {"early": early, "mid": middle, "late": late}, "answer_start": start}
    region = f"'{start}:{start + 5}'"
    spec = f"prophet({early}, middle={middle}, late={late}, region={region})+topk({k})"
    return Case({"gen_length": new, "block_length": block, "steps": new // k, **theirs}, spec)


add(
    Method(
        name="prophet",
        repository="pixeli99/Prophet",
        commit="460afe41c7063a29a9893675aca07b985997bb83",
        file="generate_earlyexit.py",
        function="generate",
        call=_prophet,
        precision="float32",
        cases=(
            _prophet_case(64, 64, 1, 40, (7.5, 5.0, 2.5)),
            _prophet_case(64, 32, 2, 20, (7.5, 5.0, 2.5)),
            _prophet_case(64, 16, 4, 10, (14.0, 12.0, 10.0)),
            _prophet_case(48, 24, 2, 30, (20.0, 16.0, 12.0)),
        ),
    )
)
