import pytest

from dllm import LLM
from tests.support.serving import serving


@pytest.fixture(scope="session")
def tiny():
    """One server of `tiny` for all tests that leave it as it is."""
    with serving(LLM("tiny")) as served:
        yield served
