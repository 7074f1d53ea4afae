"""The table of model families, keyed on `architectures[0]` of a checkpoint's config.

`model_type` is not looked at: published checkpoints of different families share one.
"""

from __future__ import annotations

from dllm.errors import ModelError, nearest
from dllm.models.families.a2d import A2D_LLAMA, A2D_QWEN2, A2D_QWEN3
from dllm.models.families.config import ConfigReader
from dllm.models.families.dream import DREAM
from dllm.models.families.dream_reasoner import DREAM_REASONER
from dllm.models.families.family import AnyFamily
from dllm.models.families.fast_dllm_v2 import FAST_DLLM_V2
from dllm.models.families.illada import ILLADA
from dllm.models.families.llada import LLADA
from dllm.models.families.llada2 import LLADA2
from dllm.models.families.llada_moe import LLADA_MOE
from dllm.models.families.modernbert import MODERNBERT
from dllm.models.families.sdar import SDAR

TABLE: tuple[AnyFamily, ...] = (
    *(LLADA, LLADA_MOE, LLADA2, DREAM, SDAR, FAST_DLLM_V2, A2D_QWEN3, A2D_QWEN2, A2D_LLAMA),
    *(ILLADA, DREAM_REASONER, MODERNBERT),
)
FAMILIES: dict[str, AnyFamily] = {name: family for family in TABLE for name in family.architectures}


def family_of(config: ConfigReader) -> AnyFamily:
    """The family of a checkpoint.

    Raises:
        ModelError: `architectures` is missing or names none that is known.
    """
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures or not isinstance(architectures[0], str):
        raise ModelError(f"{config.source}: 'architectures' is {architectures!r}; it must be like ['LLaDAModelLM']")
    name = architectures[0]
    if name not in FAMILIES:
        never = "Code that comes with a checkpoint is never run. " if "auto_map" in config.values else ""
        raise ModelError(
            f"{config.source}: architecture {name!r} is not one of {', '.join(FAMILIES)}.{nearest(name, FAMILIES)} "
            f"{never}Any other model can be passed as an object with logits(), see dllm.models.base.Denoiser"
        )
    return FAMILIES[name]
