"""Rows of different lengths laid end to end, so that one forward serves them all without padding a canvas.

Why this layout (measured on CPU, float32, torch 2.13 with MKL): a GEMM row has the same bits for every batch of 12
rows or more, not for fewer; attention changes bits with padding and with the number of keys, and below 4 queries with
the thread that happens to run a head. So the projections see all rows at once, at least `GEMM_ROWS` of them, and
attention sees each row over exactly its own keys. Widths should be multiples of 4, as published ones are: else where a
row starts in memory, and so its bits, depends on the rows before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

import torch
from torch import Tensor

from dllm.errors import ModelError
from dllm.models.base import RowInput, RowKV

GEMM_ROWS = 16
"""Fewest rows a projection is given; the rest are filled with rows nobody reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """The shadows of one row, s flat rows of their own behind all fed tokens.

    Attributes:
        start: first flat row.
        token_ids, positions: `[s]` long, what those flat rows are fed.
        own: `[s]` long, the column among the row's keys that each shadow takes the place of.
        hidden: `[s]` long, the column it must not see; the same one unless the family is shifted.
        seen: `[s, m]` bool, the columns that its position sees; None: all.
        predicted: the first so many are predicted.
        together: they see each other.
    """

    start: int
    token_ids: Tensor
    positions: Tensor
    own: Tensor
    hidden: Tensor
    seen: Tensor | None = None
    predicted: int
    together: bool

    @property
    def stop(self) -> int:
        return self.start + self.own.numel()

    def to(self, device: torch.device) -> Shadow:
        """The shadow with what attention reads of it, at every layer, on `device`."""
        seen = None if self.seen is None else self.seen.to(device)
        return replace(self, own=self.own.to(device), hidden=self.hidden.to(device), seen=seen)


@dataclass(frozen=True, slots=True)
class AttentionGroup:
    """Rows of one attention call: as many queries and as many keys each, adjacent in the flat layout.

    Attributes:
        start: first flat row of the group.
        rows: rows in the group, B.
        queries: fed tokens a row, n; the group is the flat rows `[start, start + B * n)`.
        stores: the rows' K/V stores, or empty where rows attend to their fed tokens only.
        slots: the K/V slots each row feeds, a slice where they are consecutive; unread without stores.
        shadows: of the group's rows that have any, with the row's index in the group.
        seen: `[B, n, m]` bool, which of its row's keys a query sees; None: all.
    """

    start: int
    rows: int
    queries: int
    stores: tuple[RowKV, ...]
    slots: tuple[slice | Tensor, ...]
    shadows: tuple[tuple[int, Shadow], ...] = ()
    seen: Tensor | None = None

    @property
    def stop(self) -> int:
        return self.start + self.rows * self.queries

    def to(self, device: torch.device) -> AttentionGroup:
        """The group with what attention reads of it, at every layer, on `device`."""
        if not self.shadows and self.seen is None:
            return self
        seen = None if self.seen is None else self.seen.to(device)
        return replace(self, seen=seen, shadows=tuple((row, shadow.to(device)) for row, shadow in self.shadows))


@dataclass(frozen=True, slots=True)
class RaggedBatch:
    """All rows of one forward.

    Attributes:
        token_ids: `[N]` long, the fed ids of all rows, N >= `GEMM_ROWS`; what follows the last row is filler.
        positions: `[N]` long, their rotary positions.
        length: one past the largest position.
        groups: the attention calls; together they cover every row once.
        sources: `[M]` long, flat rows whose logits are wanted, in the order the rows were given; M >= `GEMM_ROWS`.
        counts: wanted positions and shadows of each given row; their sum is at most M.
    """

    token_ids: Tensor
    positions: Tensor
    length: int
    groups: tuple[AttentionGroup, ...]
    sources: Tensor
    counts: tuple[int, ...]

    def to(self, device: torch.device) -> RaggedBatch:
        """The batch with its ids and indices on `device`."""
        moved = {
            name: getattr(self, name).to(device, non_blocking=True) for name in ("token_ids", "positions", "sources")
        }
        return replace(self, groups=tuple(group.to(device) for group in self.groups), **moved)


def batch_of(
    rows: Sequence[RowInput], lookback: int, mask_token_id: int | None = None, block: int | None = None
) -> RaggedBatch:
    """Lay out `rows` (at least one) for one forward. Only shadows need to know the mask id.

    Args:
        block: as `BackboneSpec.block`.

    Raises:
        ModelError: a row is empty or inconsistent, its slots lie outside its store, or a wanted position's source
            (`max(p - lookback, 0)`) is not among those fed.
    """
    shapes = [_shape(index, row, block) for index, row in enumerate(rows)]
    order = sorted(range(len(rows)), key=shapes.__getitem__)
    sizes = [rows[r].token_ids.numel() for r in order]
    starts = list(accumulate(sizes, initial=0))
    positions = torch.cat([rows[r].positions for r in order])
    # First and last fed position of every row, read in one go.
    ends = positions[
        [at for start, size in zip(starts, sizes, strict=False) for at in (start, start + size - 1)]
    ].tolist()
    slots = [_slots(rows[r], first, last) for r, first, last in zip(order, ends[::2], ends[1::2], strict=True)]
    length = max(ends[1::2]) + 1
    shadows = _shadows(rows, starts[-1], lookback, mask_token_id, block)

    groups = []
    for (_, _, queries, _), members in groupby(range(len(order)), key=lambda i: shapes[order[i]]):
        group = list(members)
        stores = tuple(kv for i in group if (kv := rows[order[i]].kv) is not None)
        own = tuple((at, shadows[order[i]]) for at, i in enumerate(group) if order[i] in shadows)
        seen, fed = _seen([rows[order[i]] for i in group], block), tuple(slots[i] for i in group)
        groups.append(AttentionGroup(starts[group[0]], len(group), queries, stores, fed, own, seen))
    sources, counts = _sources(rows, order, sizes, positions, length, lookback), [row.wanted.numel() for row in rows]
    if shadows:
        pieces = list(torch.split(sources, counts))
        for r, shadow in shadows.items():
            pieces[r] = torch.cat([pieces[r], torch.arange(shadow.start, shadow.start + shadow.predicted)])
        sources, counts = torch.cat(pieces), [piece.numel() for piece in pieces]
    return RaggedBatch(
        token_ids=_fill(torch.cat([rows[r].token_ids for r in order] + [one.token_ids for one in shadows.values()])),
        positions=_fill(torch.cat([positions, *(one.positions for one in shadows.values())])),
        length=length,
        groups=tuple(groups),
        sources=_fill(sources),
        counts=tuple(counts),
    )


def _sees_all(row: RowInput, block: int | None) -> bool:
    """Whether every fed token sees all of its row's keys."""
    if block is None:
        return True
    last = int(row.positions[-1]) if row.kv is None else row.kv.length - 1
    return int(row.positions[0]) // block >= last // block


def _keys(row: RowInput) -> Tensor:
    """`[m]` long: the positions of the row's keys."""
    return row.positions if row.kv is None else torch.arange(row.kv.length, device=row.positions.device)


def _seen(rows: Sequence[RowInput], block: int | None) -> Tensor | None:
    """`[B, n, m]`, or None: what the queries of rows of one group see; in one group all rows see all, or none does."""
    if block is None or _sees_all(rows[0], block):
        return None
    return torch.stack([row.positions[:, None] // block >= _keys(row) // block for row in rows])


def _shadows(
    rows: Sequence[RowInput], start: int, lookback: int, mask_token_id: int | None, block: int | None
) -> dict[int, Shadow]:
    """The shadows of the rows that have any, by the row's number; their flat rows begin at `start`."""
    found: dict[int, Shadow] = {}
    for r, row in enumerate(rows):
        if row.shadows is not None:
            found[r] = _shadow(row, row.shadows, start, lookback, mask_token_id, block)
            start = found[r].stop
    return found


def _shadow(
    row: RowInput, wanted: Tensor, start: int, lookback: int, mask_token_id: int | None, block: int | None
) -> Shadow:
    assert mask_token_id is not None, "LLM refuses models without a mask id"
    predicted, together = len(wanted), row.company is not None
    if row.company is not None:
        if lookback:
            raise ModelError(f"shadows that see each other need a model of lookback 0, not {lookback}; give no company")
        wanted = torch.cat([wanted, row.company])
    source = (wanted - lookback).clamp_min(0)
    own, hidden = torch.searchsorted(row.positions, source), torch.searchsorted(row.positions, wanted)
    last = len(row.positions) - 1
    fed = (row.positions[own.clamp_max(last)] == source) & (row.positions[hidden.clamp_max(last)] == wanted)
    if not bool(fed.all()):
        missing = wanted[~fed][0].item()
        raise ModelError(f"a shadow of position {missing} needs it and max({missing} - {lookback}, 0) among those fed")
    token_ids = torch.where(source == wanted, mask_token_id, row.token_ids[own])
    if row.kv is not None:
        own, hidden = source, wanted  # a store has a slot a position
    seen = None if block is None or _sees_all(row, block) else source[:, None] // block >= _keys(row) // block
    return Shadow(
        start=start,
        token_ids=token_ids,
        positions=source,
        own=own,
        hidden=hidden,
        seen=seen,
        predicted=predicted,
        together=together,
    )


def _shape(index: int, row: RowInput, block: int | None) -> tuple[bool, bool, int, int]:
    """(has a store, sees all, queries, keys): rows that agree may share an attention call."""
    queries = row.token_ids.numel()
    if row.token_ids.dim() != 1 or queries == 0 or row.token_ids.shape != row.positions.shape:
        raise ModelError(
            f"row {index}: token_ids {list(row.token_ids.shape)} and positions {list(row.positions.shape)} must be "
            "1-D, of equal length, and hold at least one token; feed every row what it needs or leave it out"
        )
    return row.kv is not None, _sees_all(row, block), queries, queries if row.kv is None else row.kv.length


def _slots(row: RowInput, first: int, last: int) -> slice | Tensor:
    """The row's K/V slots. A slice where consecutive: writing a view is much cheaper than scattering."""
    if row.kv is not None and not (first >= 0 and last < row.kv.length <= row.kv.keys.shape[-2]):
        raise ModelError(
            f"positions {first}..{last} do not fit a store of length {row.kv.length} "
            f"(capacity {row.kv.keys.shape[-2]}); ask new_kv for the canvas's length"
        )
    return slice(first, last + 1) if last - first + 1 == row.positions.numel() else row.positions


def _sources(
    rows: Sequence[RowInput], order: Sequence[int], sizes: Sequence[int], positions: Tensor, length: int, lookback: int
) -> Tensor:
    """`[sum of m_r]` flat rows whose logits predict the wanted positions, rows in the order given.

    One search for all rows: a fed token's key is its row's rank in the layout, then its position, so keys ascend.
    """
    stride, device = length + 1, positions.device  # position `length` is never fed: what lies beyond is looked up there
    ranks = sorted(range(len(order)), key=order.__getitem__)
    keys = positions + _repeat(range(len(order)), sizes, device) * stride
    wanted = (torch.cat([row.wanted for row in rows]) - lookback).clamp_(min=0)
    seek = wanted.clamp(max=length) + _repeat(ranks, [row.wanted.numel() for row in rows], device) * stride
    found = torch.searchsorted(keys, seek).clamp_(max=keys.numel() - 1)
    if not torch.equal(keys[found], seek):
        missing = wanted[keys[found] != seek][0].item()
        raise ModelError(
            f"a wanted position is predicted by position {missing}, which was not fed; "
            f"for every wanted p feed max(p - {lookback}, 0)"
        )
    return found


def _repeat(values: Sequence[int], times: Sequence[int], device: torch.device) -> Tensor:
    """`[sum of times]` long: each value as often as its entry of `times` says."""
    value, count = (torch.tensor(list(numbers), device=device) for numbers in (values, times))
    return torch.repeat_interleave(value, count, output_size=sum(times))


def _fill(flat: Tensor) -> Tensor:
    """Zeros appended up to `GEMM_ROWS` entries; token 0 and flat row 0 always exist."""
    short = GEMM_ROWS - flat.numel()
    return torch.cat([flat, flat.new_zeros(short)]) if short > 0 else flat
