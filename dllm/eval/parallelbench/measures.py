"""What is measured of free text, each by the package that the field uses; None where that is not installed.

Nothing is ever counted as 0 because a package is missing: a score that needs it is None, and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any

Measure = float | None
ROUGE = ("rouge1", "rouge2", "rougeL")
NEEDED = {
    "rouge": ("rouge_score", "pip install rouge-score"),
    "bleu": ("sacrebleu", "pip install sacrebleu"),
    "bertscore": ("bert_score", "pip install bert-score; it loads roberta-large from the Hub"),
    "grammar": ("language_tool_python", "pip install language-tool-python; it needs Java and downloads LanguageTool"),
}


def missing(name: str) -> str | None:
    """Why a measure cannot be taken, or None if it can."""
    module, how = NEEDED[name]
    return _failure(name) if find_spec(module) else f"{name} needs {module} ({how})"


@cache
def _failure(name: str) -> str | None:
    """What is wrong with a package that is there: it is tried once."""
    try:
        {"rouge": _rouge, "bleu": _bleu, "bertscore": _bertscore, "grammar": _checker}[name]()
    except Exception as error:  # whatever it is, the other measures can be taken
        return f"{name}: {NEEDED[name][0]} does not work here ({type(error).__name__}: {str(error)[:120]})"
    return None


def rouge(text: str, reference: str) -> dict[str, Measure]:
    """F-measures of common words, common pairs, and the longest common subsequence, of stemmed words."""
    if missing("rouge"):
        return dict.fromkeys(ROUGE)
    found = _rouge().score(reference, text)
    return {name: float(found[name].fmeasure) for name in ROUGE}


def bleu(text: str, reference: str) -> Measure:
    """BLEU of four-grams in 0...1, unsmoothed, of one text against one reference."""
    if missing("bleu"):
        return None
    return float(_bleu()([text], [[reference]]).score) / 100


def bertscore(text: str, reference: str) -> Measure:
    """F1 of contextual embeddings, English."""
    if missing("bertscore"):
        return None
    return float(_bertscore()([text], [reference])[2][0])


def grammatical(text: str) -> Measure:
    """1 where LanguageTool (en-US) has nothing to say of the text, else 0; of no text, 0."""
    if missing("grammar"):
        return None
    return float(bool(text.strip()) and not _checker()(text))


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE), use_stemmer=True)


@cache
def _bleu() -> Callable[..., Any]:
    from sacrebleu.metrics import BLEU

    score: Callable[..., Any] = BLEU(smooth_method="none").corpus_score
    return score


@cache
def _bertscore() -> Callable[..., Any]:
    from bert_score import BERTScorer

    score: Callable[..., Any] = BERTScorer(lang="en").score
    return score


@cache
def _checker() -> Callable[[str], Any]:
    import language_tool_python

    return lru_cache(256)(language_tool_python.LanguageTool("en-US").check)  # a text's score, and then its record, ask
