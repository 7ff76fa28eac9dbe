"""Builds the documentation site: ``python -m docs.site.build work/site``, or ``./run.sh docs``.

The pages are those of navigation.yaml. They are copied beside each other with their links changed to match, then
Zensical builds them with --strict: a link, an anchor or a name of the Python API that does not exist fails the build.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FENCED = re.compile(r"(^```.*?^```$)", re.M | re.S)
PICTURES = (".png", ".svg", ".jpg", ".webp", ".gif")


def read_yaml(name: str) -> Any:
    """A file of this folder."""
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


def site_path(source: str) -> str:
    """Where a file of the repository lies among the pages of the site."""
    path = source.removeprefix("docs/").replace("benchmarks/results/", "measurements/tables/")
    if Path(source).parent == Path():
        path = path.lower()
    return path if path.endswith((".md", *PICTURES)) else f"code/{path}.md"


def read_navigation() -> tuple[list[Any], dict[str, str]]:
    """The menu with the paths of the site, and title -> source of its pages by these paths."""
    pages: dict[str, str] = {}

    def convert(entry: Any) -> Any:
        if isinstance(entry, list):
            return [convert(each) for each in entry]
        ((title, target),) = entry.items()
        if isinstance(target, list):
            return {title: convert(target)}
        if isinstance(target, dict):
            path = f"api/{target['api']}.md"
            pages[path] = f"api:{target['api']}"
        else:
            path = site_path(target)
            pages[path] = target
        return {title: path}

    return convert(read_yaml("navigation.yaml")), pages


def change_links(text: str, source: str, path: str, folder: Path, paths: dict[str, str]) -> str:
    r"""The text of a page with its links as they are on the site; pictures are copied there.

    A link to a file of the repository that is no page of the site becomes its text. ``\|`` in code in a table, which
    code hosts need, becomes ``|``, which Zensical needs.
    """

    def change(found: re.Match[str]) -> str:
        mark, label, target = found.groups()
        file, hash_, anchor = target.partition("#")
        if not file or ":" in file:
            return found.group()
        linked = os.path.normpath(os.path.join(os.path.dirname(source), file))
        if linked.endswith(PICTURES):
            copied = folder / site_path(linked)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / linked, copied)
        elif linked not in paths:
            return str(label)
        relative = os.path.relpath(site_path(linked), os.path.dirname(path))
        return f"{mark}[{label}]({relative}{hash_}{anchor})"

    parts = FENCED.split(text)  # every second one is code
    parts[::2] = [re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", change, part) for part in parts[::2]]
    parts[::2] = [re.sub(r"`[^`\n]+`", lambda code: code.group().replace(r"\|", "|"), part) for part in parts[::2]]
    return "".join(parts)


def api_page(group: str) -> str:
    """A page of the Python API in mkdocstrings' notation."""
    about = read_yaml("api.yaml")[group]
    names = "\n\n".join(f"::: abaw.{name}" for name in about["names"])
    return f"# {about['title']}\n\n{about['says']}\n\n{names}\n"


def code_page(source: str) -> str:
    """A page that shows a file."""
    return f"# {source}\n\n````python\n{(ROOT / source).read_text(encoding='utf-8')}````\n"


def write_pages(folder: Path) -> Path:
    """Write all pages below ``folder``, and the settings with which Zensical makes a site of them: their path."""
    menu, pages = read_navigation()
    paths = {source: path for path, source in pages.items()}
    for path, source in pages.items():
        if source.startswith("api:"):
            text = api_page(source.removeprefix("api:"))
        elif source.endswith(".md"):
            text = change_links((ROOT / source).read_text(encoding="utf-8"), source, path, folder / "pages", paths)
        else:
            text = code_page(source)
        page = folder / "pages" / path
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    for name in ("style.css", "file_search.js"):
        shutil.copy(HERE / name, folder / "pages")
    settings = read_yaml("settings.yaml")
    (handlers,) = (each["mkdocstrings"]["handlers"] for each in settings["plugins"] if "mkdocstrings" in each)
    handlers["python"]["paths"] = [str(ROOT)]
    settings |= {"nav": menu, "docs_dir": "pages", "site_dir": "site"}
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return folder / "mkdocs.yml"


def build(out: Path) -> int:
    """Build the site in ``out``, a folder that is replaced; Zensical's exit code."""
    folder = out.resolve().with_name(f"{out.name}_pages")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "-f", str(write_pages(folder))]
    done = subprocess.run(command, check=False)
    if done.returncode == 0:
        shutil.rmtree(out, ignore_errors=True)
        (folder / "site").rename(out)
        # what a page that is opened as a file reads in place of search.json
        index = (out / "search.json").read_text(encoding="utf-8")
        (out / "search.js").write_text(f"var __index = {index}", encoding="utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1])))
