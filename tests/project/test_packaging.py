"""What is installed and released: a path that type checkers follow, one version everywhere, no recipe in the wheel."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import dllm

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def source(tmp_path):
    """A copy to build in: a build leaves files behind."""
    folder = tmp_path / "source"
    left_out = shutil.ignore_patterns(".*", "build", "dist", "site", "runs", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=left_out, symlinks=True)
    return folder


def built(source, kind):
    """The file that the build backend makes: `build_editable` or `build_sdist`."""
    code = f"from setuptools import build_meta; print(build_meta.{kind}('out'))"
    (source / "out").mkdir()
    run = subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True, text=True)
    return source / "out" / run.stdout.splitlines()[-1]


def test_an_editable_install_is_a_plain_path(source):
    """A finder that is installed instead is followed by no type checker."""
    with zipfile.ZipFile(built(source, "build_editable")) as wheel:
        outside = [name for name in wheel.namelist() if ".dist-info/" not in name]
        assert len(outside) == 1 and outside[0].endswith(".pth")
        assert wheel.read(outside[0]).decode().strip() == str(source)


def test_the_source_distribution_has_the_package_pages_and_examples(source):
    archive = built(source, "build_sdist")
    shutil.unpack_archive(archive, source / "unpacked", filter="data")
    (folder,) = (source / "unpacked").iterdir()
    names = {path.name for path in folder.iterdir()}
    assert {"dllm", "docs", "examples", "README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml"} <= names
    assert not names & {"tests", "tools", "scripts", "benchmarks", "site", "runs", ".venv"}


def test_one_version_everywhere():
    assert re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)[1] == dllm.__version__
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == "Unreleased" and headings[1].split()[0] == dllm.__version__


def test_extras_refer_to_this_distribution():
    """`pip install dllm[...]` would bring another project of that name."""
    name = PROJECT["name"]
    asked = re.compile(r"\b(dllm[\w-]*)\[\w+(?:,\w+)*\]")
    files = [
        ROOT / "README.md",
        ROOT / "pyproject.toml",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "dllm").rglob("*.py"),
    ]
    wrong = {str(path.relative_to(ROOT)) for path in files if set(asked.findall(path.read_text())) - {name}}
    assert wrong == set()
