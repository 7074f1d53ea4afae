"""The table of model families, keyed on `architectures[0]` of a checkpoint's config.

`model_type` is not looked at: published checkpoints of different families share one.
"""

from __future__ import annotations

from importlib import import_module

from dllm.errors import ModelError, nearest
from dllm.hub import shown
from dllm.models.families.config import ConfigReader
from dllm.models.families.family import AnyFamily

FAMILY_FILES = (
    *("llada", "llada_moe", "llada2", "dream", "sdar", "fast_dllm_v2", "a2d"),
    *("illada", "dream_reasoner", "modernbert"),
)
"""The family files of this folder. What each declares is in the table, in this order, which messages follow."""


def _declared() -> tuple[AnyFamily, ...]:
    found: list[AnyFamily] = []
    for file in FAMILY_FILES:
        module = import_module(f"dllm.models.families.{file}")
        found += [one for one in vars(module).values() if isinstance(one, AnyFamily) and one not in found]
    return tuple(found)


TABLE = _declared()
FAMILIES: dict[str, AnyFamily] = {name: family for family in TABLE for name in family.architectures}


def family_of(config: ConfigReader) -> AnyFamily:
    """The family of a checkpoint.

    Raises:
        ModelError: `architectures` is missing or names none that is known.
    """
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures or not isinstance(architectures[0], str):
        raise ModelError(f"{config.source}: 'architectures' is {shown(architectures)}; it is like ['LLaDAModelLM']")
    name = architectures[0]
    if name not in FAMILIES:
        never = "Code that comes with a checkpoint is never run. " if "auto_map" in config.values else ""
        hint = nearest(name[:80], FAMILIES)
        raise ModelError(
            f"{config.source}: architecture {shown(name)} is not one of {', '.join(FAMILIES)}.{hint} {never}Any "
            "other model can be passed as an object with logits(), see dllm.models.base.Denoiser"
        )
    return FAMILIES[name]
