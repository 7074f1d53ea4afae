import os

import pytest
import torch

from dllm.cache import caches
from dllm.schedulers import schedulers

# test processes share the cores, and the models are small: more threads would only wait for each other
torch.set_num_threads(1)
# a run of the tests neither reads nor leaves tables in the user's cache
os.environ["DLLM_CACHE_DIR"] = ""
# before anything imports Triton: its interpreter runs the CUDA kernels where there is no card
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


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
