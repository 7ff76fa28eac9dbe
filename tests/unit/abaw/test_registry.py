"""Parts in files of a temporary package: listed without being imported, built by name, refused when misused."""

import itertools
import sys
import textwrap

import pytest

from abaw.registry import REQUIRED, Registry, nearest

NUMBERS = itertools.count()  # a package's name is used once: Python remembers what it has imported

SOUND = '''
    from {package} import PARTS

    FACTS = {{"dim": 40, "built_in": True}}

    @PARTS.register
    def mel(*, dims: int = 0, bins: int = 40, rate_hz: float = 16000.0, names: list[str] | None = None):
        """Log-mel energies.

        More words.
        """
        return "mel", dims, bins, rate_hz
'''


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Makes a package of these files and returns its registry."""
    made = []

    def make(given=(), **files):
        package = f"parts_of_test_{next(NUMBERS)}"
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").write_text(
            f"from abaw.registry import Registry\nPARTS = Registry('part', __name__, given={tuple(given)!r})\n"
        )
        for name, text in files.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text).format(package=package))
        monkeypatch.syspath_prepend(tmp_path)
        made.append(package)
        return __import__(package).PARTS

    yield make
    for package in made:
        for name in [name for name in sys.modules if name.split(".")[0] == package]:
            del sys.modules[name]


def test_a_part_is_described_without_being_imported(parts):
    registry = parts(given=("dims",), mel=SOUND, broken="import nothing_of_this_name\n")
    (part,) = registry.parts()
    assert (part.name, part.summary) == ("mel", "Log-mel energies.")
    assert part.settings == {"bins": "40", "rate_hz": "16000.0", "names": "None"}
    assert part.given == ("dims",)
    assert part.facts == {"dim": 40, "built_in": True}
    assert part.module not in sys.modules


def test_the_choices_of_a_setting_are_known_without_an_import(parts):
    text = """
        from typing import Literal
        from {package} import PARTS

        Scale = Literal["htk", "slaney"]

        @PARTS.register
        def mel(*, bins: Literal[40, 80] = 40, scale: Scale = "htk", name: str = "", names: list[str] | None = None):
            return bins
    """
    (part,) = parts(mel=text).parts()
    assert part.choices == {"bins": (40, 80), "scale": ("htk", "slaney")}
    assert part.module not in sys.modules


def test_a_part_is_built_with_its_settings_and_what_the_pipeline_gives(parts):
    registry = parts(given=("dims",), mel=SOUND)
    assert registry.build("mel", dims=3, bins=8) == ("mel", 3, 8, 16000.0)
    assert registry.build("mel", rate_hz=8000) == ("mel", 0, 40, 8000)  # a whole number is a number


def test_deleting_the_file_removes_the_part(parts, tmp_path):
    registry = parts(mel=SOUND)
    (tmp_path / registry.package / "mel.py").unlink()
    assert registry.names() == []


def test_a_file_may_hold_several_parts_and_the_contracts_file_none(parts):
    two = """
        from {package} import PARTS

        @PARTS.register
        def b(): ...

        @PARTS.register
        def a(): ...

        def neither(): ...
    """
    assert parts(two=two, base=SOUND).names() == ["a", "b"]


def test_an_unknown_part_names_the_nearest_and_all_known(parts):
    registry = parts(mel=SOUND, prosody=SOUND.replace("def mel", "def prosody"))
    with pytest.raises(ValueError, match="no part named 'prosodi'; did you mean 'prosody'. known: mel, prosody"):
        registry.build("prosodi")
    with pytest.raises(ValueError, match="no part named 'xyz'; known: mel, prosody"):
        registry.part("xyz")


def test_an_unknown_setting_names_the_nearest_and_all_known(parts):
    registry = parts(given=("dims",), mel=SOUND)
    with pytest.raises(ValueError, match="part 'mel' has no setting 'bin'; did you mean 'bins'. known: bins, rate_hz"):
        registry.build("mel", bin=3)
    with pytest.raises(ValueError, match="part 'mel' has no setting 'dims'"):
        registry.check_settings("mel", ["dims"])


def test_a_part_without_settings_says_so(parts):
    bare = """
        from {package} import PARTS

        @PARTS.register
        def bare(): ...
    """
    with pytest.raises(ValueError, match="part 'bare' has no setting 'x'; known: none"):
        parts(bare=bare).build("bare", x=1)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"bins": "40"}, "part 'mel': bins is '40', expected int"),
        ({"bins": 4.5}, "part 'mel': bins is 4.5, expected int"),
        ({"bins": None}, "part 'mel': bins is None, expected int"),
        ({"rate_hz": "fast"}, "part 'mel': rate_hz is 'fast', expected float"),
        ({"names": ["a", 1]}, r"part 'mel': names is \['a', 1\], expected list\[str\] \| None"),
    ],
)
def test_a_setting_of_another_type_is_refused(parts, setting, words):
    with pytest.raises(ValueError, match=words):
        parts(mel=SOUND).build("mel", **setting)


def test_a_setting_of_few_values_is_refused_with_all_of_them(parts):
    scales = """
        from typing import Literal
        from {package} import PARTS

        @PARTS.register
        def mel(*, scale: Literal["htk", "slaney"] = "htk"): ...
    """
    with pytest.raises(ValueError, match=r"part 'mel': scale is 'bark', expected one of htk, slaney$"):
        parts(mel=scales).build("mel", scale="bark")


def test_a_setting_without_a_default_must_be_given(parts):
    hub = """
        from {package} import PARTS

        @PARTS.register
        def hub(*, model: str, layer: int = -1):
            return model, layer
    """
    registry = parts(hub=hub)
    assert registry.part("hub").settings == {"model": REQUIRED, "layer": "-1"}
    with pytest.raises(ValueError, match="part 'hub' needs the setting 'model': write hub:model="):
        registry.build("hub", layer=3)
    assert registry.build("hub", model="x") == ("x", -1)


def test_two_parts_of_one_name_are_refused(parts):
    with pytest.raises(ValueError, match=r"two parts are named 'mel': .*\.one and .*\.two; rename one"):
        parts(one=SOUND, two=SOUND).names()


def test_registering_a_name_from_another_file_is_refused():
    registry = Registry("part", "nowhere")

    def mel(): ...

    registry.register(mel)
    assert registry.register(mel) is mel  # a file that is imported again
    other = type(mel)(mel.__code__, {"__name__": "elsewhere"})
    with pytest.raises(ValueError, match="two parts are named 'mel': .* and elsewhere; rename one"):
        registry.register(other)


def test_one_file_may_be_a_registrys_whole_folder(parts, tmp_path):
    package = parts(mel=SOUND).package
    registry = Registry("part", f"{package}.mel")
    assert registry.names() == ["mel"]


def test_a_registry_of_no_package_says_so():
    with pytest.raises(ValueError, match="no package 'abaw_has_no_such' to find parts in"):
        Registry("part", "abaw_has_no_such").names()


@pytest.mark.parametrize(("name", "expected"), [("modle", "; did you mean 'model'?"), ("zzz", ";"), ("", ";")])
def test_only_a_near_name_is_suggested(name, expected):
    assert nearest(name, ["model", "window"]) == expected
