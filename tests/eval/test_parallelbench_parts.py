"""ParallelBench's parts: readers, scorers, the ideal model, the theory, puzzles, curves."""

import itertools
import math
import random

import pytest
import torch

from dllm.errors import ConfigError, ModelError
from dllm.eval.parallelbench import measures, scorers, theory, trial
from dllm.eval.parallelbench.answers import digits, lenient_list, rows, strict_list
from dllm.eval.parallelbench.curves import headlines, oracle, pbx, points
from dllm.eval.parallelbench.ideal import NAMES, OPERATIONS, IdealDenoiser, question
from dllm.eval.parallelbench.page import ACROSS, Page, narrow
from dllm.eval.parallelbench.puzzles import dig, grids, solutions
from dllm.eval.parallelbench.reference import read_curves
from dllm.eval.parallelbench.synthetic import known, list_item, synthetic
from dllm.eval.parallelbench.tasks import TASKS
from dllm.eval.summary import ALL
from dllm.schedulers import as_scheduler

ABC = ["A", "B", "C"]

# ---------------------------------------------------------------------------------------------------------------------
# reading and scoring


@pytest.mark.parametrize(
    ("text", "lenient", "strict"),
    [
        ('["Ann Lee", "Bo"]', ["Ann Lee", "Bo"], ["Ann Lee", "Bo"]),
        ('  ["Ann Lee", "Bo"]\n', ["Ann Lee", "Bo"], ["Ann Lee", "Bo"]),
        ('["Ann Lee","Bo"]', ["Ann Lee", "Bo"], None),
        ("[Ann Lee, Bo]", ["Ann Lee", "Bo"], None),
        ("['Ann Lee', 'Bo']", ["'Ann Lee'", "'Bo'"], None),
        ('The list: ["A", "B"]. Done', ["A", "B"], ["A", "B"]),
        ('["A"] or rather ["B", "C"]', ["B", "C"], ["B", "C"]),
        ('["A", "B"]]', ["A", "B"], ["A", "B"]),
        ('["A", "B"', ["A", "B"], None),
        ('"A", "B"]', ["A", "B"], None),
        ("A, B", ["A", "B"], None),
        ("[]", [], None),
        ("", [], None),
        ("[[1, 2]", ["1", "2"], None),
        ('["A", "B",]', ["A", "B"], None),
        ('["A",, "B"]', ["A", "B"], None),
        ('["A",\n"B"]', ["A", '\n"B'], None),
        ('["A", "", "B"]', ["A", "", "B"], ["A", "", "B"]),
        ('["A", " ", "B"]', ["A", "", "B"], ["A", " ", "B"]),
        ('["A", ", "B"]', ["A", "", "B"], None),
        ('["A", \t\n, "B"]', ["A", "B"], None),
        ('[""]', [""], [""]),
        ("[ ]", [], None),
        ("[,,]", [], None),
        ('["A\\"B"]', ['A\\"B'], None),
        ('["]', [""], None),
        ("[" * 5000, [], None),
    ],
)
def test_lists_are_read_leniently_and_strictly(text, lenient, strict):
    assert lenient_list(text) == lenient
    assert strict_list(text) == strict


def read_aloud(text):
    """The benchmark's rule, letter by letter: brackets, commas, blank parts, then quotes and spaces."""
    parts = [""]
    for letter in text[text.rfind("[") + 1 :]:
        if letter == "]":
            break
        if letter == ",":
            parts.append("")
        else:
            parts[-1] += letter
    kept = []
    for part in parts:
        if all(letter.isspace() for letter in part):
            continue
        while part and part[0] in '" ':
            part = part[1:]
        while part and part[-1] in '" ':
            part = part[:-1]
        kept.append(part)
    return kept


def test_mutated_answers_are_read_by_the_benchmarks_rule():
    rng = random.Random(0)
    pieces = ['"', ", ", ",", " ", "\n", "\t", '""', '"A"', "[", "]", "A", "'", '", "', '"", ', "\u00a0"]
    differs = 0
    for _ in range(3000):
        answer = '["Ann Lee", "Bo Ek", "Cy Fox"]'
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(answer) + 1)
            end = min(len(answer), at + rng.choice((0, 0, 1, 3)))
            answer = answer[:at] + rng.choice(pieces) + answer[end:]
        assert lenient_list(answer) == read_aloud(answer), answer
        differs += "" in lenient_list(answer)
    assert differs > 100  # answers that a reader that drops empty names would take for others


@pytest.mark.parametrize("answer", ['["A", "", "B", "C"]', '["A", "B", "C", ""]', '["", "A", "B", "C"]'])
def test_an_empty_name_is_a_name_too_many(answer):
    item = list_item("copy", "chat", [], ABC, "", ABC)
    assert item.judge(answer) == 0.0 and item.judge(answer.replace('"", ', "").replace(', ""', "")) == 1.0


def test_rows_and_digits():
    assert rows("A,B\n\n C , D \n") == [["A", "B"], ["C", "D"]]
    assert digits("A 4x4 grid:\n1 2,3|4\nno\n12\n", 4) == ["1234"]


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("shuffle", [["B", "A", "C"], ["C", "B", "A"]], [ABC, ["A", "B"], ["A", "B", "B"], [*ABC, "A"], [""]]),
        (
            "insert_random",
            [["N", *ABC], ["A", "N", "B", "C"], [*ABC, "N"]],
            [ABC, ["N", "B", "C"], ["B", "A", "C", "N"]],
        ),
        ("remove_random", [["B", "C"], ["A", "C"], ["A", "B"]], [ABC, ["C", "A"], ["A"], ["A", "D"], [""]]),
        ("replace_random", [["N", "B", "C"], ["A", "B", "N"]], [ABC, ["N", "N", "C"], ["N", "A", "C"], ["N", "B"]]),
    ],
)
def test_tasks_with_several_right_answers(name, right, wrong):
    assert all(scorers.SEVERAL_RIGHT[name](ABC, answer, "N") for answer in right)
    assert not any(scorers.SEVERAL_RIGHT[name](ABC, answer, "N") for answer in wrong)


def test_a_name_that_is_inserted_twice_is_wrong():
    assert not scorers.inserted(ABC, ["N", *ABC, "N"], "N")


def test_latin_squares():
    square = "A,B\nB,A"
    assert scorers.latin_square("AB", square) and scorers.latin_square("AB", f"Here:\n{square}\nA,B")
    assert scorers.latin_square("AB", "B, A\n\nA, B\n")
    for text in ("A,B\nA,B", "A,B", "", "A,B\nB,C", "A B\nB A"):
        assert not scorers.latin_square("AB", text)


def test_sudokus_and_words():
    assert scorers.sudoku(["12", "34"], "1,2\n3,4\n") and not scorers.sudoku(["12", "34"], "1,2\n4,3")
    assert not scorers.sudoku(["12", "34"], "1,2\n3,4\n1,2") and not scorers.sudoku(["12", "34"], "")
    grid = ["2143", "4312", "3421", "1234"]
    for text in ("Here is the completed 4x4 grid:\n{}", "Answer 1:\n{}", "{}\nnote 3"):
        assert scorers.sudoku(grid, text.format("\n".join(grid)))
    assert scorers.holds_words(["cat", "mat"], "A category of mats.") and not scorers.holds_words(["Cat"], "a cat")


def test_what_is_not_installed_is_not_zero(monkeypatch):
    monkeypatch.setattr(measures, "find_spec", lambda name: None)
    for name, value in (
        ("rouge", measures.rouge("a", "a")["rougeL"]),
        ("bleu", measures.bleu("a", "a")),
        ("bertscore", measures.bertscore("a", "a")),
        ("grammar", measures.grammatical("A dog barks.")),
    ):
        assert value is None and "pip install" in measures.missing(name)


def test_what_is_installed_and_does_not_work_is_a_reason_too(monkeypatch):
    def broken():
        raise RuntimeError("no Java")

    monkeypatch.setattr(measures, "find_spec", lambda name: True)
    monkeypatch.setattr(measures, "_checker", broken)
    measures._failure.cache_clear()
    assert measures.grammatical("A dog barks.") is None and "no Java" in measures.missing("grammar")
    measures._failure.cache_clear()


# ---------------------------------------------------------------------------------------------------------------------
# puzzles and the suite


def test_there_are_288_grids_and_a_puzzle_has_one_solution():
    assert len(grids()) == len(set(grids())) == 288
    rng = random.Random(0)
    for _ in range(20):
        solution = rng.choice(grids())
        puzzle = dig(solution, 8, rng)
        assert "".join(puzzle).count("_") == 8 and solutions(puzzle) == [solution]


@pytest.mark.parametrize("form", ["chat", "ideal", "tiny"])
def test_the_suite_is_a_function_of_its_arguments_and_its_own_answers_are_right(form):
    for name in known(form):
        task, longer = synthetic(form, name, 12, 3), synthetic(form, name, 20, 3)
        assert [item.question for item in task.items] == [item.question for item in longer.items[:12]]
        assert task.items[0].question != synthetic(form, name, 12, 4).items[0].question
        for item in task.items:
            text = item.answer
            if isinstance(text, list):
                text = " ".join(text) if form == "ideal" else '["' + '", "'.join(text) + '"]'
            if name.startswith("words_") and form == "chat":
                assert item.judge(text) is None or item.judge(text) in (0.0, 1.0)
                assert item.details(" ".join(item.answer))["submetrics"]["inclusion"] == 1.0
                assert item.details("nothing")["submetrics"]["inclusion"] == 0.0
                continue
            assert item.judge(text) == 1.0, (name, text)
            assert item.judge("") == 0.0 and item.judge("[") == 0.0
            if form == "chat" and TASKS[name].group == "waiting_line":
                assert item.details(text)["score_strict"] == 1.0
                assert item.details(text.replace('"', ""))["score_strict"] == 0.0
                assert item.judge(text.replace('"', "")) == 1.0


def test_the_example_in_a_question_is_right():
    for name in known("chat"):
        if TASKS[name].group == "waiting_line":
            wish, shown, _ = synthetic("chat", name, 1, 0).items[0].question
            assert strict_list(shown["content"]) is not None and '["Ida Lund"' in wish["content"]


def test_unknown_tasks_are_named():
    with pytest.raises(ConfigError, match="none for ideal"):
        synthetic("ideal", "sudoku", 1, 0)


# ---------------------------------------------------------------------------------------------------------------------
# the ideal model


def all_answers(operation, names, place, new):
    if operation == "shuffle":
        return [list(order) for order in itertools.permutations(names)]
    return [list(one) for one in OPERATIONS[operation].answers(names, place, new)]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_ideal_model_is_the_uniform_distribution_over_right_answers(operation):
    model, rng = IdealDenoiser(), random.Random(operation)
    for _ in range(8):
        names, new, place = rng.sample(NAMES[:20], 4), NAMES[20], rng.randint(1, 4)
        answers = all_answers(operation, names, place, new)
        asked = [model.ids[word] for word in question(operation, names, place, new).split()]
        whole = rng.choice(answers)
        shown = [word if rng.random() < 0.4 else None for word in whole]
        canvas = [model.mask_token_id if word is None else model.ids[word] for word in shown]
        found = torch.softmax(model.logits(torch.tensor([asked + canvas]))[0, len(asked) :], dim=-1)
        fits = [one for one in answers if all(word in (None, own) for word, own in zip(shown, one, strict=True))]
        for at, word in enumerate(shown):
            for token in {*names, new}:
                share = sum(one[at] == token for one in fits) / len(fits)
                expected = share if word is None else float(token == word)
                assert float(found[at, model.ids[token]]) == pytest.approx(expected, abs=1e-6)


def test_the_ideal_model_goes_on_after_a_mistake():
    model = IdealDenoiser()
    asked = [model.ids[word] for word in question("replace_random", ABC, name="N").split()]
    canvas = [model.ids["N"], model.ids["N"], model.mask_token_id]
    assert bool(model.logits(torch.tensor([asked + canvas])).isfinite().all())


def test_what_is_no_question_is_an_error():
    model = IdealDenoiser()
    with pytest.raises(ModelError, match="'>' is missing"):
        model.logits(torch.tensor([[model.ids["A"]]]))
    with pytest.raises(ModelError, match="no operation"):
        model.logits(torch.tensor([[model.ids["A"], model.ids[">"], model.mask_token_id]]))
    with pytest.raises(ModelError, match="3 names, the canvas 2 positions"):
        model.logits(torch.tensor([[model.ids[w] for w in ["copy", *ABC, ">", "[MASK]", "[MASK]"]]]))


# ---------------------------------------------------------------------------------------------------------------------
# the theory


def in_steps(n, k):
    return [k] * (n // k) + ([n % k] if n % k else [])


PUBLISHED = {  # n: C replace, C shuffle, shuffle % and replace % at 2, 4, n a step, bits at 2 a step
    3: (1.1699, 2.1699, (66.667, 22.222, 22.222), (88.89, 44.44, 44.44), 0.5850, 0.2516),
    6: (1.3152, 6.0179, (31.25, 13.889, 1.543), (73.35, 62.69, 40.19), 1.6781, 0.4635),
    10: (1.3680, 11.4282, (24.609, 7.000, 0.036), (81.21, 70.29, 38.74), 2.0227, 0.3148),
    16: (1.3966, 19.7499, (19.638, 1.468, 0.0), (86.67, 72.19, 37.98), 2.3483, 0.2179),
}


@pytest.mark.parametrize("n", PUBLISHED)
def test_closed_forms_have_the_known_values(n):
    replace, shuffle, shuffled, replaced, shuffle_bits, replace_bits = PUBLISHED[n]
    assert theory.total_correlation("replace_random", n) == pytest.approx(replace, abs=5e-5)
    assert theory.total_correlation("shuffle", n) == pytest.approx(shuffle, abs=5e-5)
    assert theory.total_correlation("copy", n) == 0.0
    for k, one, other in zip((2, 4, n), shuffled, replaced, strict=True):
        assert 100 * theory.shuffle_accuracy(in_steps(n, k)) == pytest.approx(one, abs=5e-4)
        assert 100 * theory.replace_accuracy(in_steps(n, k)) == pytest.approx(other, abs=5e-3)
    assert theory.shuffle_bits(in_steps(n, 2)) == pytest.approx(shuffle_bits, abs=5e-5)
    assert theory.replace_bits(in_steps(n, 2)) == pytest.approx(replace_bits, abs=5e-5)
    assert theory.replace_bits([n]) == pytest.approx((n - 1) * math.log2(n / (n - 1)))


def test_accuracies_are_those_of_enumeration():
    """Every draw of every forward, weighted: three names, two forwards, positions in every order."""
    for counts in ([1, 2], [2, 1], [3], [1, 1, 1]):
        right = 0.0
        orders = list(itertools.permutations(range(3)))
        for order in orders:
            right += replace_share(order, counts, [None] * 3) / len(orders)
        assert theory.replace_accuracy(counts) == pytest.approx(right)
        assert theory.shuffle_accuracy(counts) == pytest.approx(shuffle_share(counts, [0, 1, 2]))


def replace_share(order, counts, canvas):
    if not counts:
        return float(canvas.count("new") == 1)
    now, later = order[: counts[0]], order[counts[0] :]
    left = canvas.count(None)
    new = 0.0 if "new" in canvas else 1 / left
    found = 0.0
    for drawn in itertools.product(["new", "old"], repeat=len(now)):
        share = math.prod(new if one == "new" else 1 - new for one in drawn)
        if share:
            after = list(canvas)
            for at, one in zip(now, drawn, strict=True):
                after[at] = one
            found += share * replace_share(later, counts[1:], after)
    return found


def shuffle_share(counts, names):
    if not counts:
        return 1.0
    draws = list(itertools.product(names, repeat=counts[0]))
    good = [draw for draw in draws if len(set(draw)) == len(draw)]
    return sum(shuffle_share(counts[1:], [name for name in names if name not in draw]) for draw in good) / len(draws)


@pytest.mark.parametrize(
    ("spec", "shuffle", "replace"),
    [
        ("threshold(0.45)", [1] * 8 + [2], [10]),
        ("threshold(0.3)", [1] * 7 + [3], [10]),
        ("threshold(0.95)", [1] * 10, [1] * 10),
        ("factor(0.7)", [1] * 10, [6, 1, 1, 1, 1]),
        ("eb(1.0)", [1] * 8 + [2], [4, 3, 2, 1]),
        ("topk(4)", [4, 4, 2], [4, 4, 2]),
        ("dus", [2, 1, 2, 5], [2, 1, 2, 5]),
    ],
)
def test_how_many_a_scheduler_commits(spec, shuffle, replace):
    assert theory.shuffle_counts(as_scheduler(spec), 10) == shuffle
    assert theory.replace_counts(as_scheduler(spec), 10) == replace


def test_what_has_no_rule_says_so():
    with pytest.raises(TypeError, match="klass"):
        theory.shuffle_counts(as_scheduler("klass"), 4)
    with pytest.raises(ValueError, match="above 1/2"):
        theory.replace_accuracy_threshold(4, 0.5)


def test_schedulers_do_what_the_theory_says():
    chosen = [one for one in trial.trials() if one.accuracy in (0.0, 1.0)][::3]
    chosen += [one for one in trial.trials() if 0.2 < one.accuracy < 0.9][::3]
    verdicts = list(trial.judge_all(40, only=chosen))
    assert len(verdicts) > 12
    for verdict in verdicts:
        assert verdict.ok, verdict


def test_a_wrong_scheduler_is_found_out():
    claimed = next(one for one in trial.trials() if one.scheduler == "topk(2, by=random)" and one.task == "shuffle")
    other = trial.Trial(
        task="shuffle", scheduler="topk(5)", temperature=1.0, accuracy=claimed.accuracy, forwards=claimed.forwards
    )
    assert not trial.judge(other, 60).ok


def test_measured_bits_are_those_of_the_closed_form():
    for task, counts in (("shuffle", [2] * 3), ("replace_random", [3, 3]), ("replace_random", [2, 2, 2])):
        expected = (theory.shuffle_bits if task == "shuffle" else theory.replace_bits)(counts)
        measured, error = trial.bits(task, counts, 150)
        assert abs(measured - expected) <= 4 * error + 1e-9


def test_deviation():
    assert trial.deviation(10, 1.0, 10) == 0.0 and trial.deviation(9, 1.0, 10) == math.inf
    assert trial.deviation(600, 0.5, 1000) == pytest.approx(6.3, abs=0.1)
    assert trial.deviation(50, 0.5, 100) == 0.0
    # one right answer where 0.04 are expected is no alarm
    assert trial.deviation(1, 0.000363, 100) < 2.0


# ---------------------------------------------------------------------------------------------------------------------
# curves


def test_pbx():
    curve = [(1.0, 90.0), (2.0, 80.0), (4.0, 40.0)]
    assert pbx(curve, 80, fixed=False) == 2.0 and pbx(curve, 60, fixed=False) == pytest.approx(3.0)
    assert pbx(curve, 60, fixed=True) == 2.0 and pbx(curve, 95, fixed=False) is None
    assert pbx(curve, 30, fixed=False) == 4.0
    assert pbx([(1.0, 50.0), (2.0, 80.0), (3.0, 70.0)], 75, fixed=False) == pytest.approx(2.5)


def line(task, index, spec, score, forwards, slots=12, model="m", block=128):
    method = spec.partition("(")[0]
    names = {"model": model, "task": task, "index": index, "key": spec, "block_length": block, "cache": "none"}
    costs = {"forwards": forwards, "slots": slots, "tokens": slots, "refreshes": 0, "seconds": 1, "share_seconds": 1}
    return {**names, "scheduler": spec, "method": method, "score": score, **costs}


def test_points_headlines_and_oracle():
    lines = [
        *(line("copy", i, "threshold(0.9)", 1.0, 4) for i in range(2)),
        *(line("copy", i, "threshold(0.5)", float(i == 0), 2) for i in range(2)),
        *(line("sort", i, "threshold(0.9)", 1.0, 6) for i in range(2)),
        *(line("sort", i, "threshold(0.5)", 0.0, 3) for i in range(2)),
    ]
    found = {(p.task, p.label.partition(",")[0]): (p.slots_per_step, p.score) for p in points(lines)}
    assert found["copy", "threshold(0.9)"] == (3.0, 100.0) and found["copy", "threshold(0.5)"] == (6.0, 50.0)
    assert found[ALL, "threshold(0.9)"] == (2.5, 100.0) and found[ALL, "threshold(0.5)"] == (5.0, 25.0)
    (headline,) = headlines(points(lines))
    assert headline.levels[70] == pytest.approx(2.5 + 2.5 * 30 / 75)
    # sample 0 of copy is right at both: the faster one; sample 1 only at 0.9
    assert oracle(lines, "m", "threshold")["copy"] == (4.5, 100.0)
    assert oracle(lines, "m", "threshold")["sort"] == (2.0, 100.0)


def test_an_oracle_is_of_one_model_and_a_curve_of_one_block_length():
    mixed = [line("copy", 0, "threshold(0.9)", 0.0, 4), line("copy", 0, "threshold(0.9)", 1.0, 4, model="other")]
    assert oracle(mixed, "m", "threshold")["copy"][1] == 0.0
    blocks = [line("copy", 0, "threshold(0.9)", 1.0, 4, block=size) for size in (8, 32)]
    assert [point.curve for point in points(blocks)] == ["threshold, block 8", "threshold, block 32"]


def test_a_mean_over_tasks_is_of_all_of_them():
    lines = [line("copy", 0, "topk(1)", 1.0, 4), line("sort", 0, "topk(1)", 0.0, 4)]
    part = [*lines, line("copy", 0, "topk(2)", 1.0, 4)]
    assert [point.label.partition(",")[0] for point in points(part) if point.task == ALL] == ["topk(1)"]
    more = [*part, line("sort", 0, "topk(2)", 0.0, 4), line("copy", 1, "topk(2)", 1.0, 4)]
    assert [point.label.partition(",")[0] for point in points(more) if point.task == ALL] == ["topk(2)"]
    page = Page.make([], part)
    assert [row.scheduler for row in page.rows if row.task == ALL] == ["topk(1)"]


def test_samples_without_a_score_are_left_out():
    lines = [line("copy", 0, "topk(1, by=random)", 1.0, 4), line("words_easy", 0, "topk(1, by=random)", None, 4)]
    assert [point.task for point in points(lines)] == ["copy"]
    assert points(lines)[0].curve == "topk random"


def test_published_curves(tmp_path):
    (tmp_path / "random.csv").write_text("task,tps,accuracy\nwaitingline-copy,1,99\navg,2,50\nother,3,4\n")
    assert read_curves(tmp_path) == {"copy": {"random": [(1.0, 99.0)]}, ALL: {"random": [(2.0, 50.0)]}}
    with pytest.raises(ConfigError, match="no CSV"):
        read_curves(tmp_path / "none")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="not task, tps and accuracy"):
        read_curves(tmp_path)
    (tmp_path / "bad.csv").write_text("task,tps,accuracy\navg,x,2\n")
    with pytest.raises(ConfigError, match=r"bad\.csv line 2"):
        read_curves(tmp_path)


def test_an_overview_of_many_tasks_is_several_tables():
    tasks, schedulers = [f"task {i}" for i in range(ACROSS + 2)], ["`a`", "`b`", "`c`"]
    parts = list(
        narrow(("title", ["task", *schedulers], [[task, *(f"{task} {s}" for s in schedulers)] for task in tasks]))
    )
    assert [title for title, _, _ in parts] == ["title", "title, further tasks"]
    assert [name for _, (_, *names), _ in parts for name in names] == tasks
    for _, (_, *names), turned in parts:
        assert turned == [[scheduler, *(f"{task} {scheduler}" for task in names)] for scheduler in schedulers]
