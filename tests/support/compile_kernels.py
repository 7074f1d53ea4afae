"""Compile every Triton kernel for a card (compute capability 9.0), which needs none. Run by test_cuda_kernels.py.

`attend` takes most of the time. With the argument `covering` it is compiled for half of the combinations, in which any
two of type, size and number of queries meet and of which none takes long; with `all` for every one.
"""

import sys

from triton import compile as build
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from dllm.models.network.cuda import kernels
from dllm.models.network.cuda.forward import HEADS, KEYS, STAGES, WARPS
from dllm.sampling import peaks_triton as confidence_triton

CARD = GPUTarget("cuda", 90, 32)
COUNTS = dict.fromkeys(("tokens", "rows", "layer", "heads", "kv_heads", "share", "shares"), "i32")
SHARED = 227 * 1024


def check(kernel, constants, **types):
    """Compiles, and fits the card's shared memory."""
    options = {name: constants.pop(name) for name in ("num_warps", "num_stages") if name in constants}
    signature = {name: "constexpr" if name in constants else (COUNTS | types)[name] for name in kernel.arg_names}
    built = build(ASTSource(kernel, signature, constexprs=constants), target=CARD, options=options)
    assert built.metadata.shared <= SHARED, (kernel.__name__, constants, built.metadata.shared)
    print(kernel.__name__, constants, built.metadata.shared)


for dtype in ("*bf16", "*fp32"):
    for size, add in ((4096, True), (64, False)):
        check(
            kernels.norm,
            {"size": size, "add": add},
            x=dtype,
            update=dtype,
            weight=dtype,
            out=dtype,
            width="i32",
            eps="fp32",
        )
    check(kernels.gated, {"size": 1024}, both=dtype, out=dtype, width="i32")
    angles = {"qkv": dtype, "cos": "*fp32", "sin": "*fp32", "table": "*i64"}
    for size in (128, 16):
        check(kernels.rotate, {"size": size, "half": size // 2, "block": HEADS, "wide": size == 128}, **angles)
        for queries, shares in ((16, 2), (32, 8), (64, 1), (128, 1)):
            if sys.argv[1] == "covering" and ((dtype == "*fp32") == (size == 128)) == (queries >= 64):
                continue
            check(
                kernels.attend,
                {"shares": shares, "size": size, "padded": size, "queries": queries, "keys_at_once": KEYS}
                | {"num_warps": 8 if queries == 128 else WARPS, "num_stages": 1 if dtype == "*fp32" else STAGES},
                qkv=dtype,
                table="*i64",
                out=dtype if shares == 1 else "*fp32",
                sums="*fp32",
                scale="fp32",
            )
        check(kernels.join, {"size": size, "padded": size}, parts="*fp32", sums="*fp32", table="*i64", out=dtype)
    sizes = dict.fromkeys(("stride", "width", "plane"), "i32")
    for entropy in (False, True):
        constants = {"columns": 4096, "entropy": entropy}
        check(confidence_triton.piece, constants, logits=dtype, banned="*i1", parts="*fp32", ids="*i32", **sizes)
check(
    confidence_triton.join, {"size": 32}, parts="*fp32", ids="*i32", out="*fp32", tokens="*i64", m="i32", pieces="i32"
)
