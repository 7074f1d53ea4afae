"""The project itself: the wheel, the links, the documents, the size of files."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dllm.models.families.table import TABLE

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    p for folder in ("dllm", "scripts", "examples", "benchmarks", "tools") for p in (ROOT / folder).rglob("*.py")
)


def test_the_wheel_holds_dllm_and_nothing_else(tmp_path):
    source = tmp_path / "source"  # a copy: what an earlier build has left beside the package would be packed too
    left_out = shutil.ignore_patterns(".*", "build", "dist", "site", "runs", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=left_out, symlinks=True)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"dllm"}
    assert len(names) == len(set(names))
    shipped = {"dllm/py.typed", "dllm/cli/__init__.py", "dllm/schedulers/dream.py", "dllm/cache/dual.py"}
    shipped |= {
        f"dllm/models/tiny/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md")
    }
    shipped |= {"dllm/schedulers/filters/tiny.safetensors", "dllm/schedulers/filters/tiny.json"}
    assert shipped <= set(names)
    in_tree = {str(p.relative_to(ROOT)) for p in (ROOT / "dllm").rglob("*.py")}
    assert in_tree == {name for name in names if name.endswith(".py")}


def test_top_level_links():
    for name in ("schedulers", "cache", "grammars", "eval"):
        link = ROOT / name
        assert link.is_symlink() and link.readlink() == Path("dllm") / name


def test_embedded_weights_are_small():
    assert (ROOT / "dllm/models/tiny/model.safetensors").stat().st_size <= 5_000_000


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_house_rules(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300, "a longer file needs a reason at its top and a place in this test"
    assert not re.search(r"trust_remote_code\s*=\s*True|pickle\.loads?\(|torch\.load\(", text)
    assert not re.search(r"^\s*(from|import) (schedulers|cache|grammars|eval)\b", text, re.M), "import dllm.X, never X"


def test_the_loop_names_no_family_scheduler_or_cache():
    text = (ROOT / "dllm/engine/denoise.py").read_text()
    assert len(text.splitlines()) <= 200
    names = ["llada", "dream", "topk", "threshold", "factor", "prefix", "dual", "tiny"]
    assert [name for name in names if re.search(rf"\b{name}\b", text, re.I)] == []


def test_the_table_of_models_has_every_family():
    text = (ROOT / "docs" / "models.md").read_text()
    for family in TABLE:
        assert all(f"`{name}`" in text for name in family.architectures), family.name
        if not family.second_hand:
            assert str(family.mask_token_id) in text and f"`{family.scheduler}`" in text, family.name
