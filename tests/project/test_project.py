"""The project itself: the wheel, the links, the size of files, the words, the table of models."""

import ast
import io
import re
import shutil
import subprocess
import sys
import tokenize
import zipfile
from pathlib import Path

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
    shipped |= {"dllm/serve/page.html"}
    shipped |= {"dllm/schedulers/frequencies/tiny.json"}
    assert shipped <= set(names)
    in_tree = {str(p.relative_to(ROOT)) for p in (ROOT / "dllm").rglob("*.py")}
    assert in_tree == {name for name in names if name.endswith(".py")}


def test_top_level_links():
    for name in ("schedulers", "cache", "grammars", "eval"):
        link = ROOT / name
        assert link.is_symlink() and link.readlink() == Path("dllm") / name


def test_embedded_weights_are_small():
    assert (ROOT / "dllm/models/tiny/model.safetensors").stat().st_size <= 5_000_000


FORBIDDEN = {
    r"trust_remote_code\s*=\s*True|pickle\.loads?\(|torch\.load\(": "no remote code and no pickle",
    r"^\s*(from|import) (schedulers|cache|grammars|eval)\b": "import dllm.X, never X",
}
LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(text):
    """How many lines hold code: no blank ones, no comments, no docstrings."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    code = {line for one in tokens if one.type not in LAYOUT for line in range(one.start[0], one.end[0] + 1)}
    said = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr)]
    said = [node for node in said if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)]
    return len(code - {line for node in said for line in range(node.lineno, node.end_lineno + 1)})


def test_lines_of_code_are_counted():
    text = '"""Of\n\ntwo."""\n\nx = 1  # one\n# none\n\ndef f():\n    """None."""\n    return """\na\n"""\n'
    assert lines_of_code(text) == 5


def test_house_rules():
    wrong = []
    for path in SOURCES:
        text, name = path.read_text(), path.relative_to(ROOT)
        if (count := lines_of_code(text)) > 400:
            wrong.append(f"{name}: {count} lines of code; 400 is the limit, and one idea a file the rule")
        for pattern, rule in FORBIDDEN.items():
            if found := re.search(pattern, text, re.M):
                wrong.append(f"{name}: {found.group().strip()!r}: {rule}")
    assert wrong == [], "\n".join(["", *wrong])


def test_few_files_lie_loose_in_the_package():
    loose = sorted(path.name for path in (ROOT / "dllm").glob("*.py"))
    assert len(loose) <= 12, loose


def named_types(tree):
    """Public classes and type aliases at the top of a module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (one.id for one in targets if isinstance(one, ast.Name) and not one.id.isupper())


def test_one_word_has_one_meaning():
    """No class and no alias of a type is defined twice in the package."""
    homes = {}
    for path in sorted((ROOT / "dllm").rglob("*.py")):
        for name in named_types(ast.parse(path.read_text())):
            if re.match("[A-Z]", name):
                homes.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    twice = [f"{name}: {', '.join(sorted(paths))}" for name, paths in sorted(homes.items()) if len(paths) > 1]
    assert twice == [], "\n".join(["", *twice])


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
