"""The target of a clip: whose face is chosen, and that it is kept."""

import json
import threading

import numpy as np
import pytest

from extract import DETECTORS
from extract.faces.geometry import Box, Face
from extract.faces.target import TARGETS, TargetConfig, person_target
from extract.media import pictures
from tests.support.drawn_faces import (
    BLUE,
    FPS,
    GREEN,
    RED,
    Colours,
    Listed,
    colour_of,
    picture,
    select,
    select_from,
    select_in,
    texture,
)

# drawn pictures


@pytest.mark.parametrize(
    ("target", "colour"), [("largest", BLUE), ("leftmost", RED), ("rightmost", BLUE), ("central", GREEN)]
)
def test_each_target_name_chooses_its_person(target, colour):
    image = picture((RED, 5, 30), (GREEN, 95, 40), (BLUE, 180, 40, 50))
    assert {colour_of(image, face) for face in select([image] * 7, target=target)} == {colour}


def test_the_largest_is_kept_until_another_is_more_than_twice_as_large():
    def shown(side):
        return [picture((RED, 20, 30, 44), (GREEN, 120, 20, side))] * 10

    before, larger, huge = shown(40), shown(60), shown(70)
    seen = select(before + larger + huge)
    assert [colour_of(picture((RED, 20, 30, 44), (GREEN, 120, 20, 60)), face) for face in seen[:20]] == [RED] * 20
    assert colour_of(huge[0], seen[-1]) == GREEN


def test_a_hidden_target_is_not_replaced_until_it_is_lost_for_good():
    both, other = picture((RED, 20, 30, 44), (GREEN, 150, 40)), picture((GREEN, 150, 40))
    seen = select([both] * 10 + [other] * 70)
    assert [face is None for face in seen[10:60]] == [True] * 50
    assert colour_of(other, seen[-1]) == GREEN
    returned = select([both] * 10 + [other] * 30 + [both] * 10)
    assert colour_of(both, returned[-1]) == RED


def test_the_leftmost_is_replaced_by_a_newcomer_further_left_but_not_by_one_who_moves_there():
    late = [picture((RED, 100, 40))] * 10 + [picture((RED, 100, 40), (GREEN, 10, 40))] * 15
    seen = select(late, target="leftmost")
    assert colour_of(late[-1], seen[9]) == RED
    assert colour_of(late[-1], seen[-1]) == GREEN
    crossing = [picture((RED, 10 + 4 * i, 5), (GREEN, 150 - 3 * i, 75)) for i in range(40)]
    seen = select(crossing, target="leftmost")
    assert {colour_of(image, face) for image, face in zip(crossing, seen, strict=True)} == {RED}


def test_left_and_right_take_their_own_person():
    image = picture((RED, 40, 30), (GREEN, 150, 40))
    for side, colour in (("left", RED), ("right", GREEN)):
        assert {colour_of(image, face) for face in select([image] * 7, side=side)} == {colour}
        assert {colour_of(image, face) for face in select([image] * 7, side=side, target="speaking")} == {colour}


def test_both_subjects_keep_their_sides_when_they_cross():
    shown = [picture((RED, 10 + 4 * i, 5), (GREEN, 190 - 4 * i, 75)) for i in range(45)]
    for side, colour in (("left", RED), ("right", GREEN)):
        seen = select(shown, side=side)
        assert {colour_of(image, face) for image, face in zip(shown, seen, strict=True)} == {colour}


def test_a_hidden_subject_is_never_replaced_by_the_other_one():
    both, one = picture((RED, 30, 30), (GREEN, 150, 40)), picture((GREEN, 150, 40))
    moved = [picture((GREEN, 150 - 3 * i, 40)) for i in range(45)]  # into the other half
    seen = select([both] * 10 + moved + [picture((GREEN, 15, 40))] * 40, side="left")
    assert all(face is not None for face in seen[:10])
    assert seen[10:] == [None] * 85
    again = select([both] * 10 + [one] * 70 + [both] * 10, side="left")
    assert colour_of(both, again[-1]) == RED
    assert again[10:80] == [None] * 70


def test_a_person_who_returns_alone_gets_the_free_side_wherever_they_are():
    both, green, red = picture((RED, 20, 40), (GREEN, 150, 40)), picture((GREEN, 150, 40)), picture((RED, 150, 40))
    shown = [both] * 10 + [green] * 60 + [picture()] * 10 + [red] * 10  # red is another person by now, green is not
    seen = select(shown, side="left")
    assert colour_of(red, seen[-1]) == RED
    assert select(shown, side="right")[-1] is None


def test_a_person_alone_has_the_side_of_their_half_until_another_appears():
    alone = [picture((RED, 130, 40))] * 10
    assert all(face is not None for face in select(alone, side="right"))
    assert select(alone, side="left") == [None] * 10
    joined = [picture((RED, 130, 40), (GREEN, 190, 40))] * 12
    assert colour_of(joined[0], select(alone + joined, side="left")[-1]) == RED
    assert colour_of(joined[0], select(alone + joined, side="right")[-1]) == GREEN


def test_a_false_detection_does_not_decide_who_is_left():
    image = picture((RED, 20, 40))
    real, false = Box(20, 40, 40, 40), Box(0, 0, 30, 30)
    seen = select([image] * 15, side="left", detector=Listed([false, real], [real], [real]))
    assert seen[-1] is not None
    assert seen[-1].box.overlap(real) > 0.9


def test_sides_after_a_shot_change_are_those_of_the_new_view():
    before = picture((RED, 10, 40), (GREEN, 60, 40))
    after = 255 - picture(wall=3)
    after[40:80, 60:100] = texture(BLUE)
    seen = select([before] * 10 + [after] * 6, side="left")
    assert colour_of(after, seen[-1]) == BLUE


def test_the_longest_is_the_person_visible_in_most_pictures(film):
    both = picture((RED, 20, 30, 50), (GREEN, 150, 40))
    path = film([picture((RED, 20, 30, 50))] * 5 + [both] * 15 + [picture((GREEN, 150, 40))] * 20)
    shown, seen = select_from(path, "longest", Colours())
    assert seen[:5] == [None] * 5  # the other person overlaps in time and so does not replace the longest
    assert {colour_of(image, face) for image, face in zip(shown, seen, strict=True) if face} == {GREEN}
    assert all(seen[8:])
    assert seen[8].points.shape == (5, 2)


def test_each_shot_of_a_clip_has_its_own_longest(film):
    one, other = picture((RED, 100, 40)), 255 - picture(wall=1)
    other[40:80, 20:60] = texture(GREEN)
    shown, seen = select_from(film([one] * 12 + [other] * 20), "longest", Colours())
    assert [colour_of(image, face) for image, face in zip(shown, seen, strict=True)] == [RED] * 12 + [GREEN] * 20
    assert [face.detected for face in seen[:6]] == [True, False, False, False, False, True]


def test_a_file_that_changed_between_the_two_passes_is_an_error(film):
    selector = TargetConfig(Colours(), "longest").make_selector(None, film([picture((RED, 100, 40))] * 3))
    with pytest.raises(ValueError, match=r"the first pass over the clip had no picture at 7.5 s: the file changed"):
        selector.select(7.5, picture())


def test_an_unknown_target_side_or_interval_is_refused():
    with pytest.raises(
        ValueError, match=r"no target named 'larges'; did you mean 'largest'\? known: .*leftmost.*speaking"
    ):
        TargetConfig(Colours(), "larges")
    with pytest.raises(ValueError, match="detect_every is 0, expected 1"):
        TargetConfig(Colours(), detect_every=0)
    with pytest.raises(ValueError, match="the side of a subject is 'middle', expected 'left' or 'right'"):
        TargetConfig(Colours()).make_selector("middle", None)


def test_the_recipe_names_detector_target_and_interval():
    recipe = json.loads(json.dumps(TargetConfig(Colours(), "central", 3).recipe()))
    assert recipe == {"finder": "colours", "settings": {}, "version": 1, "target": "central", "every": 3, "persons": 1}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 2), (1, 300), (300, 1), (64, 64)])
def test_small_and_black_pictures_have_no_target(target, shape, tmp_path):
    black = np.zeros((*shape, 3), np.uint8)
    selector = TargetConfig(DETECTORS.build("haar"), target).make_selector(
        "left" if target in ("longest", "speaking") else None, None
    )
    assert [selector.select(i / FPS, black) for i in range(3)] == [None] * 3


@pytest.mark.parametrize("target", TARGETS)
def test_one_picture_is_enough(target, film):
    shown, seen = select_from(film([picture((RED, 100, 40))]), target, Colours())
    assert colour_of(shown[0], seen[0]) == RED
    _, seen = select_from(film([picture()], name="empty.mp4"), target, Colours())
    assert seen == [None]


def test_a_third_face_never_takes_the_side_of_a_subject_visible_or_hidden():
    from extract.faces.target import _SidePolicy

    red, green = Face(Box(10, 10, 30, 30), person=1), Face(Box(110, 10, 30, 30), person=2)
    third = Face(Box(50, 5, 60, 60), person=3)
    both, all_three = {1: True, 2: True}, {1: True, 2: True, 3: True}
    for side, own in (("left", red), ("right", green)):
        policy = _SidePolicy(side)
        assert policy.choose([red, green], both, 200, 100) is own
        for _ in range(3):
            assert policy.choose([third, red, green], all_three, 200, 100) is own
        other = green if own is red else red
        for _ in range(3):
            assert policy.choose([third, other], all_three, 200, 100) is None  # his own is only hidden
            assert policy.choose([third], all_three, 200, 100) is None
        assert policy.choose([third, own], all_three, 200, 100) is own
        assert policy.choose([third, red, green], all_three, 200, 100) is own


# real clips


def test_left_and_right_of_a_real_video_of_two(clip, yunet):
    shown = clip("nasty/two_faces_audio_of_left.mp4")
    middle = shown[0][1].shape[1] / 2
    assert all(face.box.centre_x < middle for face in select_in(shown, yunet, side="left"))
    assert all(face.box.centre_x > middle for face in select_in(shown, yunet, side="right"))


def test_the_same_clip_in_several_threads_gives_the_same_faces(clip, yunet):
    shown = clip("clips/single_face.mp4")[:20]
    config, results = TargetConfig(yunet), {}

    def work(which):
        selector = config.make_selector(None, None)
        results[which] = [(face.box, face.points.tobytes()) for face in (selector.select(*each) for each in shown)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work("alone")
    assert results[0] == results[1] == results[2] == results["alone"]


@pytest.mark.parametrize("target", ["largest", "longest"])
def test_all_persons_of_a_picture_are_there_beside_the_target(film, target):
    """Red is the target; green alone is there from picture 10 to 20, before the tracker has forgotten red."""
    shown = [picture((RED, 30, 40, 60), (GREEN, 170, 40))] * 10 + [picture((GREEN, 170, 40))] * 10
    shown += [picture((RED, 30, 40, 60))] * 30
    path = film(shown)
    selector = TargetConfig(Colours(), target, 1).make_selector(None, path)
    seen = [(selector.select(each.time_s, each.rgb()), list(selector.faces)) for each in pictures(path)]
    assert [len(faces) for _, faces in seen] == [2] * 10 + [1] * 10 + [1] * 30
    assert [face is None for face, _ in seen] == [False] * 10 + [True] * 10 + [False] * 30
    red = seen[0][0].person
    assert [red in [face.person for face in faces] for _, faces in seen] == [face is not None for face, _ in seen]


def test_the_person_of_a_number_is_the_same_one_whoever_was_the_target():
    images = [picture((RED, 30, 40, 60), (GREEN, 170, 40))] * 10 + [picture((GREEN, 170, 40))] * 5
    numbers = {colour_of(images[0], face): face.person for face in select(images, target="leftmost")[:1]}
    numbers |= {colour_of(images[0], face): face.person for face in select(images, target="rightmost")[:1]}
    assert len(numbers) == 2
    red, green = (select(images, target=person_target(numbers[colour])) for colour in (RED, GREEN))
    assert [face is None for face in red] == [False] * 10 + [True] * 5
    assert {colour_of(images[0], face) for face in green} == {GREEN}


@pytest.mark.parametrize("target", ["longest", "speaking"])
def test_the_first_pass_over_a_clip_is_stopped_at_its_next_picture(film, target):
    asked = []

    def check():
        asked.append(None)
        if len(asked) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TargetConfig(Colours(), target).make_selector(None, film([picture((RED, 100, 40))] * 9), check=check)
    assert len(asked) == 3
