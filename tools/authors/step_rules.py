"""The methods that look at one step: quotas, thresholds, entropies, and where blocks end."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from tools.authors.method import DREAM, END_OF_TURN, EOS, LLADA2, MASK, Method, Pairing, add


def _fast(new: int, block: int, cache: str, **rule: float) -> Pairing:
    functions = {"none": "generate", "prefix": "generate_with_prefix_cache", "dual": "generate_with_dual_cache"}
    theirs = {"function": functions[cache], "gen_length": new, "block_length": block, "steps": new, **rule}
    (name, value) = next(iter(rule.items()))
    return Pairing(theirs, f"{name}({value})", {"cache": cache})


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


def _adablock(new: int, block: int, cache: str, tau: float, threshold: float) -> Pairing:
    functions = {"none": "", "prefix": "_prefix_cache", "dual": "_dual_cache"}
    theirs = {"function": f"generate_adablock{functions[cache]}", "gen_length": new, "init_block_length": block}
    theirs |= {"threshold": threshold, "delimiter_threshold": tau, "delimiter_ids": list(NEWLINES)}
    spec = f"adablock({tau}, delimiters='{' '.join(map(str, NEWLINES))}')+threshold({threshold})"
    return Pairing(theirs, spec, {"cache": cache, "block_length": block})


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


def _llada(new: int, block: int, steps: int, scheduler: str = "llada", **more: Any) -> Pairing:
    ours = {"steps": steps, **({"cfg_scale": more["cfg_scale"]} if "cfg_scale" in more else {})}
    return Pairing({"gen_length": new, "block_length": block, "steps": steps, **more}, scheduler, ours)


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


def _eb(new: int, gamma: float) -> Pairing:
    return Pairing({"gen_length": new, "gamma": gamma}, f"eb({gamma})")


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


def _order(function: str, new: int, k: int, by: str) -> Pairing:
    theirs = {"function": function, "gen_length": new, "block_length": new, "steps": new // k}
    return Pairing(theirs, f"topk({k}, by={by})", by=by)


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


def _localleap(new: int, block: int, anchor: float, relaxed: float, radius: int) -> Pairing:
    theirs = {"gen_length": new, "block_length": block, "steps": new, "local_leap": True, "threshold": anchor}
    theirs |= {"relaxed_threshold": relaxed, "radius": radius}
    return Pairing(theirs, f"localleap({anchor}, relaxed={relaxed}, radius={radius})")


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


def _dinfer_case(scheduler: str, decoder: str, new: int, block: int, **options: float) -> Pairing:
    return Pairing({"decoder": decoder, "gen_length": new, "block_length": block, **options}, scheduler)


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


def _llada2(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> None:
    module.LLaDA2MoeModelLM.generate(model, prompt, mask_id=LLADA2.mask, eos_id=-1, **options)


def _llada2_case(new: int, steps: int, tau: float) -> Pairing:
    theirs = {"gen_length": new, "block_length": 8, "steps": steps, "threshold": tau}
    return Pairing(theirs, f"llada2({tau}, least={8 // steps})")


add(
    Method(
        name="llada2",
        repository="ZHZisZZ/dllm",
        commit="ca176752fbceec49c6b4777a2c18ae88e4eb10ed",
        file="dllm/pipelines/llada2/models/modeling_llada2_moe.py",
        function="LLaDA2MoeModelLM.generate",
        modelling=("zhziszz-dllm", "dllm/pipelines/llada2", "models.modeling_llada2_moe"),
        checkpoint=LLADA2,
        call=_llada2,
        patches={".to(torch.bfloat16)": ".to(torch.float32)"},  # of a mask that else only fits bfloat16
        precision="float32",
        cases=(_llada2_case(20, 8, 0.95), _llada2_case(36, 4, 0.03), _llada2_case(20, 8, 0.02)),
    )
)


def _dream(module: Any, model: Any, prompt: Any, options: dict[str, Any]) -> Any:
    new, block, steps = (options.pop(name) for name in ("gen_length", "block_length", "steps"))
    plain = dict.fromkeys(("output_history", "return_dict_in_generate", "top_p", "top_k", "alg_temp"))
    settings = SimpleNamespace(
        **plain, max_length=prompt.shape[1] + new, mask_token_id=DREAM.mask, steps=steps, temperature=0.0, eps=1e-3
    )
    settings.alg = "confidence_threshold"
    loop = "_sample"  # which the public function calls, with settings of a class of transformers
    return getattr(module.DreamGenerationMixin, loop)(model, prompt, None, settings, block_length=block, **options)


def _dream_case(new: int, block: int, cache: str, tau: float) -> Pairing:
    theirs = {"gen_length": new, "block_length": block, "steps": new, "threshold": tau, "dual_cache": cache == "dual"}
    return Pairing(theirs, f"block_first+threshold({tau})", {"cache": f"{cache}(neighbour=needed)"})


add(
    Method(
        name="dream_block",
        repository="NVlabs/Fast-dLLM",
        commit="24cc59e75f20a6384bae8c905965bb090b96388e",
        file="dream/model/generation_utils_block.py",
        function="DreamGenerationMixin._sample",
        modelling=("fast-dllm", "dream", "model.modeling_dream"),
        checkpoint=DREAM,
        call=_dream,
        precision="float32",
        cases=tuple(
            _dream_case(new, block, cache, tau)
            for new, block, tau in ((20, 10, 0.04), (36, 6, 0.06))
            for cache in ("prefix", "dual")
        ),
    )
)
