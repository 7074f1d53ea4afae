"""The forward on CUDA: the decoder's matrix products with Triton kernels between them, under CUDA graphs.

`layout.py` lays a ragged set of rows out as one table of integers, `forward.py` runs the layers over it, `graphs.py`
replays them where they are small, `kernels.py` holds what is not a matrix product. The modules in `layers.py` say what
is computed; tests compare the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dllm.models.base import RowInput
from dllm.models.network.decoder import Decoder
from dllm.sampling.installed import has_triton

if TYPE_CHECKING:
    from dllm.models.network.cuda.graphs import Runner


def usable(network: Decoder, rows: Sequence[RowInput]) -> bool:
    """Whether this forward can run here: on one CUDA card, without shadows, for a dense family of full attention.

    Quantized weights go by the plain modules.
    """
    spec = network.spec
    unknown = (spec.projection_norm, spec.head_norm, spec.block, spec.rotary_dim, spec.clip, spec.moe)
    return (
        network.kernels
        and network.quantized is None
        and network.device.type == "cuda"
        and has_triton()
        and not any(unknown)
        and not hasattr(network.embed, "_hf_hook")
        and all(row.shadows is None for row in rows)
    )


def new_runner() -> Runner:
    """Imported here, since what is below needs Triton."""
    from dllm.models.network.cuda.graphs import Runner

    return Runner()
