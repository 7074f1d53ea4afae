"""The methods of 2025's end and 2026: SchED, SlowFast, PC-Sampler, ReMDM, RCR, P2, d3LLM."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from tools.authors.method import MASK, Method, Pairing, add

TABLE = Path(__file__).parents[2] / "dllm" / "schedulers" / "frequencies" / "tiny.json"


class _Plain:
    """The recording model for a loop that hands it an attention mask and positions, which say nothing here."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, input_ids: Any, *rest: Any, **options: Any) -> Any:
        return self.model(input_ids)


def _sched(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    new = options.pop("gen_length")
    options |= {"max_new_tokens": new, "mask_token_id": MASK, "return_stats": False}
    return module.diffusion_generate_schedule(_Plain(model), prompt, **options)


def _sched_case(new: int, steps: int, shape: str, high: float, low: float, rate: float, change: float) -> Pairing:
    theirs = {"tau_mode": shape, "tau_high": high, "tau_low": low, "tau_k": rate, "max_change_ratio": change}
    spec = f"sched({high}, low={low}, shape={shape}, rate={rate}, change={change})+dream(maskgit_plus)"
    # not by entropy: theirs adds 1e-10 to each probability, and orders near-certain positions by that
    return Pairing({"gen_length": new, "steps": steps, "alg": "maskgit_plus", **theirs}, spec, {"steps": steps})


add(
    Method(
        name="sched",
        repository="amr-mohamedd/SchED",
        commit="75534c3214d3711ee4f8ab090518f7598483416f",
        file="dream_sampling/sched.py",
        function="diffusion_generate_schedule",
        call=_sched,
        # its loop is for a model that predicts a position from the one before it; `tiny` does not
        patches={"logits = torch.cat([logits[:, :1], logits[:, :-1]], dim=1)": "pass"},
        precision="float32",
        cases=(
            _sched_case(64, 32, "cosine", 7.5, 2.5, 4.0, 0.0),
            _sched_case(64, 16, "cosine", 20.0, 12.0, 4.0, 0.0),
            _sched_case(48, 24, "linear", 22.0, 10.0, 4.0, 0.1),
            _sched_case(64, 32, "exp", 30.0, 6.0, 2.0, 1.0),
            _sched_case(64, 32, "exp", 30.0, 14.0, 4.0, 0.0),
        ),
    )
)


def _slowfast(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> None:
    module.generate_slow_fast_sampling(prompt, None, model, mask_id=MASK, **options)  # it returns the answer alone


def _slowfast_case(new: int, block: int, tau: float, explore: int, reach: float, window: int, spread: float) -> Pairing:
    theirs = {"gen_length": new, "block_length": block, "high_confidence_threshold": tau}
    theirs |= {"k_exploration_steps": explore, "cycle_len_confidence_threshold": reach}
    theirs |= {"cycle_length_stability_window": window, "cycle_length_stability_std_dev_threshold": spread}
    spec = f"slowfast({tau}, explore={explore}, reach={reach}, window={window}, spread={spread})"
    return Pairing(theirs, spec)


add(
    Method(
        name="slowfast",
        repository="LiangrunFlora/Slow-Fast-Sampling",
        commit="dd9958fe5fdba706c3c51d5c85fa72e093ae66eb",
        file="slow-fast-sampling/sampling_utils/generate_slow_fast_sampling.py",
        function="generate_slow_fast_sampling",
        call=_slowfast,
        patches={  # what it imports for its cache, its plots and its harness
            "from dllm_cache import FeatureCache": "",
            "feature_cache = FeatureCache()": "",
            "feature_cache.reset_cache(prompt_length,gen_length=gen_length)": "",
            "import accelerate": "",
            "import matplotlib.pyplot as plt": "",
            "import seaborn as sns": "",
            "from sampling_utils.plot_confidence_map import plot_confidence_heatmap": "",
        },
        precision="float32",
        idle=True,
        cases=(
            _slowfast_case(64, 64, 0.9, 6, 0.3, 2, 1.0),
            _slowfast_case(64, 32, 0.9, 6, 0.3, 2, 1.0),
            _slowfast_case(64, 64, 0.99, 2, 0.9, 2, 1.0),
            _slowfast_case(64, 32, 0.999, 3, 0.99, 2, 1.0),
            _slowfast_case(48, 24, 0.99, 1, 0.9, 3, 2.0),
            _slowfast_case(64, 16, 0.7, 2, 0.5, 2, 4.0),
        ),
    )
)


def _pc(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    return module.generate_with_pc_sampler(model, prompt, baseline_name=str(TABLE), **options)


def _pc_case(new: int, block: int, decay: float, cap: float, k: int) -> Pairing:
    theirs = {"gen_length": new, "block_length": block, "steps": new // k, "lambd": decay, "alpha": cap}
    return Pairing(theirs, f"pc({decay}, cap={cap}, k={k})")


add(
    Method(
        name="pc",
        repository="NEUIR/PC-Sampler",
        commit="8b106b09877b2f69085db1b7bd7c1cc1e935d5a5",
        file="src/generate.py",
        function="generate_with_pc_sampler",
        call=_pc,
        precision="float32",
        cases=(
            _pc_case(64, 64, 0.25, 10.0, 1),
            _pc_case(64, 64, 0.0, 10.0, 1),
            _pc_case(64, 32, 1.0, 10.0, 1),
            _pc_case(48, 24, 0.05, 4.0, 2),
        ),
    )
)


def _remdm(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    return module.llada_remdm_sample(model, prompt, mask_id=MASK, tokenizer=model, **options)


def _remdm_case(new: int, block: int, steps: int, n: int, loops: int) -> Pairing:
    theirs = {"gen_length": new, "block_length": block, "steps": steps, "remdm_number": n, "remdm_steps": loops}
    return Pairing(theirs, f"remdm({n}, loops={loops})", {"steps": steps})


add(
    Method(
        name="remdm",
        repository="furiosa-ai/ParallelBench",
        commit="72de8f73246ae5b7c742c7eeae9a9853a90084ac",
        file="model/remasking/llada/remdm.py",
        function="llada_remdm_sample",
        call=_remdm,
        idle=True,
        cases=(
            _remdm_case(32, 32, 32, 1, 32),
            _remdm_case(32, 32, 32, 4, 32),
            _remdm_case(64, 16, 64, 2, 8),
            _remdm_case(64, 64, 16, 3, 6),  # loops behind the last step
        ),
    )
)


def _rcr(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    return module.generate_dlm(model, prompt, mask_id=MASK, overtime_conf=True, **options)


def _rcr_case(new: int, block: int, steps: int) -> Pairing:
    return Pairing({"gen_length": new, "block_length": block, "steps": steps}, "rcr", {"steps": steps})


add(
    Method(
        name="rcr",
        repository="furiosa-ai/ParallelBench",
        commit="72de8f73246ae5b7c742c7eeae9a9853a90084ac",
        file="model/remasking/llada/mdpo_rcr.py",
        function="generate_dlm",
        call=_rcr,
        # no mixed precision on the CPU, and confidences kept as they are: float32 would round the near-certain to 1
        patches={
            'torch.amp.autocast("cuda", enabled=True)': 'torch.amp.autocast("cpu", enabled=False)',
            "torch.zeros_like(x, dtype=torch.float32)": "torch.zeros_like(x, dtype=torch.float64)",
        },
        precision="float32",
        cases=(_rcr_case(64, 64, 64), _rcr_case(64, 32, 32), _rcr_case(64, 64, 8), _rcr_case(64, 16, 16)),
    )
)


def _p2(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    new = options.pop("gen_length")
    canvas = torch.cat([prompt, torch.full((1, new), MASK)], dim=1)
    fixed = {"mask_token_id": MASK, "max_length": canvas.shape[1], "eps": 1e-3, "alg": "p2"}
    fixed |= {"alg_temp": None, "temperature": 0.0, "top_p": None, "top_k": None}
    fixed |= {"output_history": False, "return_dict_in_generate": False}
    sample = module.MDMGenerationMixin._mdm_sample  # noqa: SLF001 - the public method makes a config first
    sample(_Named(model), canvas, None, SimpleNamespace(**fixed, **options))


class _Named(_Plain):
    """The same, for a loop that hands the ids over by name, as a method of its model."""

    config = SimpleNamespace(pad_token_id=None)

    def __call__(self, input_ids: Any, **options: Any) -> Any:
        return self.model(input_ids)


def _p2_case(new: int, steps: int) -> Pairing:
    return Pairing({"gen_length": new, "steps": steps}, "p2", {"steps": steps})


add(
    Method(
        name="p2",
        repository="pengzhangzhi/Open-dLLM",
        commit="8b38787794e7e13e74ab6f5d2ec9240595a1a777",
        file="veomni/models/transformers/qwen2/generation_utils.py",
        function="_mdm_sample",
        call=_p2,
        patches={
            "logits = torch.cat([logits[:, :1], logits[:, :-1]], dim=1)": "pass",
            "torch.softmax(logits.float(), dim=-1)": "torch.softmax(logits, dim=-1)",
        },
        precision="float32",
        cases=(_p2_case(64, 64), _p2_case(64, 32), _p2_case(32, 8), _p2_case(64, 4)),
    )
)


def _multiblock(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    new, block = options.pop("gen_length"), options.pop("block_length")
    return module.generate_multi_block(
        model, prompt, max_new_tokens=new, block_size=block, mask_id=MASK, decoded_token_threshold=0.95, **options
    )


def _multiblock_case(new: int, block: int, entropy: float, add: float) -> Pairing:
    theirs = {"gen_length": new, "block_length": block, "threshold": entropy, "block_add_threshold": add}
    return Pairing(theirs, f"multiblock({entropy}, add={add})", by="entropy")


add(
    Method(
        name="multiblock",
        repository="hao-ai-lab/d3LLM",
        commit="e5bfcaccb775ee75759c24ccc9a28218b8372b34",
        file="d3llm/d3llm_LLaDA/d3llm_llada_generate_util.py",
        function="generate_multi_block",
        call=_multiblock,
        patches={"from utils.utils_LLaDA.model.modeling_llada import LLaDAModelLM": ""},  # its model with a cache
        cases=(
            _multiblock_case(64, 32, 0.5, 0.1),
            _multiblock_case(64, 16, 0.4, 0.1),
            _multiblock_case(64, 8, 0.1, 0.5),
            _multiblock_case(48, 8, 0.01, 0.3),
            _multiblock_case(64, 16, 0.2, 1.0),
        ),
    )
)
