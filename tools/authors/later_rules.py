"""The methods of 2025's end and 2026: SchED."""

from __future__ import annotations

from typing import Any

from tools.authors.method import MASK, Method, Pairing, add


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
