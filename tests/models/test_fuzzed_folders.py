"""Folders broken at random load or say why: `tests/slow/fuzz_folders.py` tries as many as there is time for."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.support.fuzzed_folders import broken_folder, check, whole_folders


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return whole_folders(("llada", "sdar-moe"), tmp_path_factory.mktemp("whole"))


def test_whole_folders_load(sources):
    assert {check(source) for source in sources} == {"loaded, loaded, loaded"}


@given(rng=st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_broken_folders_load_or_say_why(sources, rng):
    """A `DllmError` of a readable length, in bounded time, and nothing is opened outside the folder."""
    source = rng.choice(sources)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / source.name
        note(f"{source.name}: {'; '.join(broken_folder(rng, source, folder))}")
        check(folder)
