"""What is drawn on a picture: at the right place, legible, and saying what is missing."""

from dataclasses import replace

import numpy as np
import pytest

from abaw.dataset.clip import Clip
from abaw.views.drawing.drawer import Drawer
from abaw.views.drawing.scene import PersonScene, Scene, Scenes
from abaw.views.drawing.sprites import AMBER, DARK, LIGHT, bar_sprite, chip_sprite, rgb_of, text_colour_on, text_sprite
from abaw.views.palette import CLASSES, OKABE_ITO
from tests.support.views.analysed import write_analysis

ORANGE = rgb_of(OKABE_ITO[0])
PERSON = PersonScene("person 0", ORANGE, (200, 100, 80, 100), [("Happiness", 0.5, (230, 159, 0))])
SCENE = Scene("0:01.000   frame 26", [PERSON], True, True)


def drawn(scene, height=360, width=640):
    picture = np.full((height, width, 3), 90, np.uint8)
    Drawer(height, width).draw(picture, scene)
    return picture


def is_changed(before, after):
    return np.abs(before.astype(int) - after).max(axis=2) > 30


def share_of(picture, colour, tolerance=12):
    return (np.abs(picture.astype(int) - colour).max(axis=2) <= tolerance).mean()


def test_the_box_has_the_colour_of_the_person_and_a_dark_outline():
    picture = drawn(SCENE)
    across = picture[150, 190:210].tolist()
    assert list(ORANGE) in across
    assert min(max(pixel) for pixel in across) < 40  # the outline
    assert (picture[130:170, 210:270] == 90).all()  # the face itself stays as it is


@pytest.mark.parametrize("size", [(360, 640), (1080, 1920), (288, 720), (568, 320), (31, 47)])
def test_text_grows_with_the_picture_and_everything_stays_inside(size):
    height, width = size
    drawer = Drawer(height, width)
    assert drawer.text_px == max(11, round(min(size) / 27))
    picture = np.full((height, width, 3), 90, np.uint8)
    for box in ((-30, -40, 60, 60), (width - 5, height - 5, 90, 90), (0, 0, width, height)):
        drawer.draw(picture, replace(SCENE, persons=[replace(PERSON, box=box)], has_circumplex=True, remark="x" * 200))
    assert picture.shape == (height, width, 3)


def test_the_bar_is_as_long_as_the_probability():
    filled = {
        share: (bar_sprite(share, 102, 8, (230, 159, 0)).colours[4, 1:-1] == 230).any(1).sum() for share in (0, 0.5, 1)
    }
    assert filled == {0: 0, 0.5: 50, 1: 100}


def test_an_unseen_face_and_an_unheard_voice_are_named():
    seen, unseen = drawn(SCENE), drawn(replace(SCENE, face_seen=False, voice_heard=False))
    flags = np.s_[24:50, :160]
    assert share_of(unseen[flags], AMBER) > 0.02 > share_of(seen[flags], AMBER)
    unsought = drawn(replace(SCENE, face_seen=None))
    assert is_changed(seen, unsought)[flags].any()


def test_a_single_person_who_is_not_observed_is_said_and_of_several_only_who_is_there():
    absent = PersonScene("person 0", ORANGE, None, is_observed=False)
    corner = np.s_[300:360, :300]
    assert share_of(drawn(replace(SCENE, persons=[absent]))[corner], AMBER) > 0.005
    assert share_of(drawn(replace(SCENE, persons=[absent, PERSON]))[corner], AMBER) == 0


def test_a_prediction_from_the_voice_alone_is_shown_without_a_box():
    picture = drawn(replace(SCENE, persons=[replace(PERSON, box=None)]))
    assert (picture[100:200, 150:350] == 90).all()
    assert is_changed(np.full_like(picture, 90), picture)[300:, :200].mean() > 0.05


def test_the_point_is_where_valence_and_arousal_are_and_a_gap_breaks_the_trail():
    steps = np.linspace(-0.8, 0.8, 9)
    trail = np.column_stack([steps, steps, np.linspace(1, 0, 9)])
    whole = drawn(replace(SCENE, persons=[replace(PERSON, trail=trail)], has_circumplex=True))
    drawer = Drawer(360, 640)
    side = drawer._panel.width
    centre = np.array([640 - side / 2 - drawer.margin_px, 360 - side / 2 - drawer.margin_px])
    x, y = np.round(centre + 0.8 * drawer.radius_px * np.array([1, -1])).astype(int)
    assert np.abs(whole[y, x].astype(int) - ORANGE).max() < 40
    trail[4, :2] = np.nan
    broken = drawn(replace(SCENE, persons=[replace(PERSON, trail=trail)], has_circumplex=True))
    x, y = np.round(centre).astype(int)
    assert is_changed(whole, broken)[y - 4 : y + 4, x - 4 : x + 4].any()
    trail[-1, :2] = np.nan
    unobserved = drawn(replace(SCENE, persons=[replace(PERSON, trail=trail)], has_circumplex=True))
    assert share_of(unobserved[220:, 500:], ORANGE) < share_of(broken[220:, 500:], ORANGE)


def test_text_on_a_colour_is_dark_or_light_by_what_is_easier_to_read():
    assert {text_colour_on(rgb_of(colour)) for colour in ("#E69F00", "#56B4E9", "#FFFFFF")} == {DARK}
    assert {text_colour_on(rgb_of(colour)) for colour in ("#0072B2", "#000000")} == {LIGHT}


def test_names_in_other_alphabets_and_any_characters_can_be_drawn():
    for text in ("Überraschung", "счастье", "<script>", "a\nb", ""):
        assert text_sprite(text, 13).height > 0
        assert chip_sprite(text, 13, ORANGE).height > 0


def test_scenes_take_from_a_timeline_what_is_drawn(tmp_path):
    times_s = np.arange(100) / 25
    observed = np.arange(100) != 60
    viewed = write_analysis(
        tmp_path,
        Clip("clip"),
        times_s,
        valence=np.where(observed, 0.5, np.nan),
        arousal=np.where(observed, -0.5, np.nan),
        observed=observed,
        face_seen=observed,
    )
    scenes = Scenes(viewed.timeline)
    scene = scenes.at(70)
    (person,) = scene.persons
    assert scene.title == "0:02.800   frame 71"
    assert [Scenes.title(time_s, 1)[:11] for time_s in (-0.04, 3661.25)] == ["-0:00.040  ", "1:01:01.250"]
    assert person.box == (10, 12, 20, 24)
    assert person.classes == [("Happiness", 0.75, rgb_of(CLASSES["happiness"]))]
    assert len(person.trail) == 51  # 2 s and the frame itself
    assert np.isnan(person.trail[:, 0]).sum() == 1
    np.testing.assert_allclose(person.trail[-1], [0.5, -0.5, 0])
    gap = scenes.at(60).persons[0]
    assert (gap.box, gap.is_observed, list(gap.classes)) == (None, False, [])
    assert not scenes.at(60).face_seen
    long = "x" * 200
    of_1_to_9 = replace(viewed.timeline.blocks[0], ranges=((0, 2), (-1, 9)))
    blocks = of_1_to_9, replace(viewed.timeline.blocks[1], columns=(long, "p_Happiness"), chosen=None)
    rows = replace(viewed.timeline.persons[0], columns={**viewed.timeline.persons[0].columns, long: np.ones(100)})
    (person,) = Scenes(replace(viewed.timeline, blocks=blocks, persons=(rows,))).at(70).persons
    np.testing.assert_allclose(person.trail[-1], [-0.5, -0.9, 0])  # on the plane from -1 to 1
    assert len(person.classes[0][0]) == 30
