"""Random command lines: never a traceback, and no other exit codes than 0, 1 and 2. The large run: tests/slow."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.slow.fuzz_cli import faults_of, in_a_folder
from tests.support.cli_arguments import arguments


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    with in_a_folder(tmp_path_factory.mktemp("fuzz")):
        yield


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(arguments())
def test_any_command_line_ends_well(words):
    assert not faults_of(words)
