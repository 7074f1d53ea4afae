"""What joins to what, what is refused, what becomes equal at the edges, and single steps worked out by hand."""

from dataclasses import dataclass

import pytest
import torch

from dllm import LLM, ConfigError, SamplingParams
from dllm.schedulers import AdaBlock, Credit, Joined, Saber, Scheduler, as_scheduler
from tests.schedulers.test_methods import model_of
from tests.support.fakes import EOS, MASK, VOCAB, MixDenoiser, ScriptedDenoiser, wish

PROMPTS = ([3], [1, 2, 3, 4, 5], [9, 8, 7])


def positions(spec, model, prompt=(0,), new=8, block=8, **options):
    params = SamplingParams(max_new_tokens=new, block_length=block, scheduler=spec, **options)
    return [list(step.positions) for step in LLM(model).generate(list(prompt), params).trace.steps]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("localleap(anchor=0.4, relaxed=0.4)", "threshold(0.4)"),
        ("localleap(anchor=0.4, relaxed=0.1, radius=0)", "threshold(0.4)"),
        ("credit(strength=0)+threshold(0.4)", "threshold(0.4)"),
        ("credit(strength=0)+eb(2)", "eb(2)"),
        ("adablock(delimiters='29', tau=1)+threshold(0.4)", "threshold(0.4)"),
        ("adablock(delimiters='1 2 3', window=0)+topk", "topk"),
        ("eb(0)", "topk(by=entropy)"),
        ("threshold(1)", "topk"),
        ("hierarchy(high=0.4, low=1)", "threshold(0.4)"),
        ("klass(history=50)", "topk"),
        ("prophet(early=99, middle=99, late=99)+topk(2)", "topk(2)"),
        ("stable(0, entropy=0)+topk(2)", "topk(2)"),
        ("stable(99, entropy=99)+threshold(0.4)", "threshold(0.4)"),
        ("stable(0, entropy=99)+topk", "prophet(early=0, middle=0, late=0)+topk"),
        ("sched(99, low=99, change=1)+topk(2)", "topk(2)"),
        ("sched(0, low=0, change=1)+topk", "prophet(early=0, middle=0, late=0)+topk"),
        ("sched(2, low=2, change=1)+topk", "sched(2, low=2, change=1, shape=exp)+topk"),
        ("sched(0, low=0)+topk", "stable(1, entropy=99)+topk"),
        ("cora(0.4, steps=1)", "threshold(0.4)"),
        ("cora(0.4, steps=99)", "topk"),
        ("cora(0.4)+threshold(0.3)", "threshold(0.3)"),
        ("slowfast(1, explore=99)", "topk"),
        ("pc(0, table=flat)", "topk"),
        ("pc(0, table=flat, k=3)", "topk(3)"),
        ("pc(1000, table=flat)", "topk(by=left_to_right)"),
        ("remdm(loops=0)", "llada"),
        ("multiblock(0, add=1)", "topk(by=entropy)"),
        ("multiblock(99, add=1)", "threshold(0)"),
        ("eotp+topk", "topk"),
        ("eotp", "threshold(0.9)"),
        ("credit", "credit+threshold"),
        ("localleap+credit", "credit+localleap"),
        ("dus(100)", "threshold(0)"),
    ],
)
def test_equal_at_the_edges(one, other):
    for seed in range(4):
        for prompt in PROMPTS:
            assert positions(one, model_of(seed), prompt, 12, 6) == positions(other, model_of(seed), prompt, 12, 6)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("threshold+threshold", ["threshold", "twice"]),
        ("dream+threshold", ["dream", "threshold", "measures"]),
        ("localleap(anchor=2)", ["anchor", "2"]),
        ("localleap(radius=-1)", ["radius", "-1"]),
        ("eb(-1)", ["gamma"]),
        ("eb(by=luck)", ["luck", "entropy"]),
        ("hierarchy(low=7)", ["low"]),
        ("dus(1)", ["base"]),
        ("klass(history=0)", ["history"]),
        ("credit(decay=2)", ["decay"]),
        ("credit(strength=-1)", ["strength"]),
        ("stable(-1)", ["k", "-1"]),
        ("stable(entropy=-1)", ["entropy", "-1"]),
        ("sched(-1)", ["high", "-1"]),
        ("sched(shape=step)", ["shape", "step", "cosine"]),
        ("sched(change=2)", ["change", "2"]),
        ("cora(2)", ["tau", "2"]),
        ("cora(steps=0)", ["steps", "0"]),
        ("slowfast(explore=0)", ["explore", "0"]),
        ("slowfast(reach=2)", ["reach", "2"]),
        ("slowfast(window=0)", ["window", "0"]),
        ("slowfast(spread=-1)", ["spread", "-1"]),
        ("pc(-1)", ["decay", "-1"]),
        ("pc(cap=-1)", ["cap", "-1"]),
        ("pc(k=0)", ["k", "0"]),
        ("remdm(0)", ["n", "0"]),
        ("remdm(loops=-1)", ["loops", "-1"]),
        ("remdm(at=2)", ["at", "2"]),
        ("multiblock(-1)", ["entropy", "-1"]),
        ("multiblock(add=2)", ["add", "2"]),
        ("multiblock+adablock", ["multiblock", "adablock", "several blocks live"]),
        ("prophet(region=5:5)", ["5:5", "START < END"]),
        ("prophet(region=end)", ["end", "answer"]),
        ("eotp(mode=fast)", ["fast", "safe"]),
        ("adablock(basis=all)", ["all", "generated"]),
        ("adablock(delimiters=tab)", ["tab", "newline", "llada", "dream"]),
        ("saber(n=0)", ["n", "0"]),
        ("saber(back=none)", ["back", "fallen"]),
        ("wino(shadow=none)", ["shadow", "alone"]),
        ("klass(scope=row)", ["scope", "canvas"]),
        ("dus(strides=odd)", ["strides", "powers"]),
        ("saber(0)", ["mu"]),
        ("learn2pd(gamma=3)", ["gamma"]),
        ("locaLleap", ["localleap"]),
    ],
)
def test_mistakes_are_named(spec, words):
    with pytest.raises(ConfigError) as error:
        SamplingParams(scheduler=spec)
    assert all(word in str(error.value) for word in words), error.value


@dataclass(frozen=True)
class Halves(Scheduler):
    """Ends every block in the middle of what it would be."""

    at: float = 0.5

    def block_end(self, view, state):
        return view.start + max(1, int((view.end - view.start) * self.at))


@dataclass(frozen=True)
class TakesBack(Scheduler):
    """Asks for everything back, always; the engine has to see to progress."""

    def remask(self, view, chosen, state):
        return torch.arange(len(view.canvas)), state


def test_two_suppliers_of_one_part_are_named():
    with pytest.raises(ConfigError, match=r"Halves and adablock.*blocks end"):
        Joined((Halves(), AdaBlock()))
    with pytest.raises(ConfigError, match=r"saber and TakesBack.*again"):
        Joined((Saber(), TakesBack()))


def test_a_part_from_outside_gets_a_selector():
    assert str(as_scheduler(Credit())) == "credit+threshold"
    model = MixDenoiser(eos=())
    params = SamplingParams(max_new_tokens=16, block_length=8, scheduler=Halves())
    steps = LLM(model).generate([1], params).trace.steps
    assert max(max(s.positions) for s in steps[:4]) <= 4, "the first block ends after four of eight"


def test_progress_whatever_is_taken_back():
    scheduler = Joined((TakesBack(), as_scheduler("topk(3)")))
    params = SamplingParams(max_new_tokens=12, block_length=6, scheduler=scheduler)
    out = LLM(MixDenoiser()).generate([1, 2], params)
    for step in out.trace.steps:
        assert len(step.revoked) < len(step.positions) and not set(step.revoked) & set(step.positions)
        assert all(p >= 2 for p in step.revoked), "the prompt is never taken back"
    assert any(step.revoked for step in out.trace.steps) and out.stats.forwards <= 12


@pytest.mark.parametrize(
    "spec", ["multiblock(2)+edit(0.3)", "multiblock(3)+saber(2)", "multiblock(1)+remdm(2, loops=3)"]
)
def test_several_live_blocks_with_what_changes_tokens(spec):
    """Rows come to their end, and no mask is left, whatever is replaced or taken back in the blocks that are live."""
    for seed in range(4):
        params = SamplingParams(max_new_tokens=21, block_length=5, scheduler=spec, ignore_eos=True)
        out = LLM(model_of(seed)).generate([1, 2, 3], params)
        assert len(out.token_ids) == 21 and MASK not in out.token_ids


def test_a_block_end_outside_the_canvas_is_refused():
    with pytest.raises(ConfigError, match="block_end"):
        LLM(MixDenoiser()).generate([1], SamplingParams(max_new_tokens=4, scheduler=Halves(at=9.0)))


# worked out by hand


def test_localleap_reaches_exactly_its_radius():
    c = [0.2, 0.8, 0.2, 0.2, 0.2, 0.95, 0.2, 0.2, 0.2, 0.8, 0.8]
    model = ScriptedDenoiser(wish(list(range(11)), c, 1))
    first = positions("localleap", model, new=11, block=16)[0]
    assert first == [1 + 1, 1 + 5, 1 + 9], "distance 4 is near, 5 is not"


def test_adablock_takes_the_surest_delimiter_not_the_first():
    c = [0.5, 0.4, 0.5, 0.6, 0.5, 0.7, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    tokens = [1, 20, 1, 20, 1, 20, 1, 1, 1, 1, 1, 1]

    def ends(spec):
        model = ScriptedDenoiser(wish(tokens, c, 1))
        return [min(p) for p in positions(spec + "+threshold(0)", model, new=12, block=3)]

    assert ends("adablock(window=1, delimiters=20)")[:2] == [1, 7], "behind offset 5, the surest of three"
    assert ends("adablock(window=0.34, delimiters=20)")[:2] == [1, 5], "offset 5 is outside a window of 4"
    assert ends("adablock(tau=0.8, window=1, delimiters=20)")[:2] == [1, 4], "nothing sure enough: the usual three"
    assert ends("adablock(tau=0.69, window=1, delimiters=20)")[:2] == [1, 7]


def test_adablock_finds_newlines_in_the_tokenizer():
    llm = LLM("tiny")
    bound = as_scheduler("adablock+topk").bind(type("S", (), {"model": llm.model, "tokenizer": llm.tokenizer})())
    ids = bound.parts[0].delimiters
    assert ids and all("\n" in llm.tokenizer.decode([i]) for i in ids)
    others = set(range(llm.model.vocab_size)) - set(ids) - set(llm.tokenizer.special_ids)
    assert not any("\n" in llm.tokenizer.decode([i]) for i in others)
    with pytest.raises(ConfigError, match="tokenizer"):
        LLM(MixDenoiser()).generate([1], SamplingParams(scheduler="adablock"))


def test_adablock_has_the_published_lists():
    """They are ids of a vocabulary, so a model whose own is smaller has none of them."""
    llm = LLM("tiny")
    setting = type("S", (), {"model": llm.model, "tokenizer": None})()
    assert as_scheduler("adablock(delimiters=llada)+topk").bind(setting).parts[0].delimiters == (198,)
    for wrong in ((), [], 198, None):
        with pytest.raises(ConfigError, match=r"delimiters=.* must be newline, llada, dream, or a tuple of token ids"):
            AdaBlock(delimiters=wrong)
    with pytest.raises(ConfigError, match="delimiters=dream are ids up to 68327"):
        as_scheduler("adablock(delimiters=dream)+topk").bind(setting)
    setting.model = type("M", (), {"vocab_size": 152064})()
    assert len(as_scheduler("adablock(delimiters=dream)+topk").bind(setting).parts[0].delimiters) == 24


def test_credit_is_bounded_by_its_closed_form():
    """Odds grow by at most (1 + 1 / (1 - decay)) ** strength = 3.51, and reach it."""
    scheduler = Credit(power=0.0)  # a gain of 1 whatever the probability
    bound = (1 + 1 / (1 - 0.8)) ** 0.7
    assert round(bound, 2) == 3.51
    logits = torch.log(torch.tensor([[0.6, 0.3, 0.1]]))
    state, odds = None, []
    for step in range(60):
        view = type("V", (), {"block_step": step, "masked": torch.tensor([True]), "start": 0, "end": 1, "canvas": [0]})
        boosted, state = scheduler.transform(view, torch.tensor([0]), logits, state)
        p = torch.softmax(boosted.double(), -1)[0]
        odds.append(float(p[0] / (1 - p[0])) / 1.5)
    assert odds == sorted(odds) and odds[-1] < bound + 1e-4 and abs(odds[-1] - bound) < 1e-4


@pytest.mark.parametrize("progress", [1, 2, 3, 4])
def test_prophet_asks_less_as_it_goes_on(progress):
    """Six positions: progress is 1/6, 2/6, 3/6 ... at the first, second, third step; a gap that is met finishes."""
    thresholds = {1: "early", 2: "middle", 3: "middle", 4: "middle", 5: "late"}
    gap = 4.0

    def script(ids):
        logits = torch.zeros(len(ids), VOCAB)
        logits[torch.arange(len(ids)), 1 + torch.arange(len(ids)) % 8] = gap
        return logits

    values = dict.fromkeys(("early", "middle", "late"), 99.0)
    values[thresholds[progress]] = gap
    spec = "prophet(" + ", ".join(f"{k}={v}" for k, v in values.items()) + ")+topk(by=left_to_right)"
    steps = positions(spec, ScriptedDenoiser(script, eos=()), new=6)
    first = next(i for i in sorted(thresholds) if thresholds[i] == thresholds[progress])
    assert [len(p) for p in steps] == [1] * (first - 1) + [6 - first + 1]


def test_the_clock_of_prophet_does_not_count_what_an_end_has_cut_off():
    model = ScriptedDenoiser(wish([5] * 3 + [EOS] + [5] * 12, [0.3] * 3 + [0.9] + [0.3] * 12, prompt=1))
    gap = float(model.logits(torch.tensor([[1] + [MASK] * 16]))[0, 1].topk(2).values.diff().abs())
    spec = f"prophet(early=100, middle={2 * gap}, late={gap / 2})+topk"
    # of an answer of four tokens, two are half and three are late
    assert positions(spec, model, (1,), 16, 16) == [[4], [1], [2, 3]]


def test_prophet_does_not_look_behind_the_predicted_end():
    def script(ids):
        logits = torch.zeros(len(ids), VOCAB)
        for i, (token, gap) in enumerate([(1, 9.0), (2, 9.0), (EOS, 9.0), (4, 0.1), (5, 0.1), (6, 0.1)]):
            if i + 1 < len(ids):
                logits[i + 1, token] = gap
        return logits

    out = LLM(ScriptedDenoiser(script)).generate([0], SamplingParams(max_new_tokens=6, scheduler="prophet+topk"))
    assert out.token_ids == [1, 2] and out.stats.forwards == 1


@pytest.mark.parametrize(("options", "length"), [({}, 5), ({"cut_at_eos": "end"}, 5), ({"ignore_eos": True}, 8)])
def test_a_predicted_end_cuts_nothing_where_ends_are_ignored(options, length):
    model = ScriptedDenoiser(wish([5] * 5 + [EOS] * 3, [0.5] * 8, prompt=1))
    params = SamplingParams(max_new_tokens=8, block_length=4, scheduler="eotp(paper)+topk", **options)
    out = LLM(model).generate([0], params)
    assert len(out.token_ids) == length and out.finish_reason == ("length" if length == 8 else "stop")
    assert (len(out.trace.steps) == 8) == (length == 8)


def test_eotp_cuts_at_a_chosen_end_before_a_predicted_one():
    """Paper's (a) before (b): a committed EOS ends the canvas; else the surest masked EOS does, however unsure."""
    c = [0.9, 0.5, 0.5, 0.3, 0.5, 0.4, 0.5, 0.5]
    tokens = [1, 2, 3, EOS, 4, EOS, 5, 6]
    out = LLM(ScriptedDenoiser(wish(tokens, c, 1))).generate(
        [0], SamplingParams(max_new_tokens=8, block_length=4, scheduler="eotp(paper)+topk")
    )
    assert out.token_ids == [1, 2, 3], "cut behind the surer EOS at offset 5, then behind the one at offset 3"
    c[3] = 0.95
    out = LLM(ScriptedDenoiser(wish(tokens, c, 1))).generate(
        [0], SamplingParams(max_new_tokens=8, block_length=4, scheduler="eotp(paper)+topk")
    )
    assert out.token_ids == [1, 2, 3] and list(out.trace.steps[0].positions) == [4]


@pytest.mark.parametrize("spec", ["adablock(delimiters='1 2 3')", "prophet", "eotp(paper)", "credit", "saber"])
@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
def test_wide_eyes_and_caches(spec, cache):
    """Methods that look beyond the block see what the cache feeds, and nothing breaks."""
    from pathlib import Path

    llm = LLM(Path(__file__).parents[1] / "golden" / "dream", dtype="float32", device="cpu")
    out = llm.generate([5, 6, 7], SamplingParams(max_new_tokens=14, block_length=4, scheduler=spec, cache=cache))
    assert llm.model.mask_token_id not in out.token_ids and len(out.token_ids) <= 14
