"""Weight-only int8 and int4 for the matrices of the decoder blocks, so that an 8B model fits a small card.

Activations stay as they are. int8 is torchao's `Int8WeightOnlyConfig`: one symmetric scale for each output. int4 is
chosen by torchao's primitives, asymmetric in groups of 32 inputs, and kept here, two codes a byte: of the 4-bit layouts
of torchao 0.18 one runs on CUDA only (bfloat16, compute capability 8.0), two need the package mslk, one an XPU, and
`IntxWeightOnlyConfig` takes a byte a code. A product makes the layer's weight anew in the dtype of its input, for that
one layer and product: memory is saved, time is not.

The embedding and the head stay in the network's dtype (what the head loses is lost in the logits themselves), as do
norms, biases and routers. An approximation: `benchmarks/quantized_agreement.py` measures by how much.

Import this module only where it is used: it imports torchao, which takes a second or two.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dllm.errors import ConfigError, ModelError
from dllm.models.network.packed import Linear, can_pack


@contextmanager
def _quiet() -> Iterator[None]:
    """torchao warns at import of kernels for large cards that do not load here; none of them is used."""
    loggers = [logging.getLogger(name) for name in ("torchao", "torch.utils._pytree")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


try:
    with _quiet():
        from torchao.quantization import Int8Tensor, PerRow
        from torchao.quantization.quant_primitives import MappingType, choose_qparams_affine, quantize_affine
        from torchao.utils import TorchAOBaseTensor
except ImportError as error:
    raise ConfigError(
        f"quantize needs torchao 0.18 or newer ({error}); pip install 'dllm-engine[quantize]', or leave quantize out"
    ) from error

INT4_GROUP = 32
"""Inputs that share a scale in int4; fewer where the width is no multiple of it."""
LEAST_INT4_GROUP = 16
"""Of a smaller group, scale and zero point would take more than 1.5 bits a weight."""


class Int8Weight(Int8Tensor):  # type: ignore[misc]
    """torchao's int8 weight, `[outputs, inputs]`, with a product whose rows keep their bits on a CPU; see `product`."""


class Int4Weight(TorchAOBaseTensor):  # type: ignore[misc]
    """A weight of 4-bit codes: `(code - zero_point) * scale`, of one group of inputs each.

    Attributes:
        qdata: `[outputs, inputs / 2]` uint8; the low bits are the first half of the columns, the high bits the second.
        scale: `[outputs, groups]` in the dtype the weight had.
        zero_point: `[outputs, groups]` uint8, 0..15.
    """

    tensor_data_names: ClassVar[list[str]] = ["qdata", "scale", "zero_point"]
    tensor_attribute_names: ClassVar[list[str]] = []

    qdata: Tensor
    scale: Tensor
    zero_point: Tensor

    def __new__(cls, qdata: Tensor, scale: Tensor, zero_point: Tensor) -> Int4Weight:
        shape = (qdata.shape[0], 2 * qdata.shape[1])
        made: Int4Weight = Tensor._make_wrapper_subclass(
            cls, shape, dtype=scale.dtype, device=qdata.device, requires_grad=False
        )
        return made

    def __init__(self, qdata: Tensor, scale: Tensor, zero_point: Tensor) -> None:
        self.qdata, self.scale, self.zero_point = qdata, scale, zero_point

    @classmethod
    def from_hp(cls, weight: Tensor) -> Int4Weight:
        """Of `[outputs, inputs]` floats; inputs are a multiple of `LEAST_INT4_GROUP`."""
        block = (1, math.gcd(weight.shape[1], INT4_GROUP))
        wide = weight.float()  # the codes are chosen in float32, against the scale as it is stored
        scale, zero_point = choose_qparams_affine(
            wide,
            MappingType.ASYMMETRIC,
            block,
            torch.uint8,
            quant_min=0,
            quant_max=15,
            eps=torch.finfo(torch.float32).eps,
            scale_dtype=weight.dtype,
            zero_point_dtype=torch.uint8,
            keepdim=True,
        )
        codes = quantize_affine(wide, block, scale.float(), zero_point, torch.uint8, quant_min=0, quant_max=15)
        low, high = codes.chunk(2, dim=1)
        return cls(low | high << 4, scale, zero_point)

    def dequantize(self, dtype: torch.dtype | None = None) -> Tensor:
        """`[outputs, inputs]`, in the dtype the weight had, or another."""
        outputs, groups = self.scale.shape
        out = torch.empty(self.shape, dtype=dtype or self.dtype, device=self.qdata.device)
        low, high = out.chunk(2, dim=1)
        low.copy_(self.qdata & 15)
        high.copy_(self.qdata >> 4)
        grouped = out.view(outputs, groups, -1)
        grouped.sub_(self.zero_point[..., None]).mul_(self.scale[..., None].to(out.dtype))
        return out


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`[N, inputs]` -> `[N, outputs]` by a plain weight.

    On a CPU by oneDNN, as packed layers are: its float32 products keep a row's bits whatever the other rows are, which
    MKL's do not at widths of about 1,500 and more.
    """
    if can_pack(weight):
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return out
    return F.linear(x, weight, bias)


Types = Sequence[type]


def _int8_linear(func: object, types: Types, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """As torchao's: a product by the codes, then the scale of each output."""
    x, weight, bias = _arguments(*args, **kwargs)
    out: Tensor = product(x, weight.qdata.to(x.dtype), None) * weight.scale.to(x.dtype).flatten()
    return out if bias is None else out + bias


def _int4_linear(func: object, types: Types, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    x, weight, bias = _arguments(*args, **kwargs)
    return product(x, weight.dequantize(x.dtype), bias)


def _arguments(input: Tensor, weight: Any, bias: Tensor | None = None) -> tuple[Tensor, Any, Tensor | None]:
    """Those of `F.linear`, under its names."""
    return input, weight, bias


Int8Weight.implements_torch_function(F.linear)(_int8_linear)
Int4Weight.implements_torch_function(F.linear)(_int4_linear)


def int8(weight: Tensor) -> Tensor:
    """A matrix in int8, `[outputs, inputs]` codes and one float32 scale an output."""
    quantized: Tensor = Int8Weight.from_hp(weight, granularity=PerRow())
    return quantized


def int4(weight: Tensor) -> Tensor:
    """A matrix in int4. Raises ModelError where the width leaves no sensible group."""
    if weight.shape[1] % LEAST_INT4_GROUP:
        raise ModelError(
            f"quantize='int4': a layer has {weight.shape[1]} inputs, which must be a multiple of {LEAST_INT4_GROUP}; "
            "quantize='int8' takes any"
        )
    return Int4Weight.from_hp(weight)


METHODS: Mapping[str, Callable[[Tensor], Tensor]] = {"int8": int8, "int4": int4}


def takes(network: nn.Module, name: str) -> bool:
    """Whether a parameter is quantized: a matrix of a decoder block, and no router."""
    path, _, leaf = name.rpartition(".")
    matrix = leaf == "weight" and isinstance(network.get_submodule(path), Linear)
    return matrix and path.startswith("blocks.") and not path.endswith(".router")


def quantize_parameter(network: nn.Module, name: str, method: str) -> None:
    """Quantize one parameter in place, on its device, if it is one that is quantized.

    Called as each parameter is filled, so that no more than one of them is whole at a time.
    """
    if not takes(network, name):
        return
    layer = network.get_submodule(name.rpartition(".")[0])
    with torch.no_grad():
        weight = METHODS[method](network.get_parameter(name).detach())
    layer.register_parameter("weight", nn.Parameter(weight, requires_grad=False))


def weight_bytes(network: nn.Module) -> int:
    """Bytes of all parameters as they are kept, codes, scales and zero points included; of packed layers, nothing."""
    return sum(kept_bytes(parameter) for parameter in network.parameters())


def kept_bytes(parameter: Tensor) -> int:
    """Bytes of one."""
    if not isinstance(parameter, TorchAOBaseTensor):
        return 0 if parameter.is_meta else parameter.nbytes
    names, _ = parameter.__tensor_flatten__()
    return sum(getattr(parameter, name).nbytes for name in names)
