"""The page of a clip in a real browser: what the cursor says is what the player shows, and nothing is asked for."""

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from abaw.views.page.content import Envelope, SpokenWord
from abaw.views.page.writing import PageMedia, write_page
from abaw.views.timeline import Block
from extract.media.scan import scan
from extract.media.writing import write_mp4
from extract.media.writing.mp4 import PictureTiming
from tests.support.views.timelines import write_analysis

NUM_BITS, BIT_PX = 7, 32
START_S = 0.48  # the container's first timestamp
ROWS = (0, 99, 50, 51, 52, 3, 98, 20, 77, 1)
OTHER = {  # a clip -> one of another length
    "clips/WolfgangLanger_Pexels.mp4": "nasty/vfr_gaps_CREMAD_HAP.mp4",
    "nasty/vfr_gaps_CREMAD_HAP.mp4": "clips/WolfgangLanger_Pexels.mp4",
}

# the number of the frame that is on the screen, read from its pixels
READ_NUMBER = f"""() => {{
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [{NUM_BITS * BIT_PX}, {BIT_PX}];
  const context = canvas.getContext("2d");
  context.drawImage(document.getElementById("media"), 0, 0);
  let number = 0;
  for (let bit = 0; bit < {NUM_BITS}; bit++) {{
    const red = context.getImageData({BIT_PX} * bit + {BIT_PX // 2}, {BIT_PX // 2}, 1, 1).data[0];
    number += (red > 127) << bit;
  }}
  return number;
}}"""
# resolves once the player has found the frame that it looks for, and a picture more was drawn
SETTLED = """async () => {
  const media = document.getElementById("media");
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  await wait(50);
  for (let i = 0; i < 500 && (media.seeking || abaw.player.wanted !== null); i++) await wait(20);
  await wait(100);
}"""
# keeps the timestamp that the browser gives the frame on the screen
NOTE_TIMES = """() => {
  const media = document.getElementById("media");
  const note = (_, { mediaTime }) => {
    window.shown_s = mediaTime;
    media.requestVideoFrameCallback(note);
  };
  media.requestVideoFrameCallback(note);
}"""
# keeps what is shown, and where the cursor is at that moment
NOTE_ROWS = f"""() => {{
  window.noted = [];
  const media = document.getElementById("media");
  const note = () => {{
    const row = Number(document.getElementById("timeline").getAttribute("aria-valuenow")) - 1;
    window.noted.push([({READ_NUMBER})(), row]);
    media.requestVideoFrameCallback(note);
  }};
  media.requestVideoFrameCallback(note);
}}"""


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A page with a video of 100 frames at uneven times from 0.48 s on, each of which shows its own number in bits."""
    folder = tmp_path_factory.mktemp("numbered")
    steps_ms = np.random.default_rng(0).choice([20, 33, 40, 120], 100)
    times_s = START_S + np.concatenate([[0], np.cumsum(steps_ms[:-1])]) / 1000
    media = folder / "numbered.mp4"
    pictures = ((time_s, picture_of(number)) for number, time_s in enumerate(times_s))
    write_mp4(media, pictures, PictureTiming(Fraction(1, 1000), 0.04, START_S))
    timeline = write_analysis(folder, "numbered", times_s, persons=(0, 1), media=media, hidden=range(40, 50))
    words = [SpokenWord("</script>", 1.0, 1.5), SpokenWord('"hello"', 2.0, 2.4)]
    envelope = Envelope(0.3, 0.01, np.linspace(0, 1, 500))
    write_page(timeline, folder / "numbered.html", PageMedia("video", "", media, "video/mp4"), envelope, words)
    return folder / "numbered.html", times_s


def picture_of(number):
    picture = np.zeros((96, NUM_BITS * BIT_PX, 3), np.uint8)
    for bit in range(NUM_BITS):
        picture[:, bit * BIT_PX : (bit + 1) * BIT_PX] = 255 * (number >> bit & 1)
    return picture


def open_page(tab, path):
    page = tab.open(path)
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    return page


def cursor_of(page):
    return int(page.get_attribute("#timeline", "aria-valuenow")) - 1


def click_at(page, time_s):
    box = page.locator("#timeline").bounding_box()
    page.mouse.click(box["x"] + page.evaluate("(time) => abaw.charts.xOf(time)", time_s), box["y"] + 60)


def test_the_cursor_is_at_the_frame_that_is_shown(tab, numbered):
    path, times_s = numbered
    page = open_page(tab, path)
    for row in ROWS:  # by click in the middle of the frame
        click_at(page, (times_s[row] + (times_s[row + 1] if row < 99 else times_s[row] + 0.03)) / 2)
        page.evaluate(SETTLED)
        assert page.evaluate(READ_NUMBER) == cursor_of(page)
        assert abs(cursor_of(page) - row) <= 1
    for key, step in (("ArrowRight", 1), ("ArrowLeft", -1)):
        before = cursor_of(page)
        page.keyboard.press(key)
        page.evaluate(SETTLED)
        assert page.evaluate(READ_NUMBER) == cursor_of(page)
        assert abs(cursor_of(page) - before - step) <= 1
    button = page.locator("#moments button").last
    button.click()
    page.evaluate(SETTLED)
    assert page.evaluate(READ_NUMBER) == cursor_of(page)
    assert abs(cursor_of(page) - int(button.get_attribute("data-index"))) <= 1
    page.locator("#timeline").focus()  # a button that has the focus keeps the space bar
    page.keyboard.press("Home")
    page.evaluate(SETTLED)
    page.evaluate(NOTE_ROWS)
    page.keyboard.press("Space")
    page.wait_for_timeout(1500)
    page.keyboard.press("Space")
    noted = page.evaluate("window.noted")
    assert len({number for number, _ in noted}) > 5
    assert max(abs(number - row) for number, row in noted) <= 1
    assert tab.errors == []
    assert [address for address in tab.requests if not address.startswith("blob:")] == [path.as_uri()]


def test_a_reader_can_zoom_pan_and_read_the_row_under_the_pointer(tab, numbered):
    path, times_s = numbered
    page = open_page(tab, path)
    whole = page.evaluate("[abaw.charts.range.start, abaw.charts.range.end]")
    page.keyboard.press("+")
    near = page.evaluate("[abaw.charts.range.start, abaw.charts.range.end]")
    assert near[1] - near[0] == pytest.approx((whole[1] - whole[0]) / 2)
    box = page.locator("#timeline").bounding_box()
    page.mouse.move(box["x"] + 500, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 60, steps=4)
    page.mouse.up()
    panned = page.evaluate("[abaw.charts.range.start, abaw.charts.range.end]")
    assert panned[0] > near[0]
    assert cursor_of(page) == 0  # a drag is no click
    page.keyboard.press("0")
    assert page.evaluate("[abaw.charts.range.start, abaw.charts.range.end]") == whole
    x = page.evaluate("(time) => abaw.charts.xOf(time)", times_s[45] + 0.001)
    page.mouse.move(box["x"] + x, box["y"] + 60)
    tip = page.text_content("#tip")
    assert tip.startswith("Frame 46, ")
    assert "not observed: no prediction" in tip
    page.keyboard.press("End")
    assert page.get_attribute("#timeline", "aria-valuetext").startswith("Frame 100, ")
    page.click("#everybody")
    page.locator("#persons input").nth(1).check()  # person 1 alone
    assert "person 0" not in page.text_content("#row")
    assert "person 1" in page.text_content("#row")
    assert page.locator("#row .bar").count() == 8
    assert page.evaluate(
        "[0, 1].map((place) => abaw.charts.drawn('va.arousal', place).map(({ visible }) => visible))"
    ) == [
        [False, False],  # the band and the line
        [True, True],
    ]
    assert page.evaluate("abaw.charts.bokeh.get_model_by_name('circumplex.head0').data.x.length") == 0
    assert tab.errors == []


@pytest.mark.parametrize("name", OTHER)
def test_real_clips_play_and_show_the_frame_of_the_cursor(tab, tmp_path, media, name):
    path = media / name
    pictures = scan(path).pictures
    times_s = np.array([pictures.time_s(row) for row in pictures.rows])
    timeline = write_analysis(tmp_path, "clip", times_s, media=path)
    write_page(timeline, tmp_path / "clip.html", PageMedia("video", path.as_uri()))
    page = open_page(tab, tmp_path / "clip.html")
    page.evaluate(NOTE_TIMES)
    for row in np.linspace(1, len(times_s) - 1, 10).astype(int).tolist():
        page.evaluate("(row) => abaw.player.seek(row)", row)
        page.evaluate(SETTLED)
        shown_s = page.evaluate("window.shown_s")
        assert int(abs(times_s - shown_s).argmin()) == cursor_of(page)
        assert abs(cursor_of(page) - row) <= 1
    assert page.evaluate("document.getElementById('media').videoWidth") > 0
    assert page.locator("#unplayable").is_hidden()
    assert set(tab.requests) == {(tmp_path / "clip.html").as_uri(), path.as_uri()}
    page.set_input_files("#chooser", media / OTHER[name])
    page.wait_for_selector("#unplayable:not([hidden])")
    assert re.search(
        r" lasts \d+\.\d s, but what was analysed ends at .* another file\?", page.text_content("#unplayable")
    )
    assert tab.errors == []


def test_no_peak_of_an_hour_vanishes_and_a_gap_of_one_frame_stays_visible(tab, tmp_path):
    times_s = np.arange(100_000) / 28
    timeline = write_analysis(tmp_path, "hour", times_s, hidden=[70_000])
    timeline.persons[0].columns["valence"][:] = 0
    timeline.persons[0].columns["valence"][31_234] = 0.9
    timeline.persons[0].columns["p_Fear"][:] = 0
    timeline.persons[0].columns["p_Fear"][55_555] = 1
    write_page(timeline, tmp_path / "hour.html")
    page = open_page(tab, tmp_path / "hour.html")
    line, gaps, ribbon = page.evaluate(
        """() => {
          const source = (name) => abaw.charts.bokeh.get_model_by_name(name).data;
          const alphas = (name) => Array.from(source(name).image[0], (pixel) => pixel >>> 24);
          const { x, y } = source("va.valence.line0");
          const rows = alphas("expr.p_Neutral.0.rows");
          const width = rows.length / 9;
          return [x.map((each, i) => [each, y[i]]), alphas("va.valence.gaps"), rows.slice(width * 4, width * 5)];
        }"""
    )
    peaks = [x for x, y in line if y is not None and abs(y - 0.9) < 0.01]
    assert peaks == [pytest.approx(times_s[31_234], abs=1e-5)]
    assert sum(alpha > 0 for alpha in gaps) in (1, 2)
    assert sum(alpha > 200 for alpha in ribbon) in (1, 2)
    assert len(line) < 5000
    assert tab.errors == []


def test_names_and_ranges_of_own_data_and_frames_of_a_millisecond_since_1970(tab, tmp_path):
    names = (
        '</script><img src=x onerror="alert(1)">',
        r"\(x\)",
        "$$y$$",
        "long " * 40 + "a",
        "long " * 40 + "b",
        "غضب",
    )
    times_s = 1.7e9 + np.cumsum(np.random.default_rng(0).choice([0.001, 0.0011], 400))
    clip = write_analysis(tmp_path, "clip", times_s)
    (person,) = clip.persons
    columns = {f"p_{name}": np.full(400, 0.25 * (name == names[5])) for name in names}
    columns |= {"غ": np.full(400, -9.0), "valence": np.full(400, 9.0), "arousal": np.full(400, 1.0)}
    blocks = (
        Block("classes", "classes", tuple(f"p_{name}" for name in names), ((0, 1),) * 6, "class"),
        Block("values", "values", ("غ", "valence", "arousal"), ((-9, 9), (1, 9), (1, 9))),
    )
    person = replace(person, columns=columns, chosen={"class": np.array([names[5]] * 400, object)})
    write_page(replace(clip, blocks=blocks, persons=(person,)), tmp_path / "clip.html")
    page = open_page(tab, tmp_path / "clip.html")
    assert page.evaluate("[...abaw.data.times]") == pytest.approx(times_s.tolist(), abs=1e-6, rel=0)
    for row in (0, 150, 399):
        middle_s = times_s[row] + 0.0004
        assert page.evaluate("(time) => abaw.player.rowAt(time)", middle_s) == row
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("[...document.querySelectorAll('.bar')].every((bar) => bar.offsetWidth > 40)")
    assert "\u2068غ\u2069 -9.00" in page.text_content("#row")
    inside, ticks = page.evaluate(
        """() => {
          const find = (name) => abaw.charts.bokeh.get_model_by_id(abaw.charts.names[name]);
          const { x_range, y_range } = find("circumplex");
          const { x: [x], y: [y] } = abaw.charts.bokeh.get_model_by_name("circumplex.head0").data;
          const ribbon = Object.keys(abaw.charts.names).find((name) => name.startsWith("classes."));
          const names = [...find(ribbon).left[0].major_label_overrides.values()].map(({ text }) => text);
          return [x < x_range.end && x > x_range.start && y < y_range.end && y > y_range.start, names];
        }"""
    )
    assert inside
    assert ticks == ["most probable", "</script><img…", r"\(x\)", "$$y$$", "long long… (5)", "long long… (6)", "غضب"]
    assert tab.errors == []
    assert tab.requests == [(tmp_path / "clip.html").as_uri()]
