"""Every command that a page shows exists, with the options, configs and encoders it names."""

import re
import shlex
import subprocess

import pytest
import typer

from abaw.cli import app
from abaw.commands import COMMANDS
from abaw.pipelines.configuration import open_config
from abaw.pipelines.listing import list_detectors, list_encoders, list_recognisers
from tests.support.markdown import HISTORY, PAGES, ROOT, all_blocks, blocks, part, prose

PARTS = ("mean_colour", "mean_fusion", "polarity")  # those that pages define


def shown(first):
    """(place, words) of every line of a block that begins with this command."""
    for block in blocks(""):
        for number, line in enumerate(block.text.splitlines()):
            if line.split(" ")[0] == first:
                optional = re.sub(r" \[[^\]]*\]", "", line)  # [--encoder ...] stands for more of the same
                yield f"{block.page.name}:{block.line + number}", shlex.split(optional, comments=True)


ABAW = list(shown("abaw"))


def parse(words):
    """The command's name and the values of its parameters; nothing is run."""
    found = {}
    command = typer.main.get_command(app)
    command.callback = None

    def record(name):
        return lambda **values: found.update(values, command=name)

    for name, each in command.commands.items():
        each.callback = record(name)
        for below, leaf in getattr(each, "commands", {}).items():
            leaf.callback = record(f"{name} {below}")
    command.main(words, standalone_mode=False)
    return found


@pytest.mark.parametrize(("place", "words"), ABAW, ids=[place for place, _ in ABAW])
def test_a_command_that_a_page_shows_parses(place, words):
    assert parse(words[1:])["command"] in " ".join(words)


def test_a_command_with_an_unknown_option_would_be_seen():
    with pytest.raises(Exception, match="No such option"):
        parse(["check", "data", "--strickt"])


@pytest.mark.parametrize(("place", "words"), ABAW, ids=[place for place, _ in ABAW])
def test_the_encoders_recognisers_and_detectors_that_a_page_names_exist(place, words):
    found = parse(words[1:])
    known = {row["name"] for row in list_encoders()} | set(PARTS)
    for each in (name for given in found.get("encoder") or () for name in given.split("+")):  # A+B: side by side
        assert each.partition(":")[0] in known or each.isupper() or each.startswith("NAME"), each
    for each in found.get("recogniser") or ():
        assert each.partition(":")[0] in {row["name"] for row in list_recognisers()}, each
    if found.get("faces"):
        assert found["faces"].partition(":")[0] in {row["name"] for row in list_detectors()}


@pytest.mark.parametrize(("place", "words"), ABAW, ids=[place for place, _ in ABAW])
def test_the_config_and_settings_that_a_page_gives_are_valid(place, words, tmp_path):
    found = parse(words[1:])
    config = found.get("config")
    if config is None or str(config).isupper():
        return
    # in place of the plug-in, which test_parts.py tests, a model of the package with the same settings
    settings = [each.replace("mean_fusion", "concat") for each in found.get("settings") or ()]
    assert open_config(config, settings)[1].name


def test_the_scripts_words_are_those_of_run_sh():
    usage = subprocess.run(["bash", "run.sh", "?"], capture_output=True, text=True, cwd=ROOT)
    assert usage.returncode == 2
    for place, words in shown("./run.sh"):
        if len(words) > 1:
            assert re.search(rf"\b{words[1]}\b", usage.stderr), f"{place}: {words[1]}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != HISTORY], ids=lambda page: page.name)
def test_inline_commands_name_a_command_and_its_options(page):
    for words in (each.split() for each in re.findall(r"`abaw ([^`]*)`", prose(page))):
        rest = [word for word in words if not word.startswith("-") and word not in ("COMMAND", "FILE", "...")]
        if not rest:
            continue
        name = rest[0]
        assert name in COMMANDS, f"{page.name}: abaw {' '.join(words)}"
        command = typer.main.get_command(app)
        leaf = command.commands[name]
        options = {text for each in (command, leaf) for item in each.params for text in item.opts}
        for each in getattr(leaf, "commands", {}).values():
            options |= {text for item in each.params for text in item.opts}
        for option in (word.partition("=")[0] for word in words if word.startswith("-")):
            assert option in options | {"--help"}, f"{page.name}: abaw {' '.join(words)}"


def test_the_table_of_commands_has_every_command_in_the_order_of_the_help():
    text = (ROOT / "docs/commands.md").read_text()
    ordered = [each.name for each in sorted(COMMANDS.values(), key=lambda each: each.order)]
    assert re.findall(r"^\| `abaw ([\w-]+)", text, re.M) == ordered


def test_the_parts_that_commands_use_are_defined_on_a_page():
    assert all(part(name).text for name in PARTS)


def test_a_block_of_commands_names_no_language_so_that_its_commands_are_tested():
    languages = {"python", "yaml", "toml", "text"}
    others = {f"{block.page.name}:{block.line}" for block in all_blocks() if block.language not in {"", *languages}}
    assert others == set()
    shown = (block for block in all_blocks() if block.language == "text")
    assert [block for block in shown if re.search(r"^(abaw|\./run\.sh) ", block.text, re.M)] == []
