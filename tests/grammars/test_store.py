"""Tables on disk: found again, made again where they cannot be read, and never in the way."""

import os
from functools import partial

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


def replaced(data, path):
    path.write_bytes(data)


def other_arrays(data, path):
    """An archive that can be read, of other arrays."""
    np.savez(path.with_suffix(".npz"), one=np.arange(0), other=np.eye(2, dtype=np.float32))
    path.with_suffix(".npz").rename(path)


def a_folder(data, path):
    path.unlink()
    (path / "inner").mkdir(parents=True)


def a_pipe(data, path):
    path.unlink()
    os.mkfifo(path)


def unreadable(data, path):
    path.chmod(0)


def of_another_name(data, path):
    store.kept(("another",), lambda: {"one": np.arange(9), "other": np.eye(9)})
    (other,) = (one for one in path.parent.iterdir() if one != path)
    other.rename(path)


def of_another_form(data, path):
    replaced(data.replace(b"tables", b"tablet", 1), path)


BREAKS = [
    *(partial(lambda cut, data, path: replaced(data[:cut], path), cut) for cut in (0, 10, 40, 100, -1)),
    *(lambda data, path: replaced(b"PK nothing", path), lambda data, path: replaced(data + b" ", path)),
    *(other_arrays, a_folder, a_pipe, unreadable, of_another_name, of_another_form),
]


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_file_is_made_again(tmp_path, monkeypatch, broken):
    monkeypatch.setenv("DLLM_CACHE_DIR", str(tmp_path))
    store.kept(("a",), arrays)
    (path,) = (tmp_path / "grammars").iterdir()
    data = path.read_bytes()
    broken(data, path)
    right = broken is unreadable and os.access(path, os.R_OK)  # root reads everything
    assert (store.kept(("a",), arrays)["one"] == np.arange(3)).all()
    assert arrays.made == (1 if right else 2)
    made = arrays.made
    store.kept(("a",), arrays)
    assert arrays.made == made and path.read_bytes() == data
    assert not list(path.parent.glob("*.tmp"))


def test_every_byte_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("DLLM_CACHE_DIR", str(tmp_path))
    store.kept(("a",), arrays)
    (path,) = (tmp_path / "grammars").iterdir()
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        found = store.kept(("a",), arrays)
        assert (found["one"] == np.arange(3)).all() and (found["other"] == np.eye(2)).all()
        assert arrays.made == at + 2 and path.read_bytes() == data


def test_nobody_at_home(tmp_path, monkeypatch):
    for name in ("DLLM_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(store.Path, "home", homeless)
    assert (store.kept(("a",), arrays)["one"] == np.arange(3)).all()


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
