"""The parts of `benchmarks/authors.py`: what is recorded of a loop, and how a difference is judged."""

import torch

from dllm import LLM
from tools.authors.child import Recorder, changes, load_sampler, record
from tools.authors.compare import NEAR, Recording, judge, predictions, recording_of_theirs
from tools.authors.method import EOS, IDS, MASK, Method, Pairing

CASE = Pairing({"gen_length": 4}, "topk")
METHOD = Method("toy", "someone/toy", "0" * 40, "toy.py", "fill", (CASE,))
SAMPLER = """
import torch

def fill(model, prompt, gen_length, mask_id=126336):
    x = torch.full((1, prompt.shape[1] + gen_length), mask_id)
    x[:, : prompt.shape[1]] = prompt
    start = prompt.shape[1]
    model(x)
    x[0, start] = 7
    model(x[:, start:])  # a cache: the canvas in part
    x[0, start + 1 :] = 9
    x[0, start] = mask_id
    model(torch.cat([x, x]))  # guidance: two rows
    model(x)
    x[0, start] = 8
    return x, 4
"""


def network(input_ids):
    return torch.zeros(*input_ids.shape, 3)


def test_a_loop_is_recorded_step_by_step(tmp_path):
    path = tmp_path / "toy.py"
    path.write_text(SAMPLER)
    ids, forwards, steps = record(METHOD, CASE, load_sampler(path, IDS), Recorder(network, double=False), [5, 6])
    assert (ids, forwards) == ([8, 9, 9, 9], 4)
    assert steps == [[0], [1, 2, 3, -1], [0]]  # the third forward changed nothing


def test_changes_name_what_was_committed_and_masked_again():
    assert changes([[5, MASK, 4], [5, 3, 4], [5, 3, MASK], [5, 3, 6]], 1) == [[0], [-2], [1]]


def test_rows_of_theirs_lose_what_ours_never_has():
    idle = Method("toy", "a/b", "0", "f", "g", (CASE,), idle=True)
    assert recording_of_theirs([[4, 5], 9, [[0], [1]]], idle, CASE, [EOS]) == Recording([4, 5], 2, [[0], [1]])
    stops = Pairing({"gen_length": 4}, "eotp", {"ignore_eos": False})
    row = recording_of_theirs([[4, EOS, 5], 9, [[0, 2], [1], [-3]]], METHOD, stops, [EOS])
    assert row == Recording([4], 9, [[0, 2], [1], [-3]])


def test_differences_are_judged_by_rule():
    """With the probabilities of `tiny` itself at an empty canvas."""
    llm, prompt = LLM("tiny"), [10, 11, 12]
    blank = Recording([9, 9, 9, 9], 4, [[0], [1], [2], [3]])
    best, _, _ = predictions(llm, CASE, prompt, blank, 0)

    def kind(theirs, ours, rounding=0.0, ids=(9, 9, 9, 9)):
        rest = [[2], [3]]
        one, other = Recording(list(ids), 4, [*theirs, *rest]), Recording([9, 9, 9, 9], 4, [*ours, *rest])
        return judge(llm, CASE, prompt, one, other, rounding).kind

    assert kind([[0], [1]], [[0], [1]]) == "equal"
    assert kind([[0], [1]], [[0], [1]], ids=(9, 9, 9, 8)) == "tokens"
    assert kind([[0], [1]], [[1], [0]], ids=(9, MASK, 9, 9)) == "mask"
    assert kind([[0, 1]], [[0], [1]]) == "steps"  # no exchange: one of them chose more
    assert kind([[0], [1]], [[1], [0]], rounding=1.0) == "tie"
    far = abs(best[0] - best[1]) > NEAR * (1 - min(best[:2]))
    assert kind([[0], [1]], [[1], [0]]) == ("steps" if far else "near")
