"""Tables on disk: found again, made again where they cannot be read, and never in the way."""

import numpy as np
import pytest

from dllm import Grammar
from dllm.grammars.tables import store
from dllm.grammars.tables.vocabulary import vocabulary

WORDS = vocabulary([b"a", b"b", b" ", None])


def arrays():
    arrays.made += 1
    return {"one": np.arange(3), "other": np.eye(2)}


@pytest.fixture(autouse=True)
def counted():
    arrays.made = 0


def test_what_was_made_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("DLLM_CACHE_DIR", str(tmp_path))
    first, second = store.kept(("a", "b"), arrays), store.kept(("a", "b"), arrays)
    assert arrays.made == 1
    assert first.keys() == second.keys() and all((first[name] == second[name]).all() for name in first)
    store.kept(("a", "c"), arrays)
    assert arrays.made == 2


@pytest.mark.parametrize("broken", [b"", b"PK nothing", None])
def test_a_broken_file_is_made_again(tmp_path, monkeypatch, broken):
    monkeypatch.setenv("DLLM_CACHE_DIR", str(tmp_path))
    store.kept(("a",), arrays)
    (path,) = (tmp_path / "grammars").iterdir()
    path.write_bytes(path.read_bytes()[:100] if broken is None else broken)
    assert (store.kept(("a",), arrays)["one"] == np.arange(3)).all() and arrays.made == 2
    store.kept(("a",), arrays)
    assert arrays.made == 2


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DLLM_CACHE_DIR", str(tmp_path / "file"))
    assert (store.kept(("a",), arrays)["one"] == np.arange(3)).all()


def test_a_grammar_from_disk_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("DLLM_CACHE_DIR", str(tmp_path))
    made, read = (Grammar.from_regex("(ab?)+").compile(WORDS) for _ in range(2))
    assert len(list((tmp_path / "grammars").iterdir())) == 1
    assert made.scanner.emissions == read.scanner.emissions and made.scanner.labels == read.scanner.labels
    assert (made.table.class_of == read.table.class_of).all() and made.table.emissions == read.table.emissions
