"""The documentation site is whole: its reference has every public name, its pages lead somewhere and are all listed."""

import re
from pathlib import Path

import dllm
import dllm.cache
import dllm.models
import dllm.schedulers

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_reference_has_every_public_name():
    text = "".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    told = set(re.findall(r"^::: (?:\w+\.)*(\w+)$", text, re.M)) | set(
        re.findall(r"`(register|schedulers|caches)`", text)
    )
    for package in (dllm, dllm.schedulers, dllm.cache, dllm.models):
        assert set(package.__all__) - told == set(), package.__name__


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1]))
    assert listed == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


def test_links_lead_somewhere():
    """Here for all Markdown of the project; `make docs` also knows the anchors."""
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "dllm").rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)[)#]", page.read_text())]
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []
    asked = re.findall(r'^--8<-- "(.+)"$', "\n".join(page.read_text() for page in DOCS.rglob("*.md")), re.M)
    assert asked and all((ROOT / name).is_file() for name in asked)
