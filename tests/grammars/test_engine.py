"""The engine against enumeration: small random grammars, small vocabularies, every canvas or many of them.

`tests.references.grammar_brute` says what holds, and shares no code with the engine. Worlds are drawn by seed: a
failure names it.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from dllm.errors import GrammarError
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.frontends.lark import rules_from_lark
from dllm.grammars.search import constraint as constraint_module
from dllm.grammars.search import masks as masks_module
from dllm.grammars.search import repair as repair_module
from dllm.grammars.search import solve as solve_module
from dllm.grammars.search.chart import Chart
from dllm.grammars.search.constraint import GrammarConstraint
from dllm.grammars.search.lattice import build
from dllm.grammars.search.orders import Settled, settle
from dllm.grammars.search.placement import END, Placement
from dllm.grammars.search.solve import HASTY, PATIENT, UndecidedError, solve
from dllm.grammars.tables.compiled import CompiledGrammar
from dllm.grammars.tables.vocabulary import vocabulary
from tests.references.grammar_brute import GuardedWorld, World, random_guarded_rules, random_rules, random_tokens

OFFSET = 3


def world_of(
    seed: int, most: int = 6, longest: int = 5, *, guarded: bool = False
) -> tuple[World, CompiledGrammar] | None:
    """A random world and what the engine makes of it; None where the grammar has no text."""
    rng = random.Random(seed)
    rules = random_guarded_rules(rng) if guarded else random_rules(rng)
    tokens = random_tokens(rng, rules, most)
    try:
        return (GuardedWorld if guarded else World)(rules, tokens, longest), CompiledGrammar.make(
            rules, vocabulary([*tokens, None, None])
        )
    except GrammarError:
        return None


def worlds(
    first: int, count: int, most: int = 6, longest: int = 5, least: int = 1, *, guarded: bool = False
) -> Iterator[tuple[int, World, CompiledGrammar]]:
    """The first `count` worlds from a seed on in which `least` sentences are possible."""
    seed, found = first, 0
    while found < count:
        made = world_of(seed, most, longest, guarded=guarded)
        if made is not None and len(made[0].sentences) >= least:
            found += 1
            yield seed, *made
        seed += 1


def random_canvas(rng: random.Random, world: World) -> list[int]:
    """Mostly one that can be completed."""
    length = rng.randint(0, world.longest)
    if world.sentences and rng.random() < 0.7:
        whole = rng.choice(world.sentences)
        tail = [MASK] * rng.randint(0, world.longest - len(whole))
        return [MASK if rng.random() < 0.6 else token for token in whole] + tail
    return [MASK if rng.random() < 0.6 else rng.choice(world.usable) for _ in range(length)]


def started(world: World, compiled: CompiledGrammar, ids: Sequence[int], ends: bool) -> GrammarConstraint | None:
    """The engine on a canvas, behind a prompt of OFFSET tokens; the last two ids end the text."""
    eos = [len(world.tokens), len(world.tokens) + 1] if ends else []
    try:
        return GrammarConstraint.start(compiled, Canvas(tuple(ids), ends), OFFSET, eos)
    except GrammarError as error:
        assert "no text of the grammar fits" in str(error)
        return None


def boards(first: int) -> Iterator[tuple[random.Random, World, GrammarConstraint, object]]:
    """Six random canvases of each of ten worlds, those that can be completed; and what to say where it fails."""
    for seed, world, compiled in worlds(first, 10):
        rng = random.Random(seed)
        for _ in range(6):
            ids, ends = random_canvas(rng, world), rng.random() < 0.5
            held = started(world, compiled, ids, ends)
            if held is not None:
                yield rng, world, held, (seed, ids, ends)


def witness(held: GrammarConstraint) -> list[int | None]:
    """The whole canvas as the constraint would fill it; None for the end."""
    ids = [held.witness(OFFSET + at) if token == MASK else token for at, token in enumerate(held.canvas.ids)]
    return [None if token in held.eos else token for token in ids]


def check_witness(world: World, held: GrammarConstraint, note: object) -> None:
    assert world.completes(held.canvas.ids, witness(held), held.canvas.ends, held.canvas.chosen), note


def check_masks(world: World, held: GrammarConstraint, note: object) -> tuple[int, int]:
    """How many tokens the masks allow, and how many are admissible: never fewer."""
    ids, ends = held.canvas.ids, held.canvas.ends
    allowed = held.allowed(torch.arange(OFFSET, OFFSET + len(ids)))
    assert allowed.shape == (len(ids), len(world.tokens) + 2)
    shown = exact = 0
    for at, token in enumerate(ids):
        found = set(allowed[at].nonzero().flatten().tolist())
        if token != MASK:
            assert len(found) == len(world.tokens) + 2, note
            continue
        wanted = world.admissible(ids, at, ends, held.canvas.chosen)
        assert wanted <= found, (note, at)
        if world.may_end(ids, at, ends, held.canvas.chosen):
            assert held.eos <= found, (note, at)
        texts = found - held.eos
        assert texts <= set(world.usable), (note, at)
        assert found - texts == set() or at in world.stops(ids), (note, at)
        shown, exact = shown + len(texts), exact + len(wanted)
    return shown, exact


def check_commits(world: World, held: GrammarConstraint, note: object) -> None:
    """Singly: what is accepted is what is admissible, and an end only where the text may end."""
    ids, ends = list(held.canvas.ids), held.canvas.ends
    for at in (at for at, token in enumerate(ids) if token == MASK):
        wanted = world.admissible(ids, at, ends, held.canvas.chosen)
        for token in range(len(world.tokens)):
            after = held.commit({OFFSET + at: token})
            assert (after is not None) == (token in wanted), (note, at, token)
            if after is not None:
                assert after.canvas.ids == (*ids[:at], token, *ids[at + 1 :])
                check_witness(world, after, (note, at, token))
        for token in held.eos:
            after = held.commit({OFFSET + at: token})
            assert (after is not None) == world.may_end(ids, at, ends, held.canvas.chosen), (note, at, token)
            assert after is None or after.canvas == Canvas(tuple(ids[:at]), ends)
        after = held.commit({OFFSET + at: held.witness(OFFSET + at)})
        assert after is not None, (note, at)


def check_joint_commits(rng: random.Random, world: World, held: GrammarConstraint, note: object) -> None:
    """Several at once: accepted if and only if the canvas with all of them can be completed."""
    ids, ends = list(held.canvas.ids), held.canvas.ends
    masked = [at for at, token in enumerate(ids) if token == MASK]
    allowed = held.allowed(torch.arange(OFFSET, OFFSET + len(ids)))
    for _ in range(6 if len(masked) > 1 else 0):
        picked = sorted(rng.sample(masked, rng.randint(2, len(masked))))
        options = [allowed[at].nonzero().flatten().tolist() for at in picked]
        tokens = {at: rng.choice(own) for at, own in zip(picked, options, strict=True)}
        new, may = list(ids), True
        for at, token in tokens.items():
            if token in held.eos:
                may = at in world.stops(ids) and ends
                del new[at:]
                break
            new[at] = token
        after = held.commit({OFFSET + at: token for at, token in tokens.items()})
        own = held.canvas.chosen | tokens.keys()
        assert (after is not None) == (may and world.completable(new, ends, own)), (note, tokens)
        if after is not None:
            assert after.canvas == Canvas(tuple(new), ends)
            check_witness(world, after, (note, tokens))


# --- one canvas at a time ---------------------------------------------------------------------------------------------


def check_completability(world: World, compiled: CompiledGrammar, ids: Sequence[int], ends: bool, note: object) -> bool:
    placement = solve(compiled, Canvas(tuple(ids), ends))
    assert (placement is not None) == world.completable(ids, ends), (note, ids, ends)
    if placement is not None:
        found = [None if token == END else token for token in placement.witness]
        assert world.completes(ids, found, ends), (note, ids, ends, found)
    return placement is not None


@pytest.mark.parametrize("first", [0, 200, 300])
def test_on_every_canvas_completability_is_that_of_enumeration(first):
    """Random grammars, up to three tokens; all canvases of up to five places, with and without ends."""
    answers = [
        check_completability(world, compiled, ids, ends, seed)
        for seed, world, compiled in worlds(first, 2, most=3, least=4)
        for length, ends in itertools.product(range(6), (False, True))
        for ids in itertools.product([MASK, *world.usable], repeat=length)
    ]
    assert answers.count(True) > 100 and answers.count(False) > 100


BY_HAND = {
    "brackets": ('start: "a" | "[" start? "]" | "(" start ")"', [b"[", b"]", b"(a", b")]", b"[[", b"a"]),
    "halves": ('start: /[éè😀]/+ "-"?', [b"\xc3", b"\xa9", b"\xa8\xc3", b"\xf0\x9f", b"\x98\x80", b"-"]),
    "ambiguous": ('start: start start | "a" | "ab" | "b"', [b"a", b"b", b"ab", b"ba", b"", b"a"]),
    "strings": ('start: /"[^"]*"/ ("-" start)?\nWS: " "\n%ignore WS', [b'"', b'""', b'"-"', b" ", b'- "', b"-"]),
    "comments": (
        'start: ("a" | "/")+\n%ignore /\\/\\*([^*]|\\*+[^*\\/])*\\*+\\//',
        [b"/", b"*", b"a", b"/*", b"*/", b"**/a"],
    ),
    "numbers": ('start: NUMBER ("." NUMBER)*\nNUMBER: /[01](\\.[01])?/', [b"0", b".", b"1.", b".1", b"0.1", b"1"]),
    "exact": ('start: "ab" "ab" | "abc"', [b"a", b"b", b"ab", b"c", b"ba", b"bc"]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_on_every_canvas_of_up_to_three_tokens_under_grammars_by_hand(name):
    """Six tokens; and random canvases of up to four."""
    text, tokens = BY_HAND[name]
    rules, rng = rules_from_lark(text), random.Random(name)
    world, compiled = World(rules, tokens, 4), CompiledGrammar.make(rules, vocabulary([*tokens, None, None]))
    answers = [
        check_completability(world, compiled, ids, ends, name)
        for length, ends in itertools.product(range(4), (False, True))
        for ids in itertools.product([MASK, *world.usable], repeat=length)
    ]
    assert True in answers and False in answers
    for _ in range(60):
        check_completability(world, compiled, random_canvas(rng, world), rng.random() < 0.5, name)
    for _ in range(15):
        ids, ends = random_canvas(rng, world), rng.random() < 0.5
        held = started(world, compiled, ids, ends)
        assert (held is not None) == world.completable(ids, ends)
        if held is not None:
            check_masks(world, held, (name, ids, ends))
            check_commits(world, held, (name, ids, ends))
            check_joint_commits(rng, world, held, (name, ids, ends))


@pytest.mark.parametrize("first", range(1000, 1500, 100))
def test_masks_hold_all_that_may_stand_and_commits_accept_exactly_that(first):
    shown = exact = 0
    for seed, world, compiled in worlds(first, 10):
        rng = random.Random(seed)
        for _ in range(6):
            ids, ends = random_canvas(rng, world), rng.random() < 0.5
            note = (seed, ids, ends)
            held = started(world, compiled, ids, ends)
            assert (held is not None) == world.completable(ids, ends), note
            if held is None:
                continue
            check_witness(world, held, note)
            more = check_masks(world, held, note)
            check_commits(world, held, note)
            check_joint_commits(rng, world, held, note)
            shown, exact = shown + more[0], exact + more[1]
    assert exact <= shown < 3 * exact, "the masks say something"


@pytest.mark.parametrize("first", [1500, 1600])
def test_masks_without_a_chart_hold_all_that_may_stand(first, monkeypatch):
    """As where it would be large."""
    monkeypatch.setattr(masks_module, "MEMORY", -1)
    for _, world, held, note in boards(first):
        check_masks(world, held, note)


@pytest.mark.parametrize("first", [1700, 1800])
def test_a_text_is_changed_in_a_window_only_to_one_that_fits(first, monkeypatch):
    """With nothing placed anew as it was: each commit is a repair or a search; and a repair finds most texts."""
    monkeypatch.setattr(repair_module.Placement, "moved", lambda *_: None)
    true, found = repair_module.repaired, []

    def counted(*given):
        found.append(true(*given))
        return found[-1]

    monkeypatch.setattr(repair_module, "repaired", counted)
    for rng, world, held, note in boards(first):
        check_commits(world, held, note)
        check_joint_commits(rng, world, held, note)
    texts = [one for one in found if one is not None]
    assert len(texts) > 50
    assert all(not one.loose for one in texts)


@pytest.mark.parametrize("first", [1500, 1600])
def test_another_sentence_is_placed_where_it_differs(first, monkeypatch):
    """With no text adapted: each commit is a search beside the present text, which often need not place all anew."""
    true, windows = solve_module.sketch, []

    def counted(placement, canvas, window):
        windows.append((window, placement.everything))
        return true(placement, canvas, window)

    monkeypatch.setattr(constraint_module, "adapted", lambda *_: None)
    monkeypatch.setattr(solve_module, "sketch", counted)
    for rng, world, held, note in boards(first):
        check_commits(world, held, note)
        check_joint_commits(rng, world, held, note)
    assert sum(window != everything for window, everything in windows) > 10


@pytest.mark.parametrize("first", [1900, 2000])
def test_a_sentence_that_does_not_fit_is_repaired_gap_by_gap(first, monkeypatch):
    """With no sentence placed as a whole: what is found is a sketch that fits, a repaired one, or by open gaps."""
    true, sketches = solve_module.sketch, []

    def counted(*given):
        sketches.append(true(*given))
        return sketches[-1]

    class Piecewise(Placement):
        def placed(self, canvas, window, *given):
            return None if window == self.everything else super().placed(canvas, window, *given)

    monkeypatch.setattr(solve_module, "sketch", counted)
    monkeypatch.setattr(solve_module, "Placement", Piecewise)
    for seed, world, compiled in worlds(first, 10):
        rng = random.Random(seed)
        for _ in range(8):
            ids, ends = random_canvas(rng, world), rng.random() < 0.5
            try:
                check_completability(world, compiled, ids, ends, seed)
            except UndecidedError:  # what is open may fit only as a whole
                continue
    loose = [one for one in sketches if one is not None and one.loose]
    fits = [one for one in sketches if one is not None and not one.loose]
    assert len(loose) > 3 and len(fits) > 20


# --- many steps -------------------------------------------------------------------------------------------------------


def random_step(rng: random.Random, world: World, held: GrammarConstraint, note: object) -> GrammarConstraint:
    """Commit, release or cut at random; the answer must be that of enumeration."""
    ids, ends = list(held.canvas.ids), held.canvas.ends
    masked = [at for at, token in enumerate(ids) if token == MASK]
    given = [at for at, token in enumerate(ids) if token != MASK]
    what, own = rng.choice(["commit", "commit", "release", "cut"]), set(held.canvas.chosen)
    if what == "commit" and masked:
        picked = rng.sample(masked, rng.randint(1, min(3, len(masked))))
        tokens = {at: rng.choice(world.usable) for at in picked}
        for at in picked:
            if rng.random() < 0.5:
                tokens[at] = held.witness(OFFSET + at)
        stop = min((at for at, token in tokens.items() if token in held.eos), default=len(ids))
        new = [tokens.get(at, token) for at, token in enumerate(ids[:stop])]
        may = stop == len(ids) or stop in world.stops(ids)
        after = held.commit({OFFSET + at: token for at, token in tokens.items()})
        own |= tokens.keys()
    elif what == "release":
        if isinstance(world, GuardedWorld):
            given = sorted(own)  # what the user has given stays
        picked = rng.sample(given, rng.randint(0, len(given)))
        new, may = [MASK if at in picked else token for at, token in enumerate(ids)], True
        own -= set(picked)
        after = held.release(OFFSET + at for at in [*picked, len(ids) + 2, -1])
        assert after is not None
    else:
        length = rng.randint(0, len(ids))
        new, may = ids[:length], True
        after = held.cut(OFFSET + length)
    assert (after is not None) == (may and world.completable(new, ends, own)), (note, what, new)
    if after is None:
        return held
    assert after.canvas == Canvas(tuple(new), ends) and after.offset == OFFSET
    return after


@pytest.mark.parametrize("first", range(3000, 3400, 100))
def test_after_any_steps_the_constraint_knows_what_it_knew_of_a_fresh_canvas(first):
    for seed, world, compiled in worlds(first, 6):
        rng = random.Random(seed)
        for _ in range(3):
            held = started(world, compiled, random_canvas(rng, world), rng.random() < 0.6)
            for _ in range(10 if held else 0):
                note = (seed, held.canvas)
                held = random_step(rng, world, held, note)
                check_witness(world, held, note)
                check_masks(world, held, note)


def undecided(*_: object) -> None:
    raise UndecidedError


@pytest.mark.parametrize("first", range(5000, 5400, 100))
def test_where_the_search_is_given_up_the_witness_still_leads_to_the_end(first, monkeypatch):
    """As after a deadline, at every commit: what is accepted is right, and the witness is always accepted."""
    made = [(seed, world, compiled) for seed, world, compiled in worlds(first, 6)]
    for seed, world, compiled in made:
        rng = random.Random(seed)
        for _ in range(4):
            ends = rng.random() < 0.5
            monkeypatch.undo()
            held = started(world, compiled, random_canvas(rng, world), ends)
            monkeypatch.setattr(constraint_module, "settle", undecided)
            while held is not None and MASK in held.canvas.ids:
                note = (seed, held.canvas)
                ids = list(held.canvas.ids)
                at = rng.choice([at for at, token in enumerate(ids) if token == MASK])
                token = rng.choice(world.usable)
                after = held.commit({OFFSET + at: token})
                if after is not None:
                    assert token in world.admissible(ids, at, ends), (note, at, token)
                else:
                    after = held.commit({OFFSET + at: held.witness(OFFSET + at)})
                    assert after is not None, (note, at)
                if rng.random() < 0.3:
                    given = [at for at, token in enumerate(after.canvas.ids) if token != MASK]
                    after = after.release(OFFSET + at for at in rng.sample(given, min(1, len(given))))
                check_witness(world, after, note)
                held = after
            assert held is None or world.accepts(held.canvas.ids)


# --- parts of it, and edges -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [7000, 7100])
def test_a_lattice_holds_every_completion_whichever_gaps_are_open(first):
    """All open: exactly those of the canvas. Some closed: those and more, never fewer."""
    more = 0
    for seed, world, compiled in worlds(first, 10):
        rng = random.Random(seed)
        for _ in range(6):
            ids, ends = random_canvas(rng, world), rng.random() < 0.5
            canvas, wanted = Canvas(tuple(ids), ends), world.completable(ids, ends)
            for opened in (canvas.gaps, (), [gap for gap in canvas.gaps if rng.random() < 0.5]):
                layout = build(canvas, compiled.table, compiled.reach, opened)
                assert layout is not None
                found = Chart.make(compiled.productions, layout.lattice).possible
                assert found >= wanted and (found == wanted or len(opened) < len(canvas.gaps)), (seed, canvas, opened)
                more += found > wanted
    assert more > 0, "counts are not in a closed gap"


@pytest.mark.parametrize("first", [8000, 8100])
def test_what_a_sentence_is_placed_on_may_stand(first):
    accepted = 0
    for seed, world, compiled in worlds(first, 10):
        rng = random.Random(seed)
        for _ in range(6):
            ids, ends = random_canvas(rng, world), rng.random() < 0.5
            placement = solve(compiled, Canvas(tuple(ids), ends))
            given = (compiled.table, compiled.reach)
            for at in (at for at, token in enumerate(ids) if token == MASK and placement is not None):
                wanted = world.admissible(ids, at, ends)
                for token in world.usable:
                    canvas = Canvas((*ids[:at], token, *ids[at + 1 :]), ends)
                    if Placement.make(canvas, *given, placement.sentence) is not None:
                        assert token in wanted, (seed, ids, at, token)
                        accepted += 1
    assert accepted > 50


@pytest.mark.parametrize("first", [9000])
def test_a_search_with_a_limit_gives_up_and_never_says_no_for_yes(first):
    given_up = 0
    for seed, world, compiled in worlds(first, 12):
        rng = random.Random(seed)
        for total, patience in itertools.product((0, 3, 8, 10_000), (PATIENT, HASTY)):
            ids, ends = random_canvas(rng, world), rng.random() < 0.5
            try:
                placement = solve(compiled, Canvas(tuple(ids), ends), replace(patience, total=total))
            except UndecidedError:
                given_up += 1
                continue
            assert (placement is not None) == world.completable(ids, ends), (seed, ids, ends, total)
    assert given_up > 10


def test_a_long_text_does_not_use_up_the_limit():
    """A token that is given makes a node or two; the limit is for what is hidden."""
    compiled = CompiledGrammar.make(rules_from_lark('start: ("a" | "b")*'), vocabulary([b"a", b"b", None]))
    canvas = Canvas((*[0, 1] * 200, MASK, MASK), False)
    assert solve(compiled, canvas, replace(PATIENT, nodes=40)) is not None
    with pytest.raises(UndecidedError):
        solve(compiled, canvas, replace(PATIENT, total=40))


def test_a_commit_outside_of_the_canvas_is_a_mistake_of_the_caller():
    compiled = CompiledGrammar.make(rules_from_lark('start: ("a" | "b")*'), vocabulary([b"a", b"b", None]))
    held = GrammarConstraint.start(compiled, Canvas((MASK, MASK), False), OFFSET, ())
    assert len(repr(held)) < 500  # of its tables, only the names
    for position in (OFFSET - 1, OFFSET + 2):
        with pytest.raises(AssertionError, match=f"position {position}"):
            held.commit({position: 0})


def test_a_canvas_says_where_its_gaps_are_and_where_an_end_may_stand():
    m = MASK
    for ids, gaps, tail in [
        ((), [], 0),
        ((m, m), [(0, 2)], 0),
        ((1, m, m, 2), [(1, 3)], 4),
        ((m, 1, m, 2, m, m), [(0, 1), (2, 3), (4, 6)], 4),
        ((1, 2), [], 2),
    ]:
        assert [(gap.start, gap.stop) for gap in Canvas(ids).gaps] == gaps
        assert Canvas(ids, True).tail == tail and Canvas(ids, False).tail == len(ids)


def test_an_end_jointly_with_tokens_behind_it_commits_nothing_behind_it():
    rules = rules_from_lark('start: "a"+ "b"?')
    compiled = CompiledGrammar.make(rules, vocabulary([b"a", b"b", b"c", None]))
    held = GrammarConstraint.start(compiled, Canvas((MASK,) * 5, True), 2, [3])
    after = held.commit({2: 0, 5: 3, 6: 2})
    assert after is not None and after.canvas == Canvas((0, MASK, MASK), True)
    again = after.commit({4: 3})  # earlier masks may still end the text
    assert again is not None and again.canvas.ids == (0, MASK)
    assert again.commit({3: 2}) is None and again.commit({3: 3}).canvas.ids == (0,)
    assert held.commit({3: 1, 5: 1}) is None and held.commit({3: 1}) is not None
    assert held.commit({2: 3}) is None, "the empty text is none"


def test_an_end_stands_in_the_last_run_of_masks_only():
    rules = rules_from_lark('start: "a"+')
    compiled = CompiledGrammar.make(rules, vocabulary([b"a", None]))
    held = GrammarConstraint.start(compiled, Canvas((0, MASK, 0, MASK, MASK), True), 0, [1])
    assert held.allowed(torch.tensor([1, 3, 4]))[:, 1].tolist() == [False, True, True]
    assert held.commit({1: 1}) is None and held.commit({3: 1}) is not None
    full = GrammarConstraint.start(compiled, Canvas((0, MASK, 0), True), 0, [1])
    assert not full.allowed(torch.tensor([1]))[0, 1] and full.commit({1: 1}) is None
    holes = GrammarConstraint.start(compiled, Canvas((0, MASK, MASK), False), 0, [])
    assert holes.allowed(torch.tensor([1, 2])).tolist() == [[True, False]] * 2


def test_a_constraint_is_not_changed_by_what_is_asked_of_it():
    rules = rules_from_lark('start: "(" start? ")" start?')
    compiled = CompiledGrammar.make(rules, vocabulary([b"(", b")", None]))
    held = GrammarConstraint.start(compiled, Canvas((MASK,) * 6, True), 0, [2])
    before, exact = (held.canvas, witness_of(held)), held.allowed(torch.arange(6), exact=True)
    after = held.commit({0: 0, 3: 1})
    assert after is not None and after.release([0]).canvas.ids[0] == MASK and held.cut(3) is not None
    assert held.commit({0: 1}) is None and held.cut(1) is None
    assert (held.canvas, witness_of(held)) == before
    assert torch.equal(held.allowed(torch.arange(6), exact=True), exact)


def test_what_is_refused_is_searched_for_once_and_answers_for_all_alike(monkeypatch: pytest.MonkeyPatch):
    rules = rules_from_lark('start: NAME "=" NUMBER\nNAME: /[a-c]+/\nNUMBER: /[0-9]+/')
    compiled = CompiledGrammar.make(rules, vocabulary([b"a", b"b", b"c", b"1", b"="]))
    held = GrammarConstraint.start(compiled, Canvas((MASK, 4, MASK)), 0, [])
    searched: list[Canvas] = []

    def counted(compiled: CompiledGrammar, canvas: Canvas, *given: Any) -> Settled | None:
        searched.append(canvas)
        return settle(compiled, canvas, *given)

    monkeypatch.setattr(constraint_module, "settle", counted)
    assert held.commit({2: 0}) is None and len(searched) == 1
    assert held.commit({2: 1}) is None and len(searched) == 1
    after = held.commit({0: 2})
    assert after is not None
    asked = len(searched)
    assert after.commit({2: 1}) is None and len(searched) == asked
    assert after.allowed(torch.tensor([2]))[0].tolist() == [False, False, False, True, False]
    # with more free, more may be possible: it is asked again
    assert after.release([0]).commit({2: 1}) is None and len(searched) == asked + 1
    assert held.commit({2: 3}) is not None


def witness_of(held: GrammarConstraint) -> list[int]:
    return [held.witness(held.offset + at) for at in range(len(held.canvas.ids))]
