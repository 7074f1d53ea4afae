"""What is run: one `Method` a sampling function, with the settings of theirs and of ours that are meant to be equal.

Nothing here imports dllm, since the child process of another environment reads it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

FILTER = Path(__file__).parents[2] / "dllm" / "schedulers" / "filters" / "tiny.safetensors"
LEAVES = ("weight", "bias")

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
        ours: further fields of our `SamplingParams`.
        muted: ids that the rule takes out of the softmax that it orders by.
    """

    theirs: Mapping[str, Any]
    scheduler: str
    ours: Mapping[str, Any] = field(default_factory=dict)
    muted: tuple[int, ...] = ()

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
        call: how it is called; None: with the model, the prompt and the keywords of the case.
        idle: whether their loop makes forwards that look at a block in which nothing is masked any more, and change
            nothing; a fault of theirs, these are not counted.
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
    idle: bool = False
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
    "NVlabs/Fast-dLLM": "fast-dllm",
    "lgxi24/AdaBlock-dLLM": "adablock",
    "omerlux/DUS": "dus",
    "ims-kdks/Learning-to-Parallel-Decoding": "learn2pd",
    "ML-GSAI/LLaDA": "llada",
    "NEUIR/PC-Sampler": "pc-sampler",
    "lizhuo-luo/DAWN": "dawn",
    "inclusionAI/dInfer": "dinfer",
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


def _fast(new: int, block: int, cache: str, **rule: float) -> Case:
    functions = {"none": "generate", "prefix": "generate_with_prefix_cache", "dual": "generate_with_dual_cache"}
    theirs = {"function": functions[cache], "gen_length": new, "block_length": block, "steps": new, **rule}
    (name, value) = next(iter(rule.items()))
    return Case(theirs, f"{name}({value})", {"cache": cache})


add(
    Method(
        name="threshold",
        repository="NVlabs/Fast-dLLM",
        commit="24cc59e75f20a6384bae8c905965bb090b96388e",
        file="llada/generate.py",
        function="generate",
        modelling=("fast-dllm", "llada", "model.modeling_llada"),
        idle=True,
        cases=(
            *(_fast(64, 32, cache, threshold=0.9) for cache in ("none", "prefix", "dual")),
            *(_fast(64, 16, cache, threshold=0.7) for cache in ("none", "prefix", "dual")),
            _fast(32, 8, "none", threshold=1.0),
        ),
    )
)
add(
    Method(
        name="threshold_later",
        repository="lgxi24/AdaBlock-dLLM",
        commit="491b20580ad90f6019f29e045f484b538581101a",
        file="llada/generate_baseline.py",
        function="generate",
        modelling=("adablock", "llada", "model.modeling_llada"),
        cases=tuple(
            _fast(new, block, cache, threshold=tau)
            for new, block, tau in ((64, 32, 0.9), (48, 8, 0.6))
            for cache in ("none", "prefix", "dual")
        ),
    )
)
add(
    Method(
        name="factor",
        repository="lgxi24/AdaBlock-dLLM",
        commit="491b20580ad90f6019f29e045f484b538581101a",
        file="llada/generate_baseline.py",
        function="generate",
        modelling=("adablock", "llada", "model.modeling_llada"),
        cases=(
            _fast(64, 32, "none", factor=1.0),
            _fast(64, 32, "prefix", factor=1.0),
            _fast(64, 16, "dual", factor=0.5),
            _fast(48, 24, "none", factor=2.0),
        ),
    )
)

NEWLINES = (204, 283, 285, 296, 318, 340, 360, 377, 515, 521, 522, 524, 528, 655, 680, 703)
"""Some ids of `tiny` whose text holds a newline."""


def _adablock(new: int, block: int, cache: str, tau: float, threshold: float) -> Case:
    functions = {"none": "", "prefix": "_prefix_cache", "dual": "_dual_cache"}
    theirs = {"function": f"generate_adablock{functions[cache]}", "gen_length": new, "init_block_length": block}
    theirs |= {"threshold": threshold, "delimiter_threshold": tau, "delimiter_ids": list(NEWLINES)}
    spec = f"adablock({tau}, delimiters='{' '.join(map(str, NEWLINES))}')+threshold({threshold})"
    return Case(theirs, spec, {"cache": cache, "block_length": block})


add(
    Method(
        name="adablock",
        repository="lgxi24/AdaBlock-dLLM",
        commit="491b20580ad90f6019f29e045f484b538581101a",
        file="llada/generate_adablock.py",
        function="generate_adablock",
        modelling=("adablock", "llada", "model.modeling_llada"),
        cases=tuple(
            _adablock(new, block, cache, tau, threshold)
            for new, block, tau, threshold in ((64, 16, 0.3, 0.9), (64, 32, 0.5, 0.7))
            for cache in ("none", "prefix", "dual")
        ),
    )
)


def _dus(new: int, block: int, base: int) -> Case:
    theirs = {"gen_length": new, "block_length": block, "base": base, "scheduler": "dilated", "remasking": "none"}
    return Case(theirs, f"dus({base})")


add(
    Method(
        name="dus",
        repository="omerlux/DUS",
        commit="abd7723fd0fd39a2881ddaa8f96ddab2ad3c44a0",
        file="generate.py",
        function="generate_scheduled",
        cases=(_dus(64, 32, 2), _dus(48, 24, 2), _dus(64, 32, 3), _dus(64, 32, 4), _dus(60, 10, 2), _dus(42, 21, 5)),
    )
)


def _eotp(new: int, block: int, steps: int) -> Case:
    theirs = {"gen_length": new, "block_length": block, "steps": steps}
    return Case(theirs, "eotp(paper)+llada", {"steps": steps, "ignore_eos": False})


add(
    Method(
        name="eotp",
        repository="ims-kdks/Learning-to-Parallel-Decoding",
        commit="342293ce0a69d3e9917e445c647bed359e99aa80",
        file="llada/generate.py",
        function="generate_predict_eot",
        precision="float32",
        cases=(_eotp(64, 64, 64), _eotp(64, 16, 32), _eotp(64, 32, 16), _eotp(48, 8, 24)),
    )
)


def _learn2pd(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    from safetensors.torch import load_file
    from torch import nn

    weights = load_file(FILTER)
    width = len(weights["out.bias"])
    network = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
    parts = {"0": "hidden", "2": "out"}
    network.load_state_dict({f"{i}.{leaf}": weights[f"{of}.{leaf}"] for i, of in parts.items() for leaf in LEAVES})
    return module.generate_learn2parallel(model, network, options.pop("accept"), prompt, **options)


def _learn2pd_case(new: int, block: int, gamma: float) -> Case:
    theirs = {"gen_length": new, "block_length": block, "steps": new, "accept": gamma}
    return Case(theirs, f"learn2pd(gamma={gamma})")


add(
    Method(
        name="learn2pd",
        repository="ims-kdks/Learning-to-Parallel-Decoding",
        commit="342293ce0a69d3e9917e445c647bed359e99aa80",
        file="llada/generate.py",
        function="generate_learn2parallel",
        call=_learn2pd,
        precision="float32",
        cases=(_learn2pd_case(64, 32, 0.96), _learn2pd_case(64, 32, 0.8), _learn2pd_case(32, 32, 0.5)),
    )
)


def _llada(new: int, block: int, steps: int, scheduler: str = "llada", **more: Any) -> Case:
    ours = {"steps": steps, **({"cfg_scale": more["cfg_scale"]} if "cfg_scale" in more else {})}
    return Case({"gen_length": new, "block_length": block, "steps": steps, **more}, scheduler, ours)


def _call_llada(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    return module.generate(model, prompt, prompt.new_ones(prompt.shape), **options)


add(
    Method(
        name="llada",
        repository="ML-GSAI/LLaDA",
        commit="b7e6c3565f194352da44b38dd12b6970597309f3",
        file="generate.py",
        function="generate",
        modelling=("fast-dllm", "llada", "model.modeling_llada"),
        call=_call_llada,
        precision="float32",
        cases=(
            _llada(64, 64, 64),
            _llada(64, 16, 32),
            _llada(64, 32, 10),
            _llada(48, 24, 24, cfg_scale=0.5),
            _llada(32, 16, 16, "llada(logits_eos_inf=true)", logits_eos_inf=True),
            replace(
                _llada(32, 16, 16, "llada(confidence_eos_eot_inf=true)", confidence_eos_eot_inf=True),
                muted=(EOS, END_OF_TURN),
            ),
        ),
    )
)


def _eb(new: int, gamma: float) -> Case:
    return Case({"gen_length": new, "gamma": gamma}, f"eb({gamma})")


add(
    Method(
        name="eb",
        repository="NEUIR/PC-Sampler",
        commit="8b106b09877b2f69085db1b7bd7c1cc1e935d5a5",
        file="src/generate.py",
        function="generate_with_eb_sampler",
        precision="float32",
        cases=(_eb(64, 0.1), _eb(64, 0.01), _eb(32, 1.0)),
    )
)


def _order(function: str, new: int, k: int, by: str) -> Case:
    theirs = {"function": function, "gen_length": new, "block_length": new, "steps": new // k}
    return Case(theirs, f"topk({k}, by={by})")


add(
    Method(
        name="topk",
        repository="NEUIR/PC-Sampler",
        commit="8b106b09877b2f69085db1b7bd7c1cc1e935d5a5",
        file="src/generate.py",
        function="generate",
        precision="float32",
        cases=tuple(
            _order(function, new, k, by)
            for function, by in (
                ("generate", "confidence"),
                ("generate_with_margin", "margin"),
                ("generate_with_entropy", "entropy"),
            )
            for new, k in ((32, 1), (48, 3))
        ),
    )
)


def _localleap(new: int, block: int, anchor: float, relaxed: float, radius: int) -> Case:
    theirs = {"gen_length": new, "block_length": block, "steps": new, "local_leap": True}
    theirs |= {"threshold": anchor, "relaxed_threshold": relaxed, "radius": radius}
    return Case(theirs, f"localleap({anchor}, relaxed={relaxed}, radius={radius})")


add(
    Method(
        name="localleap",
        repository="lizhuo-luo/DAWN",
        commit="ab428980e325e85b04b100e1dd27ed1ad4ddb005",
        file="llada/generate.py",
        function="generate",
        modelling=("dawn", "llada", "model.modeling_llada"),
        cases=(_localleap(64, 32, 0.9, 0.75, 4), _localleap(64, 16, 0.9, 0.5, 2), _localleap(48, 48, 0.8, 0.3, 8)),
    )
)


def _dinfer(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    from sampler.generate_uniform import BlockWiseDiffusionLLM  # type: ignore[import-not-found]
    from sampler.utils import BlockIteratorFactory  # type: ignore[import-not-found]

    new, block, decoder = (options.pop(name) for name in ("gen_length", "block_length", "decoder"))
    rule = getattr(module, decoder)(temperature=0, mask_id=MASK, eos_id=-1, **options)
    loop = BlockWiseDiffusionLLM(model, rule, BlockIteratorFactory(), early_stop=False, maximum_unroll=1)
    return loop.generate(prompt, new, block)


def _dinfer_case(scheduler: str, decoder: str, new: int, block: int, **options: float) -> Case:
    return Case({"decoder": decoder, "gen_length": new, "block_length": block, **options}, scheduler)


add(
    Method(
        name="dinfer",
        repository="inclusionAI/dInfer",
        commit="fce4e32804103baa5d55230dff0352da0cdd6ceb",
        file="python/dinfer/decoding/parallel_strategy.py",
        function="ThresholdParallelDecoder, HierarchyDecoder, CreditThresholdParallelDecoder",
        call=_dinfer,
        precision="float32",
        cases=(
            _dinfer_case("threshold(0.9)", "ThresholdParallelDecoder", 64, 32, threshold=0.9),
            _dinfer_case("threshold(0.6)", "ThresholdParallelDecoder", 48, 16, threshold=0.6),
            _dinfer_case("hierarchy(0.9, low=0.5)", "HierarchyDecoder", 64, 32, threshold=0.9, low_threshold=0.5),
            _dinfer_case("hierarchy(0.8, low=0.2)", "HierarchyDecoder", 64, 16, threshold=0.8, low_threshold=0.2),
            _dinfer_case("credit+threshold(0.9)", "CreditThresholdParallelDecoder", 64, 32, threshold=0.9),
            _dinfer_case("credit+threshold(0.7)", "CreditThresholdParallelDecoder", 48, 16, threshold=0.7),
        ),
    )
)
