"""The front door: what goes in, what comes out, and what every mistake says."""

import itertools

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from dllm import LLM, CapabilityError, ConfigError, Hole, ModelError, PromptError, SamplingParams
from tests.support.fakes import EOS, MASK, MixDenoiser, ScriptedDenoiser, wish


def letters():
    """A tokenizer of 32 ids: a..z, space, newline, two undecodable ids, mask, EOS."""
    words = [chr(ord("a") + i) for i in range(26)] + ["Ġ", "Ċ"]
    vocab = {word: i for i, word in enumerate(words)}
    backend = Backend(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return backend


@pytest.fixture(scope="module")
def llm():
    return LLM(MixDenoiser(), tokenizer=letters())


SHORT = SamplingParams(max_new_tokens=8, block_length=4)


def test_one_in_one_out_a_list_in_a_list_out(llm):
    one = llm.generate("abc", SHORT)
    assert one.prompt_token_ids == [0, 1, 2] and len(one.text) == len(one.token_ids)
    same, other = llm.generate(["abc", [3, 4]], SHORT)
    assert same.token_ids == one.token_ids and other.prompt_token_ids == [3, 4]
    assert llm.generate([0, 1, 2], SHORT).token_ids == one.token_ids
    assert len(llm.generate([[0, 1, 2]], [SHORT])) == 1
    assert llm.generate("abc").stats.tokens <= 128


def test_every_token_of_a_prompt_gives_the_same_text_as_its_ids(llm):
    out = llm.generate("hello world\n", SHORT)
    assert llm.tokenizer.decode(out.token_ids) == out.text
    assert llm.tokenizer.decode(out.prompt_token_ids) == "hello world\n"


def test_undecodable_ids_are_never_proposed():
    # 28 and 29 have no text; the model wants nothing else
    model = ScriptedDenoiser(wish([28, 29, 4, 5], [0.9] * 4, 1))
    with_text = LLM(model, tokenizer=letters()).generate([1], SamplingParams(max_new_tokens=4))
    assert not {28, 29, MASK} & set(with_text.token_ids)
    assert LLM(model).generate([1], SamplingParams(max_new_tokens=4)).token_ids == [28, 29, 4, 5]


def test_without_a_tokenizer_text_is_empty():
    llm = LLM(MixDenoiser())
    assert llm.generate([1, 2], SHORT).text == ""
    filled = llm.infill([[1, 2], Hole(3), 4], SHORT)
    assert filled.text == "" and filled.token_ids[:2] == [1, 2] and filled.token_ids[5:] == [4]
    for call in (lambda: llm.generate("ab"), lambda: llm.infill("a<mask:2>"), lambda: llm.chat([{"role": "user"}])):
        with pytest.raises(PromptError, match="tokenizer"):
            call()
    with pytest.raises(ConfigError, match="stop"):
        llm.generate([1], SamplingParams(stop="x"))


def test_infill_keeps_fixed_text_and_widths(llm):
    out = llm.infill("int f <mask:3> ret <mask:2>", SHORT)
    assert out.text.startswith("int f ") and " ret " in out.text
    assert [len(h) for h in out.holes] == [3, 2]
    assert out.text == f"int f {out.holes[0]} ret {out.holes[1]}"
    assert len(out.token_ids) == 6 + 3 + 5 + 2 and MASK not in out.token_ids
    assert out.prompt_token_ids.count(MASK) == 5
    assert out.finish_reason == "stop" and out.stats.tokens == 5 == out.stats.slots
    parts = llm.infill(["int f ", Hole(3), " ret ", Hole(2)], SHORT)
    assert parts.token_ids == out.token_ids and parts.text == out.text


def test_infill_batches_and_odd_shapes(llm):
    first, second = llm.infill(["a<mask:2>", "<mask:1>b<mask:1>"], SHORT)
    assert first.text[0] == "a" and len(first.text) == 3
    assert len(second.text) == 3 and second.text[1] == "b"
    only = llm.infill([Hole(2), Hole(3)], SHORT)
    assert [len(h) for h in only.holes] == [2, 3]
    both = llm.infill([["a", Hole(1)], [Hole(2), "b"]], SHORT)
    assert [len(o.text) for o in both] == [2, 3]


def test_no_eos_inside_a_hole():
    model = ScriptedDenoiser(wish([EOS] * 6, [0.9] * 6, 0))
    out = LLM(model, tokenizer=letters()).infill(["a", Hole(4), "b"], SHORT)
    assert EOS not in out.token_ids and len(out.token_ids) == 6
    # without a tokenizer nothing but the mask is banned, and EOS plays no part
    out = LLM(model).infill([[0], Hole(4), [1]], SHORT)
    assert out.token_ids == [0, EOS, EOS, EOS, EOS, 1] and out.finish_reason == "stop"


def test_a_literal_mask_can_be_written():
    from dllm.engine.document import parse_template

    assert parse_template("a <<mask:3> b <mask:2>") == ["a <mask:3> b ", Hole(2)]
    assert parse_template("<mask:1><mask:2>") == [Hole(1), Hole(2)]


def test_stream_tells_the_same_story_as_generate(llm):
    params = SamplingParams(max_new_tokens=12, block_length=4, scheduler="topk(2)")
    out = llm.generate("abc", params)
    events = list(llm.stream("abc", params))
    assert [e.positions for e in events] == [s.positions for s in out.trace.steps]
    assert [e.output is not None for e in events] == [False] * (len(events) - 1) + [True]
    assert events[-1].output.token_ids == out.token_ids and events[-1].text == out.text
    for before, after in itertools.pairwise(events):
        assert after.text.startswith(before.text), "settled text only ever grows"
    assert events[0].canvas.count(MASK) > 0 == events[-1].canvas.count(MASK)
    holes = list(llm.stream_infill("a<mask:5>b", params))
    assert holes[-1].output.text == llm.infill("a<mask:5>b", params).text == holes[-1].text


def test_stop_strings_cut_the_text():
    # a b c d e f, one at a time from the left
    model = ScriptedDenoiser(wish([0, 1, 2, 3, 4, 5], [0.9] * 6, 1))
    llm = LLM(model, tokenizer=letters())
    params = SamplingParams(max_new_tokens=6, scheduler="topk(by=left_to_right)", stop=("xx", "cd"))
    out = llm.generate([9], params)
    assert out.text == "ab" and out.token_ids == [0, 1, 2, 3] and out.finish_reason == "stop"
    assert out.stats.forwards == 4
    # all in one step: the text is cut all the same
    out = llm.generate([9], SamplingParams(max_new_tokens=6, scheduler="threshold(0.5)", stop="cd"))
    assert out.text == "ab" and out.token_ids == [0, 1, 2, 3]
    # a stop string that is complete only on the right of a mask does not end the row
    late = ScriptedDenoiser(wish([0, 1, 2, 3], [0.5, 0.9, 0.9, 0.9], 1))
    params = SamplingParams(max_new_tokens=4, scheduler="threshold(0.8)", stop="bc")
    out = LLM(late, tokenizer=letters()).generate([9], params)
    assert out.text == "a" and out.stats.forwards == 2


def test_eos_is_not_part_of_text_or_ids(llm):
    model = ScriptedDenoiser(wish([0, 1, EOS, 3], [0.9] * 4, 1))
    out = LLM(model, tokenizer=letters()).generate([9], SamplingParams(max_new_tokens=4, scheduler="threshold(0.5)"))
    assert (out.text, out.token_ids, out.stats.tokens, out.stats.slots) == ("ab", [0, 1], 2, 3)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: m.generate(""), PromptError, "empty"),
        (lambda m: m.generate([]), PromptError, "empty"),
        (lambda m: m.generate(["a", ""]), PromptError, "empty"),
        (lambda m: m.generate([[1], []]), PromptError, "non-empty"),
        (lambda m: m.generate(None), PromptError, "must be a string"),
        (lambda m: m.generate([1, "a"]), PromptError, "must be a string"),
        (lambda m: m.generate([1, 99]), PromptError, r"id 99 at 1; legal ids are 0\.\.\.31"),
        (lambda m: m.generate([1, -1]), PromptError, "id -1"),
        (lambda m: m.generate([1, MASK]), PromptError, "mask id 30 at 1"),
        (lambda m: m.generate("a", [SHORT, SHORT]), ConfigError, "2 entries for 1"),
        (lambda m: m.generate("a", "fast"), ConfigError, "SamplingParams"),
        (lambda m: m.generate("a", SHORT, max_batch_size=0), ConfigError, "max_batch_size"),
        (lambda m: m.generate("a", SamplingParams(cache="dual")), CapabilityError, "keys and values"),
        (lambda m: m.infill("no hole here"), PromptError, "no hole"),
        (lambda m: m.infill("a<mask:0>"), ConfigError, "width=0"),
        (lambda m: m.infill("a<mask:two>"), PromptError, "write <mask:N>"),
        (lambda m: m.infill("a<mask:3"), PromptError, "write <mask:N>"),
        (lambda m: m.infill(["a", Hole(2), 3.5]), PromptError, "3.5"),
        (lambda m: m.infill([Hole(2), [MASK]]), PromptError, "mask id"),
        (lambda m: m.infill("a<mask:2>", SamplingParams(stop="x")), ConfigError, "stop"),
        (lambda m: m.chat([]), PromptError, "empty"),
        (lambda m: m.stream("a", SamplingParams(n=2)), ConfigError, "n=2"),
        (lambda m: m.stream(""), PromptError, "empty"),
    ],
)
def test_mistakes(llm, call, error, says):
    with pytest.raises(error, match=says):
        call(llm)


def test_context_length_is_checked(llm):
    llm = LLM(MixDenoiser(), tokenizer=letters())
    llm.model.max_length = 10
    with pytest.raises(PromptError, match=r"prompt \(5\) \+ max_new_tokens \(8\) is 13 tokens.*holds 10"):
        llm.generate("abcde", SHORT)
    with pytest.raises(PromptError, match=r"is 11 tokens.*holds 10"):
        llm.infill("abcde<mask:6>")


def test_a_model_without_mask_id_is_asked_for_one():
    model = MixDenoiser()
    model.mask_token_id = None
    with pytest.raises(ConfigError, match="mask_token_id=ID"):
        LLM(model)
    assert LLM(model, mask_token_id=MASK).generate([1], SHORT).token_ids
    with pytest.raises(ConfigError, match="mask_token_id=40"):
        LLM(MixDenoiser(), mask_token_id=40)


def test_not_a_model():
    with pytest.raises(ModelError):
        LLM(object())
    with pytest.raises(ModelError, match=r"no such folder|not found|does not exist"):
        LLM("./no/such/folder")


def test_import_is_light():
    import subprocess
    import sys

    code = "import sys, dllm; print([m for m in ('torch', 'lark', 'typer', 'transformers') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert found == "[]"
    code = "import sys; from dllm import LLM; print([m for m in ('lark', 'typer', 'rich') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert found == "[]"


def test_public_names_resolve():
    import dllm

    for name in dllm.__all__:
        assert getattr(dllm, name) is not None and name in dir(dllm)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = dllm.nothing_like_it
    assert torch.get_default_dtype() == torch.float32


class NeedsMask:
    """A model whose `logits` cannot do without the attention mask."""

    vocab_size, mask_token_id, eos_token_ids = 12, 10, (11,)

    def logits(self, input_ids, attention_mask):
        assert attention_mask.shape == input_ids.shape and bool(attention_mask.all())
        table = torch.nn.functional.one_hot(torch.arange(input_ids.shape[1]) % 10, 12).float()
        return 9.0 * table.expand(*input_ids.shape, 12)


class MaskedModule(torch.nn.Module):
    vocab_size, mask_token_id, eos_token_ids = 12, 10, (11,)

    def forward(self, input_ids, attention_mask):
        return NeedsMask().logits(input_ids, attention_mask)


@pytest.mark.parametrize("model", [NeedsMask(), MaskedModule()], ids=["denoiser", "module"])
def test_a_model_that_needs_an_attention_mask_is_given_one(model):
    assert LLM(model).generate([0, 1], SamplingParams(max_new_tokens=3)).token_ids == [2, 3, 4]


def test_a_mask_that_is_an_end_is_refused():
    model = NeedsMask()
    model.eos_token_ids = (10,)
    with pytest.raises(ConfigError, match="mask_token_id=10 is also an end"):
        LLM(model)


def test_errors_in_a_batch_name_the_item():
    llm = LLM(NeedsMask())
    with pytest.raises(PromptError, match=r"item 2 of 3: .*99"):
        llm.generate([[1], [2], [99]])
    with pytest.raises(PromptError, match=r"^prompt"):
        llm.generate([99])
    with pytest.raises(PromptError, match="list of documents"):
        llm.infill([[1, 2], [3]])
    for document in (None, 5):
        with pytest.raises(PromptError, match="document"):
            llm.infill([document])


@pytest.mark.parametrize(
    ("field", "value"), [("steps", 10**9), ("n", 10**8), ("temperature", 10**400), ("cfg_scale", 1e38)]
)
def test_slips_of_the_keyboard_are_errors_not_hangs(field, value):
    extra = {"scheduler": "dream"} if field == "steps" else {}
    with pytest.raises(ConfigError, match=field):
        SamplingParams(**{field: value}, **extra)


def test_many_steps_of_quota_zero_cost_nothing():
    """Of a million steps none has a whole token to commit but the last: one forward, and no wait for the others."""
    params = SamplingParams(max_new_tokens=4, scheduler="dream", steps=10**6, ignore_eos=True)
    assert LLM(NeedsMask()).generate([0], params).stats.forwards == 1


def test_caches_from_outside_are_checked():
    from pathlib import Path

    from dllm.cache import Cache, Feed

    class Never(Cache):
        def feed(self, view, lookback):
            return Feed(view.start, view.end)

    class Nothing(Cache):
        def feed(self, view, lookback):
            return None

    llm = LLM(Path(__file__).parents[1] / "golden" / "llada", dtype="float32", device="cpu")
    for cache, words in ((Never(), "first feed"), (Nothing(), "must return a Feed")):
        with pytest.raises(ConfigError, match=words):
            llm.generate([1, 2], SamplingParams(max_new_tokens=4, cache=cache))


@pytest.mark.parametrize("where", [{"device": "meta"}, {"device_map": {"": "nope"}}])
def test_devices_that_cannot_hold_weights_are_named(where):
    with pytest.raises(ConfigError, match=r"meta|nope"):
        LLM("tiny", **where)


def test_ids_may_be_numpys_and_arrays_are_told_how():
    llm = LLM(MixDenoiser())
    params = SamplingParams(max_new_tokens=4)
    out = llm.generate(list(np.array([3, 4])), params)
    assert out.token_ids == llm.generate([3, 4], params).token_ids
    assert [type(token) for token in out.prompt_token_ids] == [int, int]
    with pytest.raises(PromptError, match=r"\.tolist\(\)"):
        llm.generate(np.array([3, 4]), params)
    with pytest.raises(PromptError, match=r"\.tolist\(\)"):
        llm.generate([np.array([3, 4])], params)
