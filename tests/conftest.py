"""What holds for every test: threads, environment, registries; and what `--full` adds."""

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
import torch

from dllm.cache import caches
from dllm.schedulers import schedulers

ROOT = Path(__file__).parents[1]


def version_of_the_loops():
    """One word for all that Numba compiles, and how: on its own it does not see that a function of another file, which
    it has inlined, is no longer the same."""
    sources = [path.read_bytes() for path in sorted((ROOT / "dllm").rglob("*.py"))]
    checked = os.environ.get("NUMBA_BOUNDSCHECK", "").encode()
    compiled = (text for text in sources if b"grammars.jit import" in text or b"import njit" in text)
    return hashlib.sha256(checked + b"".join(compiled)).hexdigest()[:16]


# test processes share the cores, and the models are small: more threads would only wait for each other
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
# what is compiled is kept in the checkout, for all processes of a run and for the next run
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".cache" / f"numba-{version_of_the_loops()}"))
os.environ.setdefault("TRITON_CACHE_DIR", str(ROOT / ".cache" / "triton"))
# a run of the tests neither reads nor leaves tables in the user's cache: its processes share a folder of their own
if "PYTEST_XDIST_WORKER" not in os.environ:
    _tables = tempfile.TemporaryDirectory(prefix="dllm-tables-")
    os.environ["DLLM_CACHE_DIR"] = _tables.name
# before anything imports Triton: its interpreter runs the CUDA kernels where there is no card
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="also what is marked `full`, as `make test-all` does")


def pytest_collection_modifyitems(config, items):
    """What is marked `full` is left out where nobody asks for it."""
    if not config.getoption("full"):
        config.hook.pytest_deselected(items=[one for one in items if one.get_closest_marker("full")])
        items[:] = [one for one in items if not one.get_closest_marker("full")]


def pytest_terminal_summary(terminalreporter, config):
    if not config.getoption("full"):
        terminalreporter.write_line("left out: what is marked `full`; `make test-all`, or --full, runs it too")


@pytest.fixture(autouse=True)
def registries_are_left_as_they_were(monkeypatch):
    """Names that a test registers are gone after it."""
    for registry in (schedulers, caches):
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))


@pytest.fixture(params=[1, 2])
def threads(request):
    """The test runs on one thread and on two."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)
