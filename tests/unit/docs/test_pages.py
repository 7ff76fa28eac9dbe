"""Links, trees, lists and figures of the pages agree with the files."""

import re
import subprocess

import pytest
import yaml

from benchmarks.speed_page import make_page
from tests.support.markdown import PAGES, ROOT, blocks, prose


def tracked():
    done = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout.split()


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_and_headings_resolve(page):
    for target in re.findall(r"\]\(([^)]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    if page.name == "CHANGELOG.md":
        return
    folders = "abaw|extract|fusion|tests|benchmarks|examples|docs"
    for name in re.findall(rf"`((?:{folders})/[\w./]*)`", prose(page)):
        assert (ROOT / name).exists(), f"{page.name}: {name}"


def tree(page):
    """The folders that a page's tree draws."""
    (text,) = (block.text for block in blocks("", page) if re.match(r"[.\w]+/\s", block.text))
    drawn, parent = set(), ""
    for line in text.splitlines():
        name = line.split()[0]
        if not name.endswith("/"):
            continue
        parent = parent if line.startswith(" ") else name
        drawn.add(name if name == parent else parent + name)
    return drawn


def test_the_readmes_tree_has_every_folder():
    assert tree(ROOT / "README.md") == {f"{name.split('/')[0]}/" for name in tracked() if "/" in name}


def test_the_tree_of_the_architecture_has_every_folder_of_the_packages():
    tops = ("abaw", "extract", "fusion", "tests")
    inner = {"/".join(name.split("/")[:2]) + "/" for name in tracked() if name.count("/") > 1}
    expected = {name for name in inner if name.split("/")[0] in tops} | {f"{top}/" for top in tops}
    assert tree(ROOT / "docs/architecture.md") == expected


def test_the_seven_files_to_read_first_are_short():
    text = (ROOT / "docs/architecture.md").read_text()
    section = text.split("## Seven files to read first")[1].split("\n## ")[0]
    files = re.findall(r"^\d\. \[.*?\]\(\.\./(.*?)\)", section, re.M)
    assert len(files) == 7
    assert sum(len((ROOT / name).read_text().splitlines()) for name in files) < 800


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 320


def test_the_page_of_speed_is_what_the_benchmarks_write():
    assert (ROOT / "docs/measurements/speed.md").read_text() == make_page()


def test_the_readmes_figures_are_those_of_the_benchmark():
    rows = (ROOT / "benchmarks/results/synthetic.md").read_text().splitlines()
    figures = [row for row in rows if row.startswith(("| face", "| voice"))]
    assert len(figures) == 5
    assert all(row in (ROOT / "README.md").read_text() for row in figures)


def test_the_citation_has_what_the_format_requires():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    import abaw

    assert {"cff-version", "message", "title", "authors", "version", "license"} <= citation.keys()
    assert str(citation["version"]) == abaw.__version__
    assert all({"name"} <= each.keys() or {"family-names"} <= each.keys() for each in citation["authors"])


def test_the_changelog_has_the_form_it_names():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (\w+)$", text, re.M)) <= kinds


@pytest.mark.parametrize("name", ["run.sh", ".ci/run", ".ci/browser"])
def test_a_script_is_executable_and_parses(name):
    assert (ROOT / name).stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(ROOT / name)], check=True)


def test_the_search_for_a_browser_says_in_a_sentence_that_there_is_none(tmp_path):
    def search():
        words = ["/bin/bash", str(ROOT / ".ci/browser")]
        return subprocess.run(words, capture_output=True, text=True, env={"PATH": str(tmp_path)}, check=False)

    missing = search()
    assert missing.returncode == 2
    assert re.fullmatch(r"no browser for the tests in tests/browser: install chromium .*\n", missing.stderr)
    (tmp_path / "chromium").write_text("#!/bin/sh\n")
    (tmp_path / "chromium").chmod(0o755)
    assert search().returncode == 0
