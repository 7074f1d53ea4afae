"""`as_denoiser`: any object that can score a canvas becomes what the loop talks to.

A foreign model never sees padding: rows of equal length share a call, others get their own. So a model that ignores
`attention_mask` is still right.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from inspect import signature
from itertools import groupby
from operator import index
from typing import Any

import torch
from torch import Tensor, nn

from dllm.errors import CapabilityError, ConfigError, ModelError, quoted
from dllm.models.base import RowDenoiser, RowInput, RowKV

_NEEDED = ("vocab_size", "mask_token_id", "eos_token_ids")


def as_denoiser(obj: Any, *, mask_token_id: int | None = None) -> RowDenoiser:
    """Wrap a model for the loop.

    Args:
        obj: a `RowDenoiser` (returned as it is), a `Denoiser` (`logits`, `vocab_size`, `mask_token_id`,
            `eos_token_ids`), or a torch module, such as a transformers model, whose forward takes `[B, L]` ids and
            returns `[B, L, V]` logits or an object with `.logits`; row i must predict position i. A module is put in
            eval mode, and vocabulary and ids are read from its attributes or its `config`.
        mask_token_id: overrides, or supplies, the model's own. The object itself is not changed.

    Raises:
        ModelError: the object is none of these; the message names what it lacks.
        ConfigError: the mask id is outside the vocabulary.
    """
    if isinstance(obj, type):
        raise ModelError(f"{obj.__name__} is a class; pass an instance of it")
    if isinstance(obj, RowDenoiser):
        return obj if mask_token_id in (None, obj.mask_token_id) else _with_mask(obj, mask_token_id)
    if callable(getattr(obj, "logits", None)):
        return _wrap_denoiser(obj, mask_token_id)
    if isinstance(obj, nn.Module):
        return _wrap_module(obj, mask_token_id)
    raise ModelError(
        f"{type(obj).__name__} cannot serve as a model: it has no logits(input_ids, attention_mask) and is no torch "
        "module; see dllm.models.base.Denoiser"
    )


def _with_mask(model: RowDenoiser, mask_token_id: int | None) -> RowDenoiser:
    clone = copy.copy(model)
    clone.mask_token_id = _checked_mask(mask_token_id, model.vocab_size)
    return clone


def _wrap_denoiser(obj: Any, mask_token_id: int | None) -> RowDenoiser:
    needed = [name for name in _NEEDED if name != "mask_token_id" or mask_token_id is None]
    missing = [name for name in needed if not hasattr(obj, name)]
    if missing:
        raise ModelError(
            f"{type(obj).__name__} has logits() but lacks {', '.join(missing)}; a Denoiser needs {', '.join(_NEEDED)}"
        )
    return LogitsAdapter(
        _of_ids_alone(obj.logits),
        name=type(obj).__name__,
        vocab_size=obj.vocab_size,
        mask_token_id=obj.mask_token_id if mask_token_id is None else mask_token_id,
        eos_token_ids=obj.eos_token_ids,
        max_length=getattr(obj, "max_length", None),
        device=_device(obj),
        one_by_one=_batches_inexactly(obj),
    )


def _wrap_module(module: nn.Module, mask_token_id: int | None) -> RowDenoiser:
    def setting(name: str) -> Any:
        own = getattr(module, name, None)
        return getattr(getattr(module, "config", None), name, None) if own is None else own

    vocab_size = setting("vocab_size")
    if vocab_size is None:
        raise ModelError(
            f"{type(module).__name__} gives vocab_size neither as an attribute nor in .config; "
            "set it to the number of columns of its logits"
        )
    ends = setting("eos_token_ids") or setting("eos_token_id")

    forward = _of_ids_alone(module, module.forward)

    def logits(input_ids: Tensor) -> Tensor:
        out = forward(input_ids)
        found: Tensor = getattr(out, "logits", out)
        return found

    return LogitsAdapter(
        logits,
        name=type(module.eval()).__name__,
        vocab_size=vocab_size,
        mask_token_id=setting("mask_token_id") if mask_token_id is None else mask_token_id,
        eos_token_ids=ends,
        # config.max_length of transformers is a generation default, not the model's
        max_length=getattr(module, "max_length", None) or setting("max_position_embeddings"),
        device=_device(module),
        one_by_one=_batches_inexactly(module),
    )


def _of_ids_alone(function: Callable[..., Any], declared: Callable[..., Any] | None = None) -> Callable[[Tensor], Any]:
    """`function(input_ids)`; one that cannot do without an attention mask is given ones, since nothing is padded."""
    try:
        mask = signature(function if declared is None else declared).parameters.get("attention_mask")
    except (ValueError, TypeError):  # compiled code that does not tell
        return function
    if mask is None or mask.default is not mask.empty:
        return function
    return lambda input_ids: function(input_ids, attention_mask=torch.ones_like(input_ids))


def _device(obj: Any) -> torch.device:
    found = getattr(obj, "device", None)
    if found is None and isinstance(obj, nn.Module):
        found = next((parameter.device for parameter in obj.parameters()), None)
    return torch.device("cpu" if found is None else found)


def _batches_inexactly(obj: Any) -> bool:
    """Whether a row's bits depend on its batch mates although the CPU could avoid it."""
    return isinstance(obj, nn.Module) and _device(obj).type == "cpu"


def _ends(name: str, value: Any) -> tuple[int, ...]:
    """None, an id or several, numpy's integers included, as a tuple."""
    try:
        ends = tuple(
            index(token) for token in (() if value is None else value if isinstance(value, Iterable) else (value,))
        )
    except TypeError:
        raise ModelError(f"{name}: eos_token_ids is {value!r}; it must be ids, or () for none") from None
    if any(token < 0 for token in ends):
        raise ModelError(f"{name}: eos_token_ids is {value!r}; ids are not negative")
    return ends


def _checked_mask(mask_token_id: int | None, vocab_size: int) -> int | None:
    if mask_token_id is None:
        return None
    try:
        found = -1 if isinstance(mask_token_id, bool) else index(mask_token_id)
    except TypeError:
        found = -1
    if 0 <= found < vocab_size:
        return found
    raise ConfigError(f"mask_token_id={quoted(mask_token_id)} must be an integer in 0..{vocab_size - 1}")


class LogitsAdapter:
    """A `RowDenoiser` over a function from `[B, L]` ids to `[B, L, V]` logits. Whole canvases only.

    `one_by_one` gives every row its own call, also rows of equal length: batched torch kernels change the last bits of
    small batches, and a row must not depend on its mates. It is on for modules on the CPU, where batching gains little.
    """

    capabilities: frozenset[str] = frozenset()
    lookback = 0

    def __init__(
        self,
        score: Callable[[Tensor], Tensor],
        *,
        name: str,
        vocab_size: int,
        mask_token_id: int | None,
        eos_token_ids: Any,
        max_length: int | None = None,
        device: torch.device | str = "cpu",
        one_by_one: bool = False,
    ) -> None:
        if isinstance(vocab_size, bool) or not isinstance(vocab_size, int) or vocab_size < 1:
            raise ModelError(f"{name}: vocab_size is {vocab_size!r}; it must be the number of columns of its logits")
        if max_length is not None and (type(max_length) is not int or max_length < 1):
            raise ModelError(f"{name}: max_length is {max_length!r}; it must be the longest canvas in tokens, or None")
        self.name = name
        self.vocab_size = vocab_size
        self.mask_token_id = _checked_mask(mask_token_id, vocab_size)
        # a config may name an end its head has no column for (a class default): it can never be produced
        self.eos_token_ids = tuple(token for token in _ends(name, eos_token_ids) if token < vocab_size)
        self.max_length = max_length
        self.device = torch.device(device)
        self._score = score
        self._one_by_one = one_by_one

    @torch.no_grad()
    def forward_rows(self, rows: Sequence[RowInput]) -> list[Tensor]:
        """See `RowDenoiser`; `[m_r, V]` float32 a row.

        Raises:
            CapabilityError: a row comes with stored K/V, or is not its whole canvas.
            ModelError: the model returned something else than `[B, L, V]`.
        """
        for row in rows:
            self._check_whole(row)
        predicted = self._score_all([row.token_ids for row in rows])
        return [logits[row.wanted.to(logits.device)] for logits, row in zip(predicted, rows, strict=True)]

    @torch.no_grad()
    def logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """See `Denoiser`. Padding is cut off before the model is called, and comes back as zeros."""
        if input_ids.dim() != 2 or (attention_mask is not None and attention_mask.shape != input_ids.shape):
            mask = None if attention_mask is None else list(attention_mask.shape)
            raise ModelError(f"input_ids {list(input_ids.shape)} must be [B, L], and attention_mask {mask} the same")
        real = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        kept = [row.bool().nonzero().flatten() for row in real]
        filled = [b for b, index in enumerate(kept) if index.numel()]
        out = torch.zeros(*input_ids.shape, self.vocab_size, device=self.device)
        for b, logits in zip(filled, self._score_all([input_ids[b, kept[b]] for b in filled]), strict=True):
            out[b, kept[b].to(out.device)] = logits.to(out.device)
        return out

    def new_kv(self, length: int) -> RowKV:
        """Always a CapabilityError: a foreign model's keys and values are out of reach."""
        raise CapabilityError(f"{self.name} keeps no keys and values; use cache='none'")

    def _check_whole(self, row: RowInput) -> None:
        if row.kv is not None:
            raise CapabilityError(f"{self.name} takes no stored keys and values; use cache='none'")
        fed = row.token_ids.numel()
        if fed == 0 or row.positions.numel() != fed or int(row.positions[-1]) != fed - 1:
            raise CapabilityError(f"{self.name} scores whole canvases only, positions 0..length-1; use cache='none'")

    def _score_all(self, canvases: Sequence[Tensor]) -> list[Tensor]:
        """`[L_r]` ids a row -> `[L_r, V]` float32 a row."""
        order = sorted(range(len(canvases)), key=lambda r: canvases[r].numel())
        out: list[Tensor] = [torch.empty(0)] * len(canvases)
        for _, members in groupby(order, key=lambda r: r if self._one_by_one else canvases[r].numel()):
            group = list(members)
            ids = torch.stack([canvases[r] for r in group]).to(self.device)
            for r, logits in zip(group, self._checked(self._score(ids), ids), strict=True):
                out[r] = logits
        return out

    def _checked(self, logits: Any, ids: Tensor) -> Tensor:
        """The model's answer as float32, once it is known to be of numbers that can be read and its shape right."""
        if not isinstance(logits, Tensor):
            raise ModelError(f"{self.name} returned {type(logits).__name__}; it must return a tensor or have .logits")
        if logits.layout != torch.strided or logits.is_nested or logits.is_meta or not logits.is_floating_point():
            layout = "nested" if logits.is_nested else str(logits.layout).removeprefix("torch.")
            raise ModelError(
                f"{self.name} returned logits that are {layout}, {str(logits.dtype).removeprefix('torch.')} and on "
                f"{logits.device}; they must be dense floating-point numbers, on a device that holds them"
            )
        if tuple(logits.shape) == (*ids.shape, self.vocab_size):
            return logits.float()
        if logits.dim() == 3 and logits.shape[:2] == ids.shape:
            raise ModelError(
                f"{self.name} says vocab_size={self.vocab_size} and its logits have {logits.shape[2]} columns; "
                "set vocab_size to the number of columns"
            )
        raise ModelError(
            f"{self.name} returned logits {list(logits.shape)} for ids {list(ids.shape)}; "
            f"they must be {[*ids.shape, self.vocab_size]}, one row of logits for every position"
        )
