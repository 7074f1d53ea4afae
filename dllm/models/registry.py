"""The table of model families, keyed on `architectures[0]` of a checkpoint's config.

`model_type` is not looked at: published checkpoints of different families share one.
"""

from __future__ import annotations

from dllm.errors import ModelError, nearest
from dllm.models.dream import DREAM
from dllm.models.family import Family, Settings
from dllm.models.llada import LLADA

FAMILIES: dict[str, Family] = {name: family for family in (LLADA, DREAM) for name in family.architectures}


def family_of(settings: Settings) -> Family:
    """The family of a checkpoint.

    Raises:
        ModelError: `architectures` is missing or names none that is known.
    """
    architectures = settings.get("architectures")
    if not isinstance(architectures, list) or not architectures or not isinstance(architectures[0], str):
        raise ModelError(f"{settings.source}: 'architectures' is {architectures!r}; it must be like ['LLaDAModelLM']")
    name = architectures[0]
    if name not in FAMILIES:
        raise ModelError(
            f"{settings.source}: architecture {name!r} is not one of {', '.join(FAMILIES)}.{nearest(name, FAMILIES)} "
            "Any other model can be passed as an object with logits(), see dllm.models.base.Denoiser"
        )
    return FAMILIES[name]
