"""The documentation site is built strictly; its links resolve, and it needs nothing from elsewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import abaw
from docs.site.build import change_links, read_navigation, read_yaml
from docs.site.docstrings import to_markdown
from tests.support.markdown import PAGES, ROOT

LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}


class Page(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if given.get(LOADS.get(tag)) and given.get("rel") != "canonical":
            self.loads.append(given[LOADS[tag]])


def broken(path, pages):
    """The targets on a page of the site that are not there."""
    found = []
    for target in [*pages[path].links, *pages[path].loads]:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        linked = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        linked = linked / "index.html" if linked.is_dir() else linked
        anchors = pages[linked].anchors if linked in pages else set()
        if not linked.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
            found.append(target)
    return found


def read(folder):
    return {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "docs.site.build", str(out)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site):
    return read(site)


def test_every_link_and_anchor_of_every_page_resolves(pages, site):
    assert len(pages) > 40
    bad = {str(path.relative_to(site.resolve())): broken(path, pages) for path in pages if path.name != "404.html"}
    assert {name: targets for name, targets in bad.items() if targets} == {}


def test_a_planted_broken_link_and_anchor_are_seen(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#x">x</a><a href="b.html#y">y</a><img src="c.png"><h1 id="t">t</h1>'
    )
    (tmp_path / "b.html").write_text('<h2 id="x"></h2><a href="a.html#t">t</a><a href="#no">no</a>')
    pages = read(tmp_path)
    assert broken((tmp_path / "a.html").resolve(), pages) == ["b.html#y", "c.png"]
    assert broken((tmp_path / "b.html").resolve(), pages) == ["#no"]


def test_no_page_loads_anything_from_elsewhere(pages, site):
    elsewhere = {load for page in pages.values() for load in page.loads if urlsplit(load).scheme or load[:2] == "//"}
    assert elsewhere == set()
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"url\([\"']?(https?:)?//|@import", styles)


def test_every_page_is_in_the_menu(pages, site):
    menu, sources = read_navigation()
    documented = {str(page.relative_to(ROOT)) for page in PAGES if page.name != "README.md"}
    assert documented <= set(sources.values())
    home = pages[(site / "index.html").resolve()].links
    built = {str(path.relative_to(site.resolve())) for path in pages} - {"404.html"}
    assert built <= {target.removeprefix("./") for target in home} | {"index.html"}
    assert built == {path.removesuffix(".md") + ".html" for path in sources}
    assert menu[0] == {"Home": "index.md"}


def test_every_public_name_is_on_one_page_of_the_python_api(pages, site):
    names = [name for group in read_yaml("api.yaml").values() for name in group["names"]]
    assert sorted(names) == sorted(set(abaw.__all__) - {"__version__"})
    shown = {anchor for path, page in pages.items() if path.parent.name == "api" for anchor in page.anchors}
    assert {f"abaw.{name}" for name in names} <= shown


def test_links_are_changed_as_pages_move_and_code_is_not(tmp_path):
    text = "[a](../../CHANGELOG.md#x) `a \\| b` [b](https://x.org)\n```\n[a](../own.md)\n```\n[d](../../LOG.md)"
    changed = change_links(text, "docs/start/a.md", "start/a.md", tmp_path, {"CHANGELOG.md": "changelog.md"})
    assert changed == "[a](../changelog.md#x) `a | b` [b](https://x.org)\n```\n[a](../own.md)\n```\nd"


def test_doctests_and_names_in_angle_brackets_of_docstrings_are_kept():
    text = "The ``<clip>`` of <feature>.\n\n>>> f(1 < 2)\nTrue\n\nThen more."
    markdown = "The ``<clip>`` of &lt;feature>.\n\n```pycon\n>>> f(1 < 2)\nTrue\n```\n\nThen more."
    assert to_markdown(text) == markdown


def test_the_site_opens_from_a_folder_and_its_search_answers(site, tab):
    page = tab.open(Path(site) / "commands.html")
    page.wait_for_timeout(300)
    page.keyboard.press("Control+k")
    page.wait_for_timeout(300)
    page.keyboard.type("jackknife", delay=50)
    page.get_by_text("Reliable scores").first.wait_for(timeout=10_000)
    assert tab.foreign_requests() == []
    assert tab.errors == []
