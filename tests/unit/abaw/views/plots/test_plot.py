"""What every figure has: title and text alternative, the same bytes each time, and no trace in matplotlib."""

import re
import subprocess
import sys
import zlib
from xml.etree import ElementTree

import matplotlib
import pytest
from PIL import Image

from abaw.errors import InputError
from abaw.views.plots.curves import Robustness, draw_robustness
from abaw.views.plots.style import shortened, shown

NASTY = "<script>alert(1)</script> \"q\" & 'r' ]]> $\\x$\n=1+1 \x07"
LINE = Robustness(NASTY, [-40, 0, 40], [0.2, 0.5, 0.3], [(0.1, 0.3), None, (0.2, 0.4)])
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def plot():
    return draw(LINE)


def draw(line):
    return draw_robustness([line], score="CCC", quantity="sound shifted by (ms)", title=NASTY)


def test_the_same_values_are_the_same_file(plot, tmp_path):
    again = draw(LINE)
    assert again.svg() == plot.svg()
    assert again.png(50) == plot.png(50)
    assert again.pdf() == plot.pdf()


def test_settings_of_the_user_change_no_figure_and_stay(plot):
    with matplotlib.rc_context({"lines.linewidth": 9, "svg.fonttype": "none", "font.size": 30}):
        before = dict(matplotlib.rcParams)
        assert draw(LINE).svg() == plot.svg()
        assert dict(matplotlib.rcParams) == before


def test_svg_has_title_and_description_and_no_text_becomes_markup(plot):
    root = ElementTree.fromstring(plot.svg())
    assert root.get("role") == "img"
    by_id = {each.get("id"): each.text for each in root.iter() if each.get("id")}
    clean = NASTY.replace("\n", " ").replace("\x07", " ")
    assert by_id[root.get("aria-labelledby")] == clean
    assert by_id[root.get("aria-describedby")].startswith(f"{clean}: CCC by sound shifted by (ms): -40: 0.200")
    assert not [each for each in root.iter() if each.tag == f"{SVG}script"]
    assert not re.search(r"<dc:date>|\d{4}-\d\d-\d\dT", plot.svg())


def test_two_figures_in_one_page_share_no_id(plot):
    first, second = (ElementTree.fromstring(plot.inline_svg(name)) for name in ("a", "b"))
    ids = [{each.get("id") for each in root.iter() if each.get("id")} for root in (first, second)]
    assert not ids[0] & ids[1]
    text = plot.inline_svg("a")
    assert text.startswith("<svg")
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)) <= {
        pair for each in ids[0] for pair in ((each, ""), ("", each))
    }


def test_png_and_pdf_hold_the_text_alternative_and_the_font(plot, tmp_path):
    with Image.open(plot.save(tmp_path / "a.png")) as image:
        assert image.info["Description"].endswith("highest at 0, lowest at -40.")
        assert image.width == pytest.approx(3.5 * 300, abs=1)
    content = plot.save(tmp_path / "a.PDF").read_bytes()
    assert b"/FontFile2" in content  # TrueType, embedded
    assert b"/Type3" not in content
    assert b"CreationDate" not in content
    assert zlib.decompress(re.search(rb"stream\r?\n(.*?)endstream", content, re.S).group(1))


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.svg.gz"])
def test_an_unknown_suffix_is_an_error_before_anything_is_written(plot, tmp_path, name):
    with pytest.raises(InputError, match=r"suffix .* is unknown, expected one of \.png, \.svg, \.pdf"):
        plot.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_text_that_the_font_lacks_is_drawn_as_question_marks():
    assert shown("größe 面 \t$") == "größe ? ?$".replace("? ?", "?  ")
    assert shortened("runs/" + "x" * 50, 10) == "…" + "x" * 9


def test_pyplot_is_never_loaded():
    code = "import sys; from abaw.views.plots.curves import *; draw_robustness([Robustness('a', [0, 1], [0, 1])], "
    code += "score='F1', quantity='noise', title='t').png(20); print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
