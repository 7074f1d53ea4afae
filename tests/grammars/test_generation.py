"""Grammars through the front door: valid whatever the model says, for every scheduler, cache, batch and tokenizer."""

import itertools
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import tokenizers
import torch
from tokenizers import decoders, models

from dllm import LLM, Grammar, Hole, SamplingParams
from dllm.errors import ConfigError, GrammarError, ModelError
from dllm.grammars.search.constraint import GrammarConstraint
from dllm.outputs import RequestOutput
from dllm.schedulers import Joined, Scheduler, as_scheduler, schedulers
from tests.support.byte_bpe import SPECIAL, train
from tests.support.fakes import MixDenoiser, ScriptedDenoiser

MASK, EOS, COLUMNS = SPECIAL["<|mask|>"], SPECIAL["<|endoftext|>"], 620
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"enum": ["A", "é", None]},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
GRAMMARS = {
    "json": Grammar.builtin("json"),
    "schema": Grammar.from_json_schema(SCHEMA),
    "choices": Grammar.from_choices(["yes", "no", "maybe not", "déjà vu"]),
    "regex": Grammar.from_regex("(é|ab)+🙂?"),
    "brackets": Grammar.from_lark('start: "[" start* "]" | "(" start ")" | "x"'),
    "arithmetic": Grammar.builtin("arithmetic"),
}
WAYS = {
    "greedy": {},
    "sampled": {"temperature": 1.0, "top_p": 0.95},
    "hot": {"temperature": 8.0},
    "guided": {"cfg_scale": 0.7, "temperature": 0.5, "top_k": 3},
}
ONLY_NATIVE = {"wino", "learn2pd", "pc"}
SPECS = (
    *sorted(set(schedulers._classes) - ONLY_NATIVE),
    *("topk(3)", "threshold(0.01)", "factor(50)", "dream(origin)", "llada(random)", "saber(1)", "eotp(paper)+topk(2)"),
    *("prophet(early=0, middle=0, late=0)", "pc(table=flat)", "stable(0, entropy=99)", "sched(0, low=0)"),
    *("multiblock(9)", "slowfast(0.05, explore=2, reach=0.05)", "remdm(2, loops=3, at=0.5)", "cora(0.02)"),
    "adablock+credit+localleap(anchor=0.02, relaxed=0.01)+prophet(early=4)+eotp",
)
PROMPT = "Name: Ana, Age: 31\nWrite JSON with keys: name, age\n"


@pytest.fixture(scope="module")
def core():
    return train()


def mix(seed: int = 0, vocab: int = COLUMNS, mask: int = MASK, eos: tuple[int, ...] = (EOS,)) -> MixDenoiser:
    model = MixDenoiser(vocab, seed=seed, scale=2.0, eos=eos)
    model.mask_token_id = mask
    return model


def spoken(tokens: Sequence[str], special: Sequence[str] = ()) -> tokenizers.Tokenizer:
    """A tokenizer with these tokens, spelled as byte-level BPE spells them, then special ones."""
    made = tokenizers.Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[]))
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(special))
    return made


@pytest.fixture(scope="module")
def llm(core):
    return LLM(mix(), tokenizer=core)


@pytest.fixture(scope="module")
def tiny():
    return LLM("tiny")


def spelled(llm: LLM, token_ids: Sequence[int]) -> str:
    return b"".join(llm.tokenizer.token_bytes(token) for token in token_ids).decode()


def check(llm: LLM, out: RequestOutput, grammar: Grammar) -> None:
    """Valid, what the tokens spell, no mask left; commits fill masks only."""
    mask = llm.model.mask_token_id
    assert grammar.accepts(out.text), out.text
    assert out.text == spelled(llm, out.token_ids) and mask not in out.token_ids
    assert 0 <= out.stats.witness_tokens <= out.stats.slots and out.stats.grammar_seconds > 0
    start = len(out.prompt_token_ids)
    holes = [at for at, token in enumerate(out.prompt_token_ids) if token == mask]
    masked = set(holes or range(start, start + 1000))
    for step in out.trace.steps:
        assert (step.positions or step.revoked) and set(step.positions) <= masked
        masked = masked - set(step.positions) | set(step.revoked)
    assert not masked & set(holes or range(start, start + len(out.token_ids)))


# --- every scheduler, every way ---------------------------------------------------------------------------------------


RUNS = [(spec, way) for i, spec in enumerate(SPECS) for way in (list(WAYS)[i % 4], list(WAYS)[(i + 1) % 4])]


@pytest.mark.parametrize(("spec", "way"), RUNS)
def test_answers_are_valid_whatever_the_model_says(llm, spec, way):
    params = [
        SamplingParams(
            max_new_tokens=22 if name == "schema" else 9,
            block_length=(4, 32)[i % 2],
            scheduler=spec,
            grammar=grammar,
            seed=i,
            **WAYS[way],
        )
        for i, (name, grammar) in enumerate(GRAMMARS.items())
    ]
    for out, one in zip(llm.generate(["go"] * len(params), params), params, strict=True):
        check(llm, out, one.grammar)


@pytest.mark.parametrize(("spec", "way"), RUNS[::2])
def test_documents_are_valid_and_each_hole_has_its_width(llm, spec, way):
    documents = {
        '{"a": <mask:3>, <mask:2>b<mask:5>}': "json",
        "<mask:4>": "brackets",
        "(<mask:1>[<mask:4>]<mask:1>": "brackets",
        "<mask:2>éab<mask:3>": "regex",
        "1 + <mask:3>(<mask:2>)": "arithmetic",
    }
    for seed, (document, name) in enumerate(documents.items()):
        out = llm.infill(document, SamplingParams(scheduler=spec, grammar=GRAMMARS[name], seed=seed, **WAYS[way]))
        check(llm, out, GRAMMARS[name])
        given = out.prompt_token_ids
        assert len(out.token_ids) == len(given) and out.finish_reason == "stop"
        assert all(token in (MASK, now) for token, now in zip(given, out.token_ids, strict=True)), "what is given stays"
        assert not set(out.token_ids) & {EOS, MASK} and len(out.holes) == document.count("<mask:")


@dataclass(frozen=True)
class TakesBack(Scheduler):
    """Asks for everything back, always; the engine sees to progress."""

    def remask(self, view, chosen, state):
        return torch.arange(len(view.canvas)), state


@pytest.mark.parametrize("name", GRAMMARS)
def test_tokens_that_are_taken_back_leave_a_valid_answer(llm, name):
    scheduler = Joined((TakesBack(), as_scheduler("topk(3)")))
    revoked = 0
    for seed in range(1 if name == "schema" else 3):
        params = SamplingParams(
            max_new_tokens=22 if name == "schema" else 12,
            block_length=8,
            scheduler=scheduler,
            grammar=GRAMMARS[name],
            temperature=1.0,
            seed=seed,
        )
        out = llm.generate("go", params)
        check(llm, out, GRAMMARS[name])
        revoked += sum(len(step.revoked) for step in out.trace.steps)
    assert revoked > 0 or name == "choices"


@dataclass(frozen=True)
class CutsBack(Scheduler):
    """Wants the canvas to end at its first mask behind what is settled."""

    def cut(self, view, chosen, state):
        return int(view.masked.nonzero()[0]) + 1 if view.masked.any() else None


def test_a_canvas_is_cut_only_where_the_text_can_end(llm):
    scheduler = Joined((CutsBack(), as_scheduler("topk")))
    lengths = []
    for seed in range(6):
        params = SamplingParams(
            max_new_tokens=20, scheduler=scheduler, grammar=GRAMMARS["brackets"], temperature=1.0, seed=seed
        )
        out = llm.generate("go", params)
        check(llm, out, GRAMMARS["brackets"])
        lengths.append(len(out.token_ids))
    assert min(lengths) < 20


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
@pytest.mark.parametrize(
    "spec",
    [
        *("threshold(0.3)", "wino(0.1, revoke=0.99)", "learn2pd", "saber(1)", "dus", "pc", "rcr", "p2", "cora(0.1)"),
        *("multiblock(2)", "slowfast(0.3, explore=1)", "remdm(2, loops=3)", "stable(0, entropy=1)", "sched(9, low=1)"),
    ],
)
def test_the_embedded_model_is_valid_with_every_cache(tiny, spec, cache):
    grammar = GRAMMARS["json"]
    params = SamplingParams(
        max_new_tokens=20, block_length=8, scheduler=spec, cache=cache, grammar=grammar, temperature=2.0, seed=3
    )
    check(tiny, tiny.generate(PROMPT, params), grammar)
    check(tiny, tiny.infill('{"a": <mask:4>, <mask:3>"b"<mask:5>}', params), grammar)
    check(tiny, tiny.generate(PROMPT, replace(params, grammar=GRAMMARS["schema"])), GRAMMARS["schema"])


def test_wino_takes_tokens_back_under_a_grammar(tiny):
    params = SamplingParams(
        max_new_tokens=24, scheduler="wino(0.01, revoke=1)", grammar=GRAMMARS["json"], temperature=4.0, seed=4
    )
    out = tiny.generate(PROMPT, params)
    check(tiny, out, GRAMMARS["json"])
    assert any(step.revoked for step in out.trace.steps)


def test_a_planted_suffix_is_text_of_the_grammar(tiny):
    spec = 'prophet(region="so it is:", place=0.2)'
    out = tiny.generate(PROMPT, SamplingParams(max_new_tokens=24, scheduler=spec, grammar=GRAMMARS["json"]))
    assert GRAMMARS["json"].accepts(out.text) and "so it is:" in out.text
    with pytest.raises(GrammarError, match="fixed text is not part of any text"):
        tiny.generate(PROMPT, SamplingParams(max_new_tokens=24, scheduler=spec, grammar=GRAMMARS["arithmetic"]))


# --- batches ----------------------------------------------------------------------------------------------------------


def batch(cache: str, scheduler: str) -> tuple[list[str], list[SamplingParams]]:
    """Rows of several lengths, with grammars of their own or none."""
    grammars = [GRAMMARS["json"], None, GRAMMARS["schema"], GRAMMARS["brackets"], GRAMMARS["json"], GRAMMARS["regex"]]
    params = [
        SamplingParams(
            max_new_tokens=(20, 9, 22, 7, 12, 6)[i],
            block_length=(8, 32)[i % 2],
            scheduler=scheduler,
            cache=cache,
            grammar=grammar,
            seed=i,
            temperature=(0.0, 1.0, 2.0)[i % 3],
        )
        for i, grammar in enumerate(grammars)
    ]
    return ["go", "name: a", PROMPT, "x y z", "[", "go"], params


@pytest.mark.parametrize(("which", "cache"), [("fake", "none"), ("tiny", "none"), ("tiny", "prefix"), ("tiny", "dual")])
@pytest.mark.parametrize("scheduler", ["threshold(0.05)", "saber(1)"])
def test_a_row_in_a_batch_is_the_row_alone(request, which, cache, scheduler):
    llm = request.getfixturevalue("llm" if which == "fake" else "tiny")
    prompts, params = batch(cache, scheduler)
    together = llm.generate(prompts, params, max_batch_size=4)
    for prompt, one, out in zip(prompts, params, together, strict=True):
        alone = llm.generate(prompt, one)
        assert out.token_ids == alone.token_ids and out.text == alone.text
        assert [s.positions for s in out.trace.steps] == [s.positions for s in alone.trace.steps]
        assert out.stats.witness_tokens == alone.stats.witness_tokens
        if one.grammar is not None:
            check(llm, out, one.grammar)
        else:
            assert out.stats.grammar_seconds == 0


def test_documents_in_a_batch_are_the_documents_alone(llm):
    documents = ["[<mask:3>]", "(<mask:4>", "<mask:5>", "1<mask:2>"]
    grammars = [GRAMMARS["brackets"], GRAMMARS["brackets"], None, GRAMMARS["arithmetic"]]
    params = [SamplingParams(grammar=grammar, temperature=1.0, seed=7) for grammar in grammars]
    for document, one, out in zip(documents, params, llm.infill(documents, params), strict=True):
        assert out.token_ids == llm.infill(document, one).token_ids


def test_samples_streams_and_chats_are_held_too(tiny):
    params = SamplingParams(max_new_tokens=16, grammar=GRAMMARS["json"], temperature=3.0, seed=5, n=3)
    out = tiny.generate(PROMPT, params)
    for sample in out.samples:
        check(tiny, sample, GRAMMARS["json"])
    assert len({sample.text for sample in out.samples}) > 1
    events = list(tiny.stream(PROMPT, replace(params, n=1)))
    assert events[-1].output is not None and events[-1].output.text == out.text == events[-1].text
    assert all(later.text.startswith(event.text) for event, later in itertools.pairwise(events))
    talk = tiny.chat([{"role": "user", "content": PROMPT}], replace(params, n=1))
    assert GRAMMARS["json"].accepts(talk.text)


def test_the_same_grammar_object_serves_two_models_at_once(llm, tiny):
    for _ in range(2):
        for one in (llm, tiny):
            params = SamplingParams(max_new_tokens=8, grammar=GRAMMARS["json"], temperature=2.0, seed=2)
            check(one, one.generate("go", params), GRAMMARS["json"])


# --- draws ------------------------------------------------------------------------------------------------------------


def chi_square(counts: Counter[int], expected: dict[int, float]) -> tuple[float, int]:
    total = sum(counts.values())
    assert set(counts) <= set(expected)
    return sum((counts[t] - total * p) ** 2 / (total * p) for t, p in expected.items()), len(expected) - 1


def softmax_over(logits: torch.Tensor, tokens: Sequence[int]) -> dict[int, float]:
    return dict(zip(tokens, torch.softmax(logits[list(tokens)].double(), dim=0).tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "width", "tokens"),
    [
        ('start: "a" | "c" | "ab"', 1, "ac"),
        ("start: /[a-f]/", 1, "abcdef"),
        ('start: A "b" | C "d" "e"\nA: /[afg]/\nC: "c"', 2, "afg"),  # the masks allow `c` too, which is refused
        ('start: "a" "b"* | "c" "d"* | "e" start', 3, "ace"),
    ],
)
def test_single_draws_follow_the_softmax_over_what_is_admissible(text, width, tokens):
    alphabet = "abcdefg"
    logits = torch.tensor([0.4, 0.9, 1.1, -0.5, 0.0, 0.7, -0.2, 2.0, 1.5])
    model = ScriptedDenoiser(lambda ids: logits.repeat(len(ids), 1), len(logits), eos=(8,))
    model.mask_token_id = 7
    llm = LLM(model, tokenizer=spoken(alphabet, ["<m>", "</s>"]))
    params = SamplingParams(
        max_new_tokens=width,
        grammar=Grammar.from_lark(text),
        temperature=1.0,
        n=400,
        seed=11,
        scheduler="topk(by=left_to_right)",
        ignore_eos=True,
    )
    out = llm.generate([0], params, max_batch_size=200)
    counts = Counter(sample.token_ids[0] for sample in out.samples)
    statistic, df = chi_square(counts, softmax_over(logits, [alphabet.index(c) for c in tokens]))
    assert statistic < df + 4 * math.sqrt(2 * df), counts
    uniform, _ = chi_square(counts, dict.fromkeys(counts, 1 / len(counts)))
    assert uniform > df + 4 * math.sqrt(2 * df), "the test tells distributions apart"


def test_a_greedy_draw_is_the_best_that_may_stand():
    logits = torch.tensor([0.4, 0.9, 1.1, -0.5, 0.0, 0.7, -0.2, 2.0, 1.5])
    model = ScriptedDenoiser(lambda ids: logits.repeat(len(ids), 1), len(logits), eos=(8,))
    model.mask_token_id = 7
    llm = LLM(model, tokenizer=spoken("abcdefg", ["<m>", "</s>"]))
    grammar = Grammar.from_lark('start: A "b" | C "d" "e"\nA: /[afg]/\nC: "c"')
    out = llm.generate([0], SamplingParams(max_new_tokens=2, grammar=grammar, ignore_eos=True))
    assert out.text == "fb" and out.stats.witness_tokens == 0


def test_confidences_are_those_of_the_masked_softmax():
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0, 0.0, 0.0])
    model = ScriptedDenoiser(lambda ids: logits.repeat(len(ids), 1), 6, eos=(5,))
    model.mask_token_id = 4
    llm = LLM(model, tokenizer=spoken("abcd", ["<m>", "</s>"]))
    out = llm.generate([0], SamplingParams(max_new_tokens=1, grammar=Grammar.from_regex("a|c"), ignore_eos=True))
    assert out.text == "c"
    assert out.trace.steps[0].confidences[0] == pytest.approx(1 / (1 + math.exp(-2)))


# --- the model's whims ------------------------------------------------------------------------------------------------


def wishing(favourites: Sequence[int], core, spare: float = 0.0) -> LLM:
    """A model that wants these ids everywhere, the first most, and nothing else."""
    logits = torch.full((COLUMNS,), spare)
    logits[list(favourites)] = torch.linspace(9, 5, len(favourites))
    model = ScriptedDenoiser(lambda ids: logits.repeat(len(ids), 1), COLUMNS, eos=(EOS,))
    model.mask_token_id = MASK
    return LLM(model, tokenizer=core)


@pytest.mark.parametrize("way", [{}, {"top_k": 1}, {"top_p": 0.01}, {"temperature": 1.0}])
def test_where_all_that_is_drawn_is_refused_the_witness_is_committed_and_counted(core, way, monkeypatch):
    """As if the masks said nothing: the model's first choices are in vain."""
    monkeypatch.setattr(
        GrammarConstraint, "allowed", lambda self, positions: torch.ones(len(positions), COLUMNS, dtype=torch.bool)
    )
    llm = wishing(core.encode("the quick brown fox in 1984, café!").ids + list(range(300, 330)), core)
    grammar = Grammar.from_regex("z{3,5}")
    out = llm.generate("go", SamplingParams(max_new_tokens=8, grammar=grammar, seed=0, **way))
    check(llm, out, grammar)
    assert out.stats.witness_tokens == out.stats.slots > 0


def test_a_model_that_wants_what_is_valid_gets_it(core):
    llm = wishing(core.encode("[[x]]").ids, core)
    out = llm.generate("go", SamplingParams(max_new_tokens=6, grammar=GRAMMARS["brackets"], temperature=1.0, seed=1))
    assert out.stats.witness_tokens == 0 and out.stats.grammar_seconds > 0


def test_a_model_that_only_ends_ends_as_soon_as_it_may(core):
    llm = wishing([EOS], core)
    grammar = Grammar.from_choices(["nope", "no", "none of them"])
    out = llm.generate("go", SamplingParams(max_new_tokens=9, grammar=grammar, scheduler="topk(by=left_to_right)"))
    assert (out.text, out.finish_reason, out.stats.slots) == ("no", "stop", 3)
    empty = llm.generate("go", SamplingParams(max_new_tokens=9, grammar=Grammar.from_regex("a*")))
    assert (empty.text, empty.token_ids, empty.stats.forwards) == ("", [], 1)


def test_with_ignore_eos_the_whole_answer_is_filled(core):
    out = wishing([EOS], core).generate(
        "go", SamplingParams(max_new_tokens=7, grammar=GRAMMARS["json"], ignore_eos=True)
    )
    assert len(out.token_ids) == 7 and GRAMMARS["json"].accepts(out.text) and out.finish_reason == "length"


@pytest.mark.parametrize("scheduler", ["threshold(0.1)", "topk", "dream", "klass", "credit+topk", "prophet+topk"])
def test_logits_of_minus_infinity_rule_out_what_they_can(core, scheduler):
    """Half of the columns; then all that the grammar leaves."""

    def half(ids):
        generator = torch.Generator().manual_seed(int(ids.sum()))
        logits = torch.randn(len(ids), COLUMNS, generator=generator)
        return logits.masked_fill(torch.rand(len(ids), COLUMNS, generator=generator) < 0.5, -torch.inf)

    for script in (half, None):
        llm = wishing([60, 61], core, spare=-torch.inf)
        if script is not None:
            llm.model.script = script
        for temperature in (0.0, 1.0):
            params = SamplingParams(
                max_new_tokens=10, grammar=GRAMMARS["json"], scheduler=scheduler, temperature=temperature, seed=0
            )
            check(llm, llm.generate("go", params), GRAMMARS["json"])


def test_nan_is_an_error_under_a_grammar_too(core):
    llm = wishing([60], core, spare=float("nan"))
    with pytest.raises(ModelError, match="NaN"):
        llm.generate("go", SamplingParams(max_new_tokens=5, grammar=GRAMMARS["json"]))


# --- tokenizers -------------------------------------------------------------------------------------------------------


def test_ends_and_masks_are_no_text_even_if_the_tokenizer_has_text_for_them():
    """Ids 2 and 3 are `c` and `d` to the tokenizer, but the mask and the end to the model."""
    llm = LLM(mix(vocab=5, mask=2, eos=(3,)), tokenizer=spoken("abcd"))
    for seed in range(6):
        params = SamplingParams(max_new_tokens=4, grammar=Grammar.from_regex("[a-d]{2,3}"), temperature=3.0, seed=seed)
        for options in ({}, {"scheduler": "topk"}, {"max_new_tokens": 3, "ignore_eos": True}):
            out = llm.generate([0], replace(params, **options))
            assert set(out.token_ids) <= {0, 1} and Grammar.from_regex("[ab]{2,3}").accepts(out.text)
        hole = llm.infill([[0], Hole(2)], replace(params, grammar=Grammar.from_regex("[a-d]{3}")))
        assert set(hole.token_ids) <= {0, 1}
    with pytest.raises(GrammarError, match="no text of the grammar fits"):
        llm.generate([0], SamplingParams(max_new_tokens=4, grammar=Grammar.from_regex("[cd]{2,3}")))


def test_a_space_that_a_decoder_drops_is_text_all_the_same():
    vocab = {"\u2581": 0, "a": 1, "\u2581a": 2, "b": 3, "<0xC3>": 4, "<0xA9>": 5}
    made = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[], byte_fallback=True))
    made.add_special_tokens(["<m>", "</s>"])
    made.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    llm = LLM(mix(vocab=8, mask=6, eos=(7,)), tokenizer=made)
    for seed in range(4):
        params = SamplingParams(max_new_tokens=5, grammar=Grammar.from_regex(" a[ab]é?"), temperature=2.0, seed=seed)
        check(llm, llm.generate([1], params), params.grammar)
        grammar = Grammar.from_regex("a( |a|é)+")
        out = llm.infill(["a", Hole(3)], replace(params, grammar=grammar))
        check(llm, out, grammar)
        assert out.text == "a" + out.holes[0]


def test_characters_are_whole_though_tokens_are_not(llm):
    """Neither the tokenizer nor the model knows of characters."""
    grammar = Grammar.from_regex("[éß日🙂]{2,4}")
    for seed in range(10):
        out = llm.generate("go", SamplingParams(max_new_tokens=12, grammar=grammar, temperature=5.0, seed=seed))
        check(llm, out, grammar)
    out = llm.infill(["é", Hole(2), "é"], SamplingParams(grammar=grammar, temperature=5.0, seed=1))
    check(llm, out, grammar)


# --- errors -----------------------------------------------------------------------------------------------------------


class Never(MixDenoiser):
    def logits(self, input_ids, attention_mask=None):
        raise AssertionError("errors come before the first forward")


@pytest.fixture(scope="module")
def unasked(core):
    model = Never(COLUMNS, eos=(EOS,))
    model.mask_token_id = MASK
    return LLM(model, tokenizer=core)


@pytest.mark.parametrize(
    ("pattern", "options", "says"),
    [
        ("[0-9]{20}", {"max_new_tokens": 8}, "shortest needs 20 tokens: make room"),
        ("[0-9]{3}", {"max_new_tokens": 2}, "shortest needs 3 tokens: make room"),
        ("[0-9]{3}", {"max_new_tokens": 2, "ignore_eos": True}, "shortest needs 3 tokens: make room"),
        ("[0-9]{3}", {"max_new_tokens": 8, "ignore_eos": True}, "shortest has 3 tokens and none has 8"),
    ],
)
def test_too_little_room_is_an_error_that_says_how_much_is_needed(unasked, pattern, options, says):
    with pytest.raises(GrammarError, match=says):
        unasked.generate("go", SamplingParams(grammar=Grammar.from_regex(pattern), **options))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("12<mask:8>", "with 7 fewer tokens in the hole at token 2 one does"),
        ("<mask:1>", "shortest needs 3 tokens"),
        ("<mask:8>", "shortest has 3 tokens and none has 8"),
        ("1<mask:1>", "with 1 more token in the hole at token 1 one does"),
        (
            "12x<mask:2>",
            r"fixed text is not part of any text of the grammar: line 1, column 3: [^\n]*\n12x<mask:2>\n  \^$",
        ),
        ("1234<mask:2>", "fixed text is not part of any text of the grammar: line 1, column 4: "),
    ],
)
def test_a_document_that_cannot_be_filled_is_an_error_that_says_what_would_do(unasked, document, says):
    with pytest.raises(GrammarError, match=says):
        unasked.infill(document, SamplingParams(grammar=Grammar.from_regex("[0-9]{3}")))


def test_of_two_holes_the_one_that_is_too_narrow_is_named(unasked):
    with pytest.raises(GrammarError, match="with 2 more tokens in the hole at token 0 one does"):
        unasked.infill("<mask:1>-<mask:2>", SamplingParams(grammar=Grammar.from_regex("[0-9]{3}-[0-9]{2}")))
    with pytest.raises(GrammarError, match="with 1 more token in each hole one does"):
        unasked.infill("<mask:1>-<mask:1>", SamplingParams(grammar=Grammar.from_regex("[0-9]{2}-[0-9]{2}")))


def test_one_row_that_cannot_be_stops_the_batch_before_it_begins(unasked):
    good = SamplingParams(max_new_tokens=8, grammar=GRAMMARS["json"])
    bad = replace(good, grammar=Grammar.from_regex("[0-9]{9}"))
    with pytest.raises(GrammarError, match="9 tokens"):
        unasked.generate(["go", "go"], [good, bad])


def test_a_grammar_needs_a_tokenizer_and_text(core):
    with pytest.raises(ConfigError, match="grammar needs a tokenizer"):
        LLM(mix()).generate([1, 2], SamplingParams(max_new_tokens=5, grammar=GRAMMARS["json"]))
    with pytest.raises(GrammarError, match=r"special token 601"):
        LLM(mix(), tokenizer=core).infill([[601], Hole(3)], SamplingParams(grammar=GRAMMARS["json"]))
    with pytest.raises(ConfigError, match="must be a Grammar"):
        SamplingParams(grammar="json")


# --- one answer, always -----------------------------------------------------------------------------------------------

PROBE = """
import json, sys
from dllm.grammars.grammar import Grammar
from dllm.grammars.canvas import MASK, Canvas
from dllm.grammars.search.masks import Possible
from dllm.grammars.search.orders import settle
from dllm.grammars.tables.vocabulary import vocabulary
tokens = [bytes([byte]) for byte in range(256)] + [b'"}', b'": ', b'{"', b'name', b'", "', None]
grammar = Grammar.from_json_schema(json.loads(sys.argv[1]))
compiled = grammar.compile(vocabulary(tokens))
canvas = Canvas((MASK,) * 24, True)
gap = Possible(compiled, canvas)(canvas.gaps[0])
masks = [gap.groups(number)[compiled.table.group_of].tolist() for number in range(24)]
print(json.dumps([grammar.digest, settle(compiled, canvas)[1].witness, masks]))
"""


def test_nothing_depends_on_how_python_hashes(capsys, monkeypatch):
    """Here, where hashes are drawn anew for each process, and in a process where they are not."""
    monkeypatch.setattr(sys, "argv", ["", json.dumps(SCHEMA)])
    exec(PROBE, {})
    here = capsys.readouterr().out
    command = [sys.executable, "-c", PROBE, json.dumps(SCHEMA)]
    env = {**os.environ, "PYTHONHASHSEED": "7", "DLLM_CACHE_DIR": ""}
    there = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    assert here == there and len(json.loads(here)) == 3
