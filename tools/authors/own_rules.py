"""The methods with a rule of their own: KLASS, WINO, Saber, Prophet, DUS, EoTP, Learn2PD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.authors.method import Method, Pairing, add

FILTER = Path(__file__).parents[2] / "dllm" / "schedulers" / "filters" / "tiny.safetensors"


def _klass(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    return module.stable_confident_decode(model, None, prompt, steps=options["gen_length"], alg="klass", **options)


def _klass_case(new: int, block: int, tau: float, epsilon: float, history: int) -> Pairing:
    theirs = {"conf_threshold": tau, "kl_threshold": epsilon, "kl_history_length": history}
    spec = f"klass({tau}, epsilon={epsilon}, history={history})"
    return Pairing({"gen_length": new, "block_length": block, **theirs}, spec)


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


def _wino_case(new: int, block: int, accept: float, revoke: float) -> Pairing:
    theirs = {"gen_length": new, "block_length": block, "threshold": accept, "threshold_back": revoke}
    return Pairing(theirs, f"wino({accept}, revoke={revoke})")


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


def _saber_case(new: int, block: int, least: int) -> Pairing:
    return Pairing({"gen_length": new, "block_length": block, "n": least}, f"saber(n={least})")


add(
    Method(
        name="saber",
        repository="zhaoyMa/Saber",
        commit="2f061e2e07359e27479174e862f46db5f9791c6c",
        file="decoding.py",
        function="generate_with_saber",
        precision="float32",
        cases=(_saber_case(64, 64, 2), _saber_case(64, 16, 2), _saber_case(64, 32, 1), _saber_case(48, 24, 2)),
    )
)


def _prophet(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    start = prompt.shape[1] + options.pop("answer_start")
    return module.generate(model, prompt, analyze_gap=True, answer_start_pos=start, **options)


def _prophet_case(new: int, block: int, k: int, start: int, gaps: tuple[float, float, float]) -> Pairing:
    early, middle, late = gaps
    theirs = {"early_exit_thresholds": {"early": early, "mid": middle, "late": late}, "answer_start": start}
    region = f"'{start}:{start + 5}'"
    spec = f"prophet({early}, middle={middle}, late={late}, region={region})+topk({k})"
    return Pairing({"gen_length": new, "block_length": block, "steps": new // k, **theirs}, spec)


PLANTED = (287, 342, 411)
""" " the", " name" and " is": each word with a space before it, as published."""


def _prophet_planted(new: int, block: int, steps: int, gaps: tuple[float, float, float]) -> Pairing:
    early, middle, late = gaps
    place = new * 3 // 4
    theirs = {"early_exit_thresholds": {"early": early, "mid": middle, "late": late}, "answer_start": place + 4}
    theirs["constraints"] = {place + i: token for i, token in enumerate(PLANTED)}
    spec = f"prophet({early}, middle={middle}, late={late}, region='the name is', place=0.75)+llada"
    return Pairing({"gen_length": new, "block_length": block, "steps": steps, **theirs}, spec, {"steps": steps})


add(
    Method(
        name="prophet",
        repository="pixeli99/Prophet",
        commit="460afe41c7063a29a9893675aca07b985997bb83",
        file="generate_earlyexit.py",
        function="generate",
        call=_prophet,
        precision="float32",
        idle=True,
        cases=(
            _prophet_case(64, 32, 2, 20, (7.5, 5.0, 2.5)),
            _prophet_case(64, 64, 1, 12, (20.0, 18.0, 16.0)),
            _prophet_case(64, 16, 4, 10, (14.0, 12.0, 10.0)),
            _prophet_case(48, 24, 2, 30, (20.0, 16.0, 12.0)),
            _prophet_planted(64, 16, 64, (20.0, 18.0, 16.0)),
            _prophet_planted(64, 64, 32, (18.0, 15.0, 12.0)),
        ),
    )
)


def _dus(new: int, block: int, base: int) -> Pairing:
    theirs = {"gen_length": new, "block_length": block, "base": base, "scheduler": "dilated", "remasking": "none"}
    return Pairing(theirs, f"dus({base})")


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


def _eotp(new: int, block: int, steps: int) -> Pairing:
    theirs = {"gen_length": new, "block_length": block, "steps": steps}
    return Pairing(theirs, "eotp(paper)+llada", {"steps": steps, "ignore_eos": False, "cut_at_eos": "end"})


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
    network.load_state_dict(
        {f"{i}.{leaf}": weights[f"{of}.{leaf}"] for i, of in parts.items() for leaf in ("weight", "bias")}
    )
    return module.generate_learn2parallel(model, network, options.pop("accept"), prompt, **options)


def _learn2pd_case(new: int, block: int, gamma: float) -> Pairing:
    theirs = {"gen_length": new, "block_length": block, "steps": new, "accept": gamma}
    return Pairing(theirs, f"learn2pd(gamma={gamma})")


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
