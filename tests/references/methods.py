"""The published methods read aloud: one row, the whole canvas at every step, dense tables, plain Python, float64.

Nothing here shares code with the engine. A method is an object whose hooks a slow loop calls; greedy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch


@dataclass
class Now:
    """What a method may look at: logits `z[i][v]` of the model and probabilities `p[i][v]` after transforms; `quota`:
    how many this step will commit, once that is known; `several`: whether `end` is that of several blocks, known from
    the beginning."""

    canvas: list[int]
    mask: int
    eos: tuple[int, ...]
    prompt: int
    total: int
    start: int
    end: int
    step: int
    z: torch.Tensor
    p: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    quota: int = 0
    several: bool = False

    def masked(self, i: int) -> bool:
        return self.canvas[i] == self.mask

    @property
    def active(self) -> list[int]:
        return [i for i in range(self.start, min(self.end, len(self.z))) if self.masked(i)]

    def token(self, i: int) -> int:
        row = self.p[i].clone()
        row[self.mask] = -1
        return int(row.argmax())

    def confidence(self, i: int) -> float:
        return float(self.p[i, self.token(i)])

    def raw_confidence(self, i: int) -> float:
        return float(torch.softmax(self.z[i], -1)[self.token(i)])

    def entropy(self, i: int) -> float:
        return -sum(float(x) * math.log(float(x)) for x in self.p[i] if x > 0)

    def gap(self, i: int) -> float:
        best, second = self.z[i].topk(2).values.tolist()
        return best - second

    def best(self) -> int:
        return min(self.active, key=lambda i: (-self.confidence(i), i))


class Method:
    """Commits one token a step; override what a method does."""

    def begin(self, now: Now) -> None: ...

    def new_block(self, now: Now) -> None: ...

    def live(self, canvas: list[int], mask: int, prompt: int) -> tuple[int, int] | None:
        """The end of the first live block, and of the last, where there are several."""
        return None

    def horizon(self, masks: list[int]) -> int | None:
        """How much of the canvas the model is shown; `masks`: where masks are."""
        return None

    def transform(self, now: Now, z: torch.Tensor) -> torch.Tensor:
        return z

    def block_end(self, now: Now) -> int:
        return now.end

    def finishes(self, now: Now) -> bool:
        return False

    def select(self, now: Now) -> set[int]:
        return set()

    def revoke(self, now: Now, chosen: list[int]) -> list[int]:
        return []

    def revoked(self, positions: list[int]) -> None: ...

    def cut(self, now: Now, chosen: list[int]) -> int | None:
        return None


def run(model: object, prompt: list[int], new: int, block: int, *methods: Method) -> tuple[list[int], list[list[int]]]:
    """Ids behind the prompt, EOS included, and the positions that each step committed.

    Several methods: selectors unite, the others take turns.
    """
    mask, eos = model.mask_token_id, tuple(model.eos_token_ids)
    canvas = list(prompt) + [mask] * new
    start, front, end, steps = 0, 0, 0, []
    while mask in canvas:
        fresh = mask not in canvas[start:front]
        if fresh:
            start = canvas.index(mask)
            end, step = min(start + block, len(canvas)), 0
        several = [method.live(canvas, mask, len(prompt)) for method in methods]
        front, end = next((one for one in several if one), (end, end))
        masks = [i for i in range(len(canvas)) if canvas[i] == mask]
        shown = [] if fresh else [method.horizon(masks) for method in methods]
        shown = canvas[: min((length for length in shown if length is not None), default=len(canvas))]
        z = model.logits(torch.tensor([shown]))[0].double()
        now = Now(canvas, mask, eos, len(prompt), new, start, end, step, z, several=any(several))
        if not steps and step == 0:
            for method in methods:
                method.begin(now)
        if fresh:
            for method in methods:
                method.new_block(now)
        boosted = z
        for method in methods:
            boosted = method.transform(now, boosted)
        now.p = torch.softmax(boosted, -1)
        if fresh and not any(several):
            for method in methods:
                front = end = now.end = method.block_end(now)
        chosen = sorted(set().union(*(method.select(now) for method in methods)) or {now.best()})
        now.quota = len(chosen)
        done = len(shown) == len(canvas) and any([method.finishes(now) for method in methods])
        if done:
            chosen = [i for i in range(len(canvas)) if now.masked(i)]
        tokens = {i: now.token(i) for i in chosen}
        first = next((i for i in chosen if tokens[i] in eos), None)
        kept = [i for i in chosen if first is None or i <= first]
        for i in kept:
            canvas[i] = tokens[i]
        if first is not None:
            del canvas[first + 1 :]
            end = now.end = min(end, len(canvas))
        if not done:
            asked = [i for method in methods for i in method.revoke(now, kept)]
            asked = [i for i in asked if len(prompt) <= i < end and canvas[i] != mask and canvas[i] not in eos]
            for i in asked:
                canvas[i] = mask
            start = min([start, *asked])
            kept = [i for i in kept if i not in asked]
            for method in methods:
                method.revoked(asked)
        for method in methods:
            length = method.cut(now, chosen)
            if length is not None and mask in canvas and canvas.index(mask) < length < len(canvas):
                del canvas[length:]
                end = min(end, len(canvas))
        steps.append(kept)
        step += 1
    return canvas[len(prompt) :], steps


class Threshold(Method):
    def __init__(self, tau: float) -> None:
        self.tau = tau

    def select(self, now: Now) -> set[int]:
        return {i for i in now.active if now.confidence(i) >= self.tau} | {now.best()}


class Best(Method):
    """So many of the most confident."""

    def __init__(self, k: int) -> None:
        self.k = k

    def select(self, now: Now) -> set[int]:
        return set(sorted(now.active, key=lambda i: (-now.confidence(i), i))[: self.k])


class LocalLeap(Method):
    def __init__(self, anchor: float, relaxed: float, radius: int) -> None:
        self.anchor, self.relaxed, self.radius = anchor, relaxed, radius

    def select(self, now: Now) -> set[int]:
        anchors = [i for i in now.active if now.confidence(i) >= self.anchor]
        near = {i for i in now.active if any(abs(i - a) <= self.radius for a in anchors)}
        return {*anchors, *(i for i in near if now.confidence(i) >= self.relaxed), now.best()}


class EntropyBounded(Method):
    def __init__(self, gamma: float, by: str = "entropy") -> None:
        self.gamma, self.by = gamma, by

    def select(self, now: Now) -> set[int]:
        key = {"entropy": now.entropy, "confidence": lambda i: -now.confidence(i)}[self.by]
        ranked = sorted(now.active, key=lambda i: (key(i), i))
        size = 1
        for k in range(2, len(ranked) + 1):
            entropies = [now.entropy(i) for i in ranked[:k]]
            if sum(entropies) - max(entropies) > self.gamma:
                break
            size = k
        return set(ranked[:size])


class Hierarchy(Method):
    def __init__(self, high: float, low: float) -> None:
        self.high, self.low = high, low

    def select(self, now: Now) -> set[int]:
        chosen = {i for i in now.active if now.confidence(i) > self.high} | {now.best()}
        runs: list[list[int]] = []
        for i in now.active:
            if runs and runs[-1][-1] == i - 1:
                runs[-1].append(i)
            else:
                runs.append([i])
        for r in runs:
            best = min(r, key=lambda i: (-now.confidence(i), i))
            if now.confidence(best) > self.low:
                chosen.add(best)
        return chosen


class Dilated(Method):
    """Levels as the published code lists them, or the paper's closed form; a round without a mask is passed over."""

    def __init__(self, base: int, powers: bool = False, backwards: bool = False) -> None:
        """`backwards`: tokens may be masked again, of rounds that are over, and are taken with the next round."""
        self.base, self.powers, self.backwards = base, powers, backwards

    def new_block(self, now: Now) -> None:
        length = now.end - now.start
        seen: set[int] = set()
        self.levels: list[set[int]] = []
        stride = length // self.base
        if self.powers:
            stride = next(self.base**r for r in range(64) if self.base ** (r + 1) >= length)
        while True:
            level = {i for i in range(now.start, now.end) if stride == 0 or (i - now.start) % stride == 0} - seen
            self.levels += [level] if level else []
            seen |= level
            if stride == 0:
                break
            stride //= self.base
        if not self.powers and len(self.levels) > 1 and len(self.levels[-1]) < len(self.levels[-2]):
            self.levels[-2:] = [self.levels[-2] | self.levels[-1]]

    def select(self, now: Now) -> set[int]:
        seen: set[int] = set(now.active) - set().union(*self.levels) if self.backwards else set()
        while self.levels:
            found = self.levels.pop(0) & set(now.active)
            if found:
                return found | seen
        return seen


class Klass(Method):
    """The history of every position over the whole answer; `scope="block"` begins it anew with each block."""

    def __init__(self, tau: float, epsilon: float, history: int, scope: str = "canvas") -> None:
        self.tau, self.epsilon, self.history, self.scope = tau, epsilon, history, scope

    def begin(self, now: Now) -> None:
        self.seen: list[torch.Tensor] = []

    def new_block(self, now: Now) -> None:
        self.steps = 0
        if self.scope == "block":
            self.seen = []

    def select(self, now: Now) -> set[int]:
        self.seen.append(torch.softmax(now.z, -1))
        self.steps += 1
        chosen = set()
        for i in now.active if self.steps >= self.history else []:
            pairs = list(zip(self.seen[1:], self.seen, strict=False))[-self.history :]
            moves = [float((a[i] * (a[i].log() - b[i].log())).sum()) for a, b in pairs]
            if len(moves) == self.history and max(moves) < self.epsilon and now.confidence(i) > self.tau:
                chosen.add(i)
        return chosen


class Credit(Method):
    """The dense table: one number for every position and word."""

    def __init__(self, decay: float, power: float, strength: float) -> None:
        self.decay, self.power, self.strength = decay, power, strength

    def new_block(self, now: Now) -> None:
        self.table = torch.zeros(now.z.shape, dtype=torch.float64)

    def transform(self, now: Now, z: torch.Tensor) -> torch.Tensor:
        p, boosted = torch.softmax(now.z, -1), z.clone()
        last = len(now.canvas) if now.step == 0 and not now.several else now.end
        for i in (i for i in range(now.start, last) if now.masked(i)):
            allowed = p[i].clone()
            allowed[now.mask] = -1
            top = int(allowed.argmax())
            self.table[i] *= self.decay
            self.table[i, top] += float(p[i, top]) ** self.power
            boosted[i] = z[i] + self.strength * torch.log(1 + self.table[i])
        return boosted

    def revoked(self, positions: list[int]) -> None:
        for i in positions:
            self.table[i] = 0


class AdaBlock(Method):
    def __init__(self, tau: float, window: float, basis: str, delimiters: tuple[int, ...]) -> None:
        self.tau, self.window, self.basis, self.delimiters = tau, window, basis, delimiters

    def block_end(self, now: Now) -> int:
        generated = now.start - now.prompt
        length = now.total if self.basis == "length" else generated
        width = math.floor(self.window * length)
        width = width if self.basis == "length" else max(1, width)
        found = []
        for i in range(now.start, min(now.start + width, len(now.canvas))):
            if now.masked(i) and now.token(i) in self.delimiters:
                found.append((now.raw_confidence(i), -i))
        if not found or max(found)[0] < self.tau:
            return now.end
        return -max(found)[1] + 1


class Prophet(Method):
    def __init__(self, early: float, middle: float, late: float, region: tuple[int, int] | None = None) -> None:
        self.thresholds, self.region = (early, middle, late), region

    def finishes(self, now: Now) -> bool:
        answer = range(now.prompt, len(now.canvas))
        if self.region:
            inside = [now.prompt + i for i in range(*self.region) if now.prompt + i < len(now.canvas)]
        else:
            masks = [i for i in answer if now.masked(i)]
            ends = [i for i in masks if now.token(i) in now.eos]
            inside = [i for i in masks if not ends or i < ends[0]] or ends[:1]
        committed = sum(not now.masked(i) for i in answer)
        progress = (committed + now.quota) / len(answer)
        needed = self.thresholds[0 if progress < 0.33 else 1 if progress < 0.67 else 2]
        return bool(inside) and sum(now.gap(i) for i in inside) / len(inside) >= needed


class PositionPrior(Method):
    """`corpus`: counts of its words and its length; without one every word is as frequent."""

    def __init__(self, decay: float, cap: float, k: int = 1, corpus: tuple[dict[int, int], int] | None = None) -> None:
        self.decay, self.cap, self.k, self.corpus = decay, cap, k, corpus

    def score(self, now: Now, i: int) -> float:
        words = now.z.shape[1]
        f = 1 / words if self.corpus is None else self.corpus[0].get(now.token(i), 1) / self.corpus[1]
        worth = min(-now.confidence(i) * math.log(f + 1e-9), self.cap)
        return math.exp(-self.decay * (i - now.start)) * worth

    def select(self, now: Now) -> set[int]:
        return set(sorted(now.active, key=lambda i: (-self.score(now, i), i))[: self.k])


class ReMDM(Method):
    """The published loop over a block's steps, loops among them; `each`: tokens a step. A loop whose canvas comes out
    as it went in comes out the same for ever (greedy): these are left out, and the block goes on behind them."""

    def __init__(self, n: int, loops: int, at: float, each: int) -> None:
        self.n, self.loops, self.at, self.each = n, loops, at, each

    def new_block(self, now: Now) -> None:
        masks = len(now.active)
        first = max(min(int(masks * self.at), masks - 1), 1)
        self.plan = ["step"] * math.ceil(masks / self.each)
        self.plan[first:first] = ["loop"] * self.loops
        self.sure: dict[int, float] = {}

    def select(self, now: Now) -> set[int]:
        count = self.n if self.plan.pop(0) == "loop" else self.each
        chosen = sorted(now.active, key=lambda i: (-now.confidence(i), i))[:count]
        self.now = {i: now.confidence(i) for i in chosen}
        return set(chosen)

    def revoke(self, now: Now, chosen: list[int]) -> list[int]:
        self.sure |= {i: self.now[i] for i in chosen}
        if self.plan[:1] != ["loop"]:
            return []
        able = [i for i in self.sure if i < now.end and now.canvas[i] not in now.eos]
        back = sorted(able, key=lambda i: (self.sure[i], i))[: self.n]
        if sorted(back) in ([], sorted(chosen)):
            self.plan = [one for one in self.plan if one != "loop"]
            return []
        return back

    def revoked(self, positions: list[int]) -> None:
        for i in positions:
            del self.sure[i]


class RunningConfidence(Method):
    """`each`: tokens that a step adds. Earlier blocks stay in the account."""

    def __init__(self, each: int) -> None:
        self.each = each
        self.sure: dict[int, float] = {}

    def new_block(self, now: Now) -> None:
        self.begin, self.step, self.steps = now.start, 0, math.ceil(len(now.active) / self.each)

    def select(self, now: Now) -> set[int]:
        self.sure |= {i: now.confidence(i) for i in now.active}
        return set(now.active)

    def revoke(self, now: Now, chosen: list[int]) -> list[int]:
        self.step += 1
        left = (now.end - self.begin) * (self.steps - self.step) // self.steps
        left = min(left, sum(i < now.end for i in chosen) - 1)
        return sorted((i for i in self.sure if i < now.end), key=lambda i: (self.sure[i], i))[:left]


class PathPlanning(Method):
    def __init__(self, each: int) -> None:
        self.each = each

    def new_block(self, now: Now) -> None:
        self.step, self.steps = 0, math.ceil(len(now.active) / self.each)

    def select(self, now: Now) -> set[int]:
        self.step += 1
        ranked = sorted(range(now.start, now.end), key=lambda i: (now.confidence(i), i))
        self.low = ranked[: len(ranked) * (self.steps - self.step) // self.steps]
        return set(now.active) - set(self.low)

    def revoke(self, now: Now, chosen: list[int]) -> list[int]:
        return [i for i in self.low if i not in chosen]


class MultiBlock(Method):
    """A list of blocks; one is live behind live ones that are far enough."""

    def __init__(self, entropy: float, add: float, block: int) -> None:
        self.bound, self.add, self.block = entropy, add, block

    def live(self, canvas: list[int], mask: int, prompt: int) -> tuple[int, int]:
        blocks = [range(i, min(i + self.block, len(canvas))) for i in range(prompt, len(canvas), self.block)]
        left = [sum(canvas[i] == mask for i in one) for one in blocks]
        first = last = next(k for k in range(len(blocks)) if left[k])
        while last + 1 < len(blocks) and 1 - left[last] / len(blocks[last]) >= self.add:
            last += 1
        self.first = blocks[first]
        return blocks[first].stop, blocks[last].stop

    def select(self, now: Now) -> set[int]:
        def least(places: list[int]) -> int:
            return min(places, key=lambda i: (now.entropy(i), i))

        chosen = {i for i in now.active if now.entropy(i) <= self.bound} | {least(now.active)}
        own = [i for i in now.active if i in self.first]
        return chosen if chosen & set(own) else chosen | {least(own)}


class SlowFast(Method):
    """Lengths are counted from the block's start, as in the published code."""

    def __init__(self, tau: float, explore: int, reach: float, window: int, spread: float) -> None:
        self.tau, self.explore, self.reach, self.window, self.spread = tau, explore, reach, window, spread

    def new_block(self, now: Now) -> None:
        self.start, self.last = now.start, 0
        self.new_cycle()

    def new_cycle(self) -> None:
        self.estimates: list[int] = []
        self.length: int | None = None
        self.explored = self.calls = 0

    def horizon(self, masks: list[int]) -> int | None:
        if self.explored == self.explore and not any(i < self.start + self.length for i in masks):
            self.last = self.length
            self.new_cycle()
        return self.start + self.length if self.calls else None

    def select(self, now: Now) -> set[int]:
        if self.explored < self.explore:
            self.explored += 1
            self.estimate(now)
            among = now.active
        else:
            self.calls += 1
            among = [i for i in now.active if i < self.start + self.length]
        sure = {i for i in among if now.confidence(i) >= self.tau}
        return sure if len(sure) > 1 else {min(among, key=lambda i: (-now.confidence(i), i))}

    def estimate(self, now: Now) -> None:
        if self.length is None:
            rest = [i for i in now.active if i >= self.start + self.last and now.confidence(i) >= self.reach]
            self.estimates.append(max(rest) + 1 - self.start if rest else self.last + 1)
            recent = self.estimates[-self.window :]
            mean = sum(recent) / len(recent)
            deviation = math.sqrt(sum((one - mean) ** 2 for one in recent) / len(recent))
            if len(recent) == self.window and deviation < self.spread:
                self.length = recent[-1]
            elif self.explored == self.explore:
                self.length = int(mean)


class Cora(Method):
    """A list of proposals for every mask of the canvas, begun anew where one is masked again."""

    def __init__(self, tau: float, steps: int) -> None:
        self.tau, self.steps = tau, steps
        self.seen: dict[int, list[int]] = {}

    def select(self, now: Now) -> set[int]:
        for i in range(len(now.canvas)):
            if now.masked(i):
                self.seen.setdefault(i, []).append(now.token(i))
        chosen = {now.best()}
        for i in now.active:
            last = self.seen[i][-self.steps :]
            if len(last) == self.steps and len(set(last)) == 1 and now.confidence(i) >= self.tau:
                chosen.add(i)
        return chosen

    def revoked(self, positions: list[int]) -> None:
        for i in positions:
            self.seen.pop(i, None)


class Stable(Method):
    """Every prediction of the whole canvas is kept, and the last `k` before this one are looked at."""

    def __init__(self, k: int, entropy: float) -> None:
        self.k, self.bound = k, entropy
        self.seen: list[list[int]] = []

    def finishes(self, now: Now) -> bool:
        masks = [i for i in range(len(now.canvas)) if now.masked(i)]
        guess = [now.token(i) if now.masked(i) else now.canvas[i] for i in range(len(now.canvas))]
        still = len(self.seen) >= self.k and all(
            one[: len(guess)] == guess for one in self.seen[len(self.seen) - self.k :]
        )
        self.seen.append(guess)
        return still and sum(now.entropy(i) for i in masks) / len(masks) < self.bound


class SchED(Method):
    """As the published code has it, with the clock of one token a step where no steps are asked for."""

    def __init__(
        self, high: float, low: float, shape: str, rate: float, change: float, steps: int | None = None
    ) -> None:
        self.high, self.low, self.shape, self.rate, self.change = high, low, shape, rate, change
        self.steps, self.made = steps, 0
        self.before: dict[int, int] = {}

    def finishes(self, now: Now) -> bool:
        masks = [i for i in range(len(now.canvas)) if now.masked(i)]
        answer = len(now.canvas) - now.prompt
        t = (answer - len(masks)) / (answer - 1) if answer > 1 else 1.0
        tau = {
            "cosine": self.low + (self.high - self.low) * 0.5 * (1 + math.cos(math.pi * t)),
            "linear": self.high - (self.high - self.low) * t,
            "exp": self.low + (self.high - self.low) * math.exp(-self.rate * t),
        }[self.shape]
        guess = {i: now.token(i) for i in masks}
        moved = sum(self.before.get(i) != guess[i] for i in masks) / len(masks)
        self.before = guess
        return moved <= self.change and sum(now.gap(i) for i in masks) / len(masks) >= tau


class EndOfText(Method):
    """The published code: (a) a chosen EOS, which the loop sees to; (b) else the surest masked EOS anywhere."""

    def cut(self, now: Now, chosen: list[int]) -> int | None:
        if any(now.token(i) in now.eos for i in chosen):
            return None
        ends = [i for i in range(len(now.canvas)) if now.masked(i) and now.token(i) in now.eos]
        return max(ends, key=lambda i: (now.confidence(i), -i)) + 1 if ends else None


class Saber(Method):
    """What the published code does to one row; `back="fallen"` is the rule that takes back only what has fallen."""

    def __init__(self, mu: float = 8, n: int = 2, back: str = "published") -> None:
        self.mu, self.n, self.back = mu, n, back
        self.latest: dict[int, float] = {}
        self.last: dict[int, float] | None = None

    def new_block(self, now: Now) -> None:
        self.worth: dict[int, float] = {}

    def select(self, now: Now) -> set[int]:
        known = list(self.latest.values())
        mean = sum(known) / len(known) if known else 1.0
        chosen = {i for i in now.active if now.confidence(i) > mean}
        if len(chosen) >= self.n:
            return chosen
        return set(sorted(now.active, key=lambda i: (-now.confidence(i), i))[: self.n])

    def revoke(self, now: Now, chosen: list[int]) -> list[int]:
        places = range(now.prompt, now.end)
        current = {i: now.confidence(i) for i in places}
        for i in chosen:
            self.latest[i] = current[i]
        last, self.last = self.last, current
        lost = []
        for i in places:
            if self.back == "published" and not now.masked(i) and (last is None or i in last):
                lost.append(((0.0 if last is None else last[i]) - current[i], -i))
            if self.back == "fallen" and i in self.worth:
                held = float(now.p[i, now.canvas[i]])
                if self.worth[i] > held:
                    lost.append((self.worth[i] - held, -i))
                self.worth[i] = held
        if self.back == "fallen":
            self.worth |= {i: current[i] for i in chosen}
        if not now.active:
            return []
        k = len(chosen)
        count = min(max(self.n // 2, math.ceil(k / self.mu)), k - 1)
        return [-i for _, i in sorted(lost, reverse=True)[:count]]

    def revoked(self, positions: list[int]) -> None:
        for i in positions:
            self.worth.pop(i, None)
