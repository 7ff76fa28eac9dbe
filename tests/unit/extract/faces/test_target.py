"""Persons: faces followed between searches, who is who, and whose face a clip is about."""

import json
import threading

import cv2
import numpy as np
import pytest

from extract import DETECTORS
from extract.faces.active_speaker import RATE_HZ, sound_change, speakers
from extract.faces.detectors import FaceDetector
from extract.faces.geometry import Box, Face
from extract.faces.target import TARGETS, TargetConfig
from extract.faces.tracking import FaceTracker
from extract.media import Sound, pictures, sound
from extract.synthetic.face import EYES, Head, Look, Pose, draw_person, make_wall, paste_head
from extract.synthetic.write_clip import write_clip

FPS = 25
HEIGHT, WIDTH, SIDE = 120, 240, 40
RED, GREEN, BLUE = 0, 1, 2


class Colours(FaceDetector):
    """A test finder: whatever is of one of the three colours is a face, unless much of it is covered."""

    has_points = True

    def __init__(self):
        self.num_searches = 0

    def find(self, picture):
        self.num_searches += 1
        faces = []
        for colour in (RED, GREEN, BLUE):
            others = np.delete(picture, colour, axis=2).max(2)
            mask = (picture[..., colour] > 110) & (others < 90)
            if mask.sum() > 60:
                (rows,), (columns,) = mask.any(1).nonzero(), mask.any(0).nonzero()
                box = Box(*map(float, (columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1)))
                if mask.sum() < 0.6 * box.area or not 0.75 < box.width / box.height < 1.33:
                    continue
                five = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
                faces.append(Face(box, five * (box.width, box.height) + (box.x, box.y)))
        return faces

    def recipe(self):
        return {"finder": "colours", "settings": {}, "version": 1}


class Listed(FaceDetector):
    """A test finder that finds what it is told, search by search."""

    def __init__(self, *searches):
        self.searches = list(searches)

    def find(self, picture):
        return [Face(box) for box in self.searches.pop(0)] if self.searches else []

    def recipe(self):
        return {"finder": "listed", "settings": {}, "version": 1}


def texture(colour, side=SIDE):
    """A face: soft spots of one colour, always the same for it."""
    spots = np.random.default_rng(colour).uniform(125, 255, (10, 10)).astype(np.float32)
    face = np.full((side, side, 3), 30, np.uint8)
    face[..., colour] = cv2.resize(spots, (side, side), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    return face


def picture(*faces, wall=0, size=(HEIGHT, WIDTH)):
    """Faces (colour, left, top[, side]) before a wall; the later ones cover the earlier ones."""
    rng = np.random.default_rng(100 + wall)
    grey = cv2.resize(rng.uniform(20, 100, (6, 8)).astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
    image = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    for colour, left, top, *side in faces:
        face = texture(colour, *side)
        x0, y0 = max(0, left), max(0, top)
        x1, y1 = min(size[1], left + face.shape[1]), min(size[0], top + face.shape[0])
        if x1 > x0 and y1 > y0:
            image[y0:y1, x0:x1] = face[y0 - top : y1 - top, x0 - left : x1 - left]
    return image


def watch(shown, every=5, side=None, target="largest", finder=None):
    watcher = TargetConfig(finder or Colours(), target, every).begin(side, None)
    return [watcher.look(i / FPS, image) for i, image in enumerate(shown)]


def follow(shown, every=5, finder=None):
    follower = FaceTracker(finder or Colours(), every)
    return [follower.look(i / FPS, image) for i, image in enumerate(shown)]


def colour_of(image, face):
    """Which of the faces it is, by the picture itself."""
    x, y = round(face.box.centre_x), round(face.box.centre_y)
    return int(image[max(0, y - 5) : y + 5, max(0, x - 5) : x + 5].reshape(-1, 3).mean(0).argmax())


def persons_of(colour, shown, seen):
    return {
        face.person
        for image, faces in zip(shown, seen, strict=True)
        for face in faces
        if colour_of(image, face) == colour
    }


# following


def test_every_fifth_picture_is_searched_and_the_face_is_followed_between():
    finder, shown = Colours(), [picture((RED, 20 + 3 * i, 30 + i)) for i in range(21)]
    seen = follow(shown, 5, finder)
    assert finder.num_searches == 5
    assert [faces[0].found for faces in seen] == [i % 5 == 0 for i in range(21)]
    for i, (face,) in enumerate(seen):
        box = face.box
        assert np.abs(np.array([box.x - 20 - 3 * i, box.y - 30 - i, box.width - 40, box.height - 40])).max() < 1.5
        assert face.points[0] == pytest.approx([20 + 3 * i + 12, 30 + i + 16], abs=1.5)
    assert {face.person for (face,) in seen} == {0}


def test_every_picture_can_be_searched():
    finder = Colours()
    assert all(face.found for (face,) in follow([picture((RED, 20, 30))] * 7, 1, finder))
    assert finder.num_searches == 7


def test_a_face_that_turns_and_grows_is_followed_with_its_points():
    base = picture((RED, 100, 40))
    moves = [cv2.getRotationMatrix2D((120, 60), 2.0 * i, 1 + 0.02 * i) for i in range(5)]
    seen = follow([cv2.warpAffine(base, move, (WIDTH, HEIGHT)) for move in moves], 5)
    start = seen[0][0]
    for move, (face,) in zip(moves, seen, strict=True):
        assert np.abs(face.points - (start.points @ move[:, :2].T + move[:, 2])).max() < 1
        assert face.box.width == pytest.approx(start.box.width * np.hypot(*move[0, :2]), rel=0.02)


def test_a_large_picture_is_followed_in_its_own_pixels():
    shown = [picture((RED, 300 + 12 * i, 200 + 4 * i, 200), size=(720, 1280)) for i in range(5)]
    for i, (face,) in enumerate(follow(shown)):
        assert face.box.overlap(Box(300 + 12 * i, 200 + 4 * i, 200, 200)) > 0.95


def test_a_face_that_is_hidden_is_gone_at_once_and_the_same_person_after():
    shown = [picture((RED, 100, 40))] * 12
    hidden = picture((RED, 100, 40))
    hidden[35:85, 95:145] = 0
    seen = watch(shown + [hidden] * 25 + shown)
    assert all(seen[:12])
    assert seen[12:37] == [None] * 25
    assert all(seen[41:])  # the next search is at most four pictures later
    assert {face.person for face in seen if face} == {0}


def test_a_face_that_leaps_is_searched_at_once():
    seen = follow([picture((RED, 60, 40))] * 8 + [picture((RED, 92, 40))] * 3)
    assert [face.found for (face,) in seen[7:10]] == [False, True, False]
    assert [face.person for (face,) in seen] == [0] * 11


def test_what_slowly_becomes_something_else_is_not_followed_for_long():
    """Each step is small enough to be followed, all of them are not."""
    face, other, shown = picture((RED, 100, 40)), picture((RED, 100, 40)), []
    other[40:80, 100:140] = 255 - texture(RED)[..., :1]
    for share in np.linspace(0, 1, 30):
        shown.append(((1 - share) * face + share * other).astype(np.uint8))
    seen = follow(shown, 60, Listed([Box(100, 40, 40, 40)], []))
    assert len(seen[5]) == 1
    assert seen[20:] == [[]] * 10


def test_one_missed_search_is_bridged_and_a_second_one_is_not():
    box = Box(100, 40, 40, 40)
    seen = follow([picture((RED, 100, 40))] * 25, 5, Listed([box], [box], [], [box], []))
    assert [len(faces) for faces in seen] == [1] * 25
    assert not seen[10][0].found
    assert seen[15][0].found
    seen = follow([picture((RED, 100, 40))] * 20, 5, Listed([box], [box], [], []))
    assert [len(faces) for faces in seen] == [1] * 15 + [0] * 5


def test_what_was_found_once_and_not_confirmed_is_gone_and_forgotten():
    follower = FaceTracker(Listed([Box(100, 40, 40, 40)], []), 5)
    seen = [follower.look(i / FPS, picture((RED, 100, 40))) for i in range(8)]
    assert [len(faces) for faces in seen] == [1] * 5 + [0] * 3
    assert follower.persons() == {}


def test_one_face_found_twice_is_one_person():
    twice = [Box(100, 40, 40, 40), Box(104, 44, 40, 40)]
    seen = follow([picture((RED, 100, 40))] * 6, 5, Listed(twice[:1], twice))
    assert [len(faces) for faces in seen] == [1] * 6


def test_a_cut_ends_everyone_and_is_searched_at_once():
    finder = Colours()
    before, after = picture((RED, 100, 40)), 255 - picture(wall=1)
    after[40:80, 100:140] = texture(RED)
    seen = follow([before] * 8 + [after] * 5, 5, finder)
    assert [face.person for (face,) in seen] == [0] * 8 + [1] * 5
    assert seen[8][0].found
    assert finder.num_searches == 3


def test_a_flash_of_light_is_no_cut():
    calm = picture((RED, 100, 40))
    flash = np.clip(calm.astype(int) + 45, 0, 255).astype(np.uint8)
    seen = follow([calm] * 8 + [flash] + [calm] * 4, 5)
    assert {face.person for faces in seen for face in faces} == {0}


def test_a_change_of_the_pictures_size_is_a_cut():
    shown = [picture((RED, 100, 40))] * 3 + [picture((RED, 100, 40), size=(HEIGHT + 30, WIDTH + 10))] * 3
    assert [face.person for (face,) in follow(shown)] == [0] * 3 + [1] * 3


# who is who


def test_two_who_move_and_do_not_cross_stay_who_they_are():
    shown = [picture((RED, 20 + 2 * i, 10), (GREEN, 150 - 2 * i, 70)) for i in range(50)]
    seen = follow(shown)
    assert [len(faces) for faces in seen] == [2] * 50
    assert persons_of(RED, shown, seen) == {0}
    assert persons_of(GREEN, shown, seen) == {1}


def test_two_who_cross_stay_who_they_are():
    shown = [picture((RED, 10 + 4 * i, 40), (GREEN, 190 - 4 * i, 45)) for i in range(46)]
    seen = follow(shown)
    assert persons_of(GREEN, shown, seen) == {1}
    assert persons_of(RED, shown[:15] + shown[32:], seen[:15] + seen[32:]) == {0}
    assert len(seen[-1]) == 2


def test_one_who_leaves_and_returns_within_two_seconds_is_the_same():
    at = [*range(150, 250, 5), *[250] * 25, *range(245, 150, -5)]
    shown = [picture((GREEN, 10, 40), (RED, x, 30)) for x in at]
    assert persons_of(RED, shown, follow(shown)) == {1}


def test_one_who_stays_away_for_longer_returns_as_another():
    shown = [picture((RED, 100, 40))] * 10 + [picture()] * 60 + [picture((RED, 100, 40))] * 10
    assert persons_of(RED, shown, follow(shown)) == {0, 1}


def test_another_who_takes_the_place_of_one_who_is_hidden_is_another():
    shown = [picture((RED, 100, 40))] * 10 + [picture()] * 10 + [picture((GREEN, 100, 40))] * 10
    seen = follow(shown)
    assert persons_of(RED, shown, seen) == {0}
    assert persons_of(GREEN, shown, seen) == {1}


# whose clip it is


@pytest.mark.parametrize(
    ("target", "colour"), [("largest", BLUE), ("leftmost", RED), ("rightmost", BLUE), ("central", GREEN)]
)
def test_the_target_is_who_the_policy_says(target, colour):
    image = picture((RED, 5, 30), (GREEN, 95, 40), (BLUE, 180, 40, 50))
    assert {colour_of(image, face) for face in watch([image] * 7, target=target)} == {colour}


def test_the_largest_is_kept_until_another_is_more_than_twice_as_large():
    def shown(side):
        return [picture((RED, 20, 30, 44), (GREEN, 120, 20, side))] * 10

    before, larger, huge = shown(40), shown(60), shown(70)
    seen = watch(before + larger + huge)
    assert [colour_of(picture((RED, 20, 30, 44), (GREEN, 120, 20, 60)), face) for face in seen[:20]] == [RED] * 20
    assert colour_of(huge[0], seen[-1]) == GREEN


def test_nobody_stands_in_while_the_target_is_hidden_and_another_takes_over_when_he_is_gone():
    both, other = picture((RED, 20, 30, 44), (GREEN, 150, 40)), picture((GREEN, 150, 40))
    seen = watch([both] * 10 + [other] * 70)
    assert [face is None for face in seen[10:60]] == [True] * 50
    assert colour_of(other, seen[-1]) == GREEN
    returned = watch([both] * 10 + [other] * 30 + [both] * 10)
    assert colour_of(both, returned[-1]) == RED


def test_the_leftmost_gives_way_to_one_who_comes_further_left_but_not_to_one_who_moves_there():
    late = [picture((RED, 100, 40))] * 10 + [picture((RED, 100, 40), (GREEN, 10, 40))] * 15
    seen = watch(late, target="leftmost")
    assert colour_of(late[-1], seen[9]) == RED
    assert colour_of(late[-1], seen[-1]) == GREEN
    crossing = [picture((RED, 10 + 4 * i, 5), (GREEN, 150 - 3 * i, 75)) for i in range(40)]
    seen = watch(crossing, target="leftmost")
    assert {colour_of(image, face) for image, face in zip(crossing, seen, strict=True)} == {RED}


def test_left_and_right_take_their_own_person():
    image = picture((RED, 40, 30), (GREEN, 150, 40))
    for side, colour in (("left", RED), ("right", GREEN)):
        assert {colour_of(image, face) for face in watch([image] * 7, side=side)} == {colour}
        assert {colour_of(image, face) for face in watch([image] * 7, side=side, target="speaking")} == {colour}


def test_the_persons_of_both_sides_keep_them_when_they_cross():
    shown = [picture((RED, 10 + 4 * i, 5), (GREEN, 190 - 4 * i, 75)) for i in range(45)]
    for side, colour in (("left", RED), ("right", GREEN)):
        seen = watch(shown, side=side)
        assert {colour_of(image, face) for image, face in zip(shown, seen, strict=True)} == {colour}


def test_never_the_other_person_because_ones_own_is_hidden():
    both, one = picture((RED, 30, 30), (GREEN, 150, 40)), picture((GREEN, 150, 40))
    moved = [picture((GREEN, 150 - 3 * i, 40)) for i in range(45)]  # into the other half
    seen = watch([both] * 10 + moved + [picture((GREEN, 15, 40))] * 40, side="left")
    assert all(face is not None for face in seen[:10])
    assert seen[10:] == [None] * 85
    again = watch([both] * 10 + [one] * 70 + [both] * 10, side="left")
    assert colour_of(both, again[-1]) == RED
    assert again[10:80] == [None] * 70


def test_one_who_comes_back_alone_has_the_side_that_is_left_wherever_he_is():
    both, green, red = picture((RED, 20, 40), (GREEN, 150, 40)), picture((GREEN, 150, 40)), picture((RED, 150, 40))
    shown = [both] * 10 + [green] * 60 + [picture()] * 10 + [red] * 10  # red is another person by now, green is not
    seen = watch(shown, side="left")
    assert colour_of(red, seen[-1]) == RED
    assert watch(shown, side="right")[-1] is None


def test_one_who_is_alone_has_the_side_of_his_half_until_another_is_seen():
    alone = [picture((RED, 130, 40))] * 10
    assert all(face is not None for face in watch(alone, side="right"))
    assert watch(alone, side="left") == [None] * 10
    joined = [picture((RED, 130, 40), (GREEN, 190, 40))] * 12
    assert colour_of(joined[0], watch(alone + joined, side="left")[-1]) == RED
    assert colour_of(joined[0], watch(alone + joined, side="right")[-1]) == GREEN


def test_a_face_that_was_none_does_not_decide_who_is_left():
    image = picture((RED, 20, 40))
    real, false = Box(20, 40, 40, 40), Box(0, 0, 30, 30)
    seen = watch([image] * 15, side="left", finder=Listed([false, real], [real], [real]))
    assert seen[-1] is not None
    assert seen[-1].box.overlap(real) > 0.9


def test_sides_after_a_cut_are_those_of_the_new_view():
    before = picture((RED, 10, 40), (GREEN, 60, 40))
    after = 255 - picture(wall=3)
    after[40:80, 60:100] = texture(BLUE)
    seen = watch([before] * 10 + [after] * 6, side="left")
    assert colour_of(after, seen[-1]) == BLUE


@pytest.fixture
def film(tmp_path):
    def write(shown, heard=None, name="a.mp4"):
        write_clip(tmp_path / name, shown, np.arange(len(shown)) / FPS, heard, crf=10)
        return tmp_path / name

    return write


def look_at(path, target, finder, every=5):
    """What a watch of a file sees, in the pictures it decodes a second time."""
    watcher = TargetConfig(finder, target, every).begin(None, path)
    shown = [(each.time_s, each.rgb()) for each in pictures(path)]
    return [rgb for _, rgb in shown], [watcher.look(time_s, rgb) for time_s, rgb in shown]


def test_the_longest_is_who_is_seen_in_most_pictures(film):
    both = picture((RED, 20, 30, 50), (GREEN, 150, 40))
    path = film([picture((RED, 20, 30, 50))] * 5 + [both] * 15 + [picture((GREEN, 150, 40))] * 20)
    shown, seen = look_at(path, "longest", Colours())
    assert seen[:5] == [None] * 5  # the shorter one cannot stand in, he overlaps
    assert {colour_of(image, face) for image, face in zip(shown, seen, strict=True) if face} == {GREEN}
    assert all(seen[8:])
    assert seen[8].points.shape == (5, 2)


def test_each_part_of_a_clip_with_cuts_has_its_longest(film):
    one, other = picture((RED, 100, 40)), 255 - picture(wall=1)
    other[40:80, 20:60] = texture(GREEN)
    shown, seen = look_at(film([one] * 12 + [other] * 20), "longest", Colours())
    assert [colour_of(image, face) for image, face in zip(shown, seen, strict=True)] == [RED] * 12 + [GREEN] * 20
    assert [face.found for face in seen[:6]] == [True, False, False, False, False, True]


def test_a_clip_that_is_another_than_it_was_is_said(film):
    watcher = TargetConfig(Colours(), "longest").begin(None, film([picture((RED, 100, 40))] * 3))
    with pytest.raises(ValueError, match=r"no picture was at 7.5 s when the clip was seen first: it changed"):
        watcher.look(7.5, picture())


def test_what_cannot_be_watched_is_refused():
    with pytest.raises(ValueError, match=r"no target 'larges'; did you mean 'largest'\? .* leftmost, .*speaking"):
        TargetConfig(Colours(), "larges")
    with pytest.raises(ValueError, match="faces are to be searched in every 0th picture: give 1"):
        TargetConfig(Colours(), every=0)
    with pytest.raises(ValueError, match="the side of a subject is 'middle', expected 'left' or 'right'"):
        TargetConfig(Colours()).begin("middle", None)


def test_the_recipe_says_finder_target_and_how_often():
    recipe = json.loads(json.dumps(TargetConfig(Colours(), "central", 3).recipe()))
    assert recipe == {"finder": "colours", "settings": {}, "version": 1, "target": "central", "every": 3, "persons": 1}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 2), (1, 300), (300, 1), (64, 64)])
def test_small_and_black_pictures_give_nobody(target, shape, tmp_path):
    black = np.zeros((*shape, 3), np.uint8)
    watcher = TargetConfig(DETECTORS.build("haar"), target).begin(
        "left" if target in ("longest", "speaking") else None, None
    )
    assert [watcher.look(i / FPS, black) for i in range(3)] == [None] * 3


@pytest.mark.parametrize("target", TARGETS)
def test_one_picture_is_enough(target, film):
    shown, seen = look_at(film([picture((RED, 100, 40))]), target, Colours())
    assert colour_of(shown[0], seen[0]) == RED
    _, seen = look_at(film([picture()], name="empty.mp4"), target, Colours())
    assert seen == [None]


# who speaks


def voice(parts_s, seed=0):
    """Syllables of noise, one every 0.2 s or so, in the parts (start, stop); silence elsewhere."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(max(stop for _, stop in parts_s) * 16000)) / 16000
    loud = np.zeros(len(t))
    for start, stop in parts_s:
        at = start
        while at < stop:
            loud += rng.uniform(0.3, 1) * np.exp(-(((t - at) / 0.045) ** 2))
            at += rng.uniform(0.15, 0.35)
    return Sound((0.3 * np.clip(loud, 0, 1) * rng.uniform(-1, 1, len(t))).astype(np.float32), 16000, 0.0)


class Seats(FaceDetector):
    """A test finder for two who sit still."""

    boxes = (Box(50, 60, 110, 120), Box(240, 60, 110, 120))

    def find(self, picture):
        return [Face(box) for box in self.boxes]

    def recipe(self):
        return {"finder": "seats", "settings": {}, "version": 1}


def talk(times_s, jaws):
    """Two drawn faces side by side whose jaws move."""
    rng = np.random.default_rng(3)
    people = [draw_person(rng) for _ in jaws]
    wall = make_wall(people[0], (400, 240), [(person, x) for person, x in zip(people, (105, 295), strict=True)])
    heads = [Head(person) for person in people]
    for i, time_s in enumerate(times_s):
        image = wall.copy()
        for head, x, jaw in zip(heads, (105, 295), jaws, strict=True):
            pose = Pose(x + np.sin(time_s + x), 100 + EYES[1] * 0, 1.0, 0.02 * np.sin(2 * time_s + x))
            paste_head(image, head.draw(Look(0, 0, 0, 1, float(jaw[i]))), head.alpha, pose)
        yield image


def loudness(heard, times_s):
    """About 0 .. 1, in the 80 ms around each time."""
    samples = np.pad(np.abs(heard.samples), (640, 80000))
    return np.array([samples[round(time_s * 16000) :][:1280].mean() for time_s in times_s]) * 10


@pytest.fixture(scope="module")
def turns(tmp_path_factory):
    """The left one speaks for 2.5 s, then the right one; and the same mirrored."""
    times_s = np.arange(125) / FPS
    first, second = voice([(0.1, 2.4)]), voice([(2.6, 4.9)], 1)
    heard = Sound(second.samples + np.pad(first.samples, (0, len(second.samples) - len(first.samples))), 16000, 0.0)
    shown = list(talk(times_s, (loudness(first, times_s), loudness(second, times_s))))
    folder = tmp_path_factory.mktemp("turns")
    write_clip(folder / "plain.mp4", shown, times_s, heard)
    write_clip(folder / "mirrored.mp4", [np.ascontiguousarray(image[:, ::-1]) for image in shown], times_s, heard)
    write_clip(folder / "silent.mp4", shown, times_s, Sound(np.zeros(80000, np.float32), 16000, 0.0))
    write_clip(folder / "mute.mp4", shown, times_s)
    return folder


def is_left(faces):
    return np.array([face.box.centre_x < 200 for face in faces])


def test_the_target_changes_with_the_speaker(turns):
    _, seen = look_at(turns / "plain.mp4", "speaking", Seats())
    left = is_left(seen)
    assert left[:50].all()
    assert not left[75:].any()
    assert {face.person for face in seen} == {0, 1}
    _, seen = look_at(turns / "mirrored.mp4", "speaking", Seats())
    assert not is_left(seen)[:50].any()
    assert is_left(seen)[75:].all()


@pytest.mark.parametrize("name", ["silent.mp4", "mute.mp4"])
def test_in_silence_the_largest_is_the_target(turns, name, monkeypatch):
    for larger, expected in ((0, True), (1, False)):
        boxes = [
            Box(box.x - 9 * (i == larger), box.y, 110 + 18 * (i == larger), 120) for i, box in enumerate(Seats.boxes)
        ]
        monkeypatch.setattr(Seats, "boxes", tuple(boxes))
        assert (is_left(look_at(turns / name, "speaking", Seats())[1]) == expected).all()
        monkeypatch.undo()


def test_one_alone_is_the_target_whoever_speaks(film):
    path = film([picture((RED, 100, 40))] * 20, voice([(0.1, 0.7)]))
    assert all(look_at(path, "speaking", Colours())[1])


def test_a_steady_tone_is_no_change_and_a_syllable_is():
    t = np.arange(RATE_HZ * 2) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * 440 * t) * (t > 1)
    change = sound_change(Sound(tone.astype(np.float32), RATE_HZ, 5.0), 5.0 + np.array([0.5, 1.0, 1.5, 9.0]))
    assert change[1] > 0.5
    assert change[[0, 2, 3]] == pytest.approx(0, abs=0.05)
    assert sound_change(Sound(np.zeros(99, np.float32), RATE_HZ, 0.0), np.array([0.0, 1.0])) is None


def test_a_speaker_who_is_hidden_for_a_moment_goes_on_speaking():
    times_s = np.arange(100) / FPS
    heard = voice([(0.0, 4.0)])
    moved = loudness(heard, times_s)
    frames = np.concatenate([np.stack([np.arange(100)] * 2, 1).ravel()])
    persons, stirs = np.tile([0, 1], 100), np.stack([moved, np.full(100, 0.1)], 1).ravel()
    keep = ~((persons == 0) & (frames > 40) & (frames < 60))
    eight = Sound(heard.samples[::2], RATE_HZ, 0.0)
    assert (speakers(times_s, frames[keep], persons[keep], stirs[keep], eight) == 0).all()
    assert (speakers(times_s, frames, 1 - persons, stirs, eight) == 1).all()
    assert (speakers(times_s, frames[:0], persons[:0], stirs[:0], eight) == -1).all()


# real clips


@pytest.fixture(scope="module")
def clip(media):
    def read(name):
        return [(each.time_s, each.rgb()) for each in pictures(media / name)]

    return read


@pytest.fixture(scope="module")
def yunet(media):
    return DETECTORS.build("yunet", file=str(media / "weights/yunet_n_640_640.onnx"))


def seen_in(shown, finder, every=5, side=None, target="largest"):
    watcher = TargetConfig(finder, target, every).begin(side, None)
    return [watcher.look(time_s, rgb) for time_s, rgb in shown]


@pytest.mark.parametrize("name", ["single_face.mp4", "1001_DFA_HAP_XX.flv", "WolfgangLanger_Pexels.mp4"])
def test_following_stays_near_to_what_searching_every_picture_finds(clip, yunet, name):
    shown = clip(f"clips/{name}")[:90]
    searched, followed = seen_in(shown, yunet, 1), seen_in(shown, yunet, 5)
    near = [one.box.overlap(other.box) for one, other in zip(searched, followed, strict=True)]
    assert min(near) > 0.7
    assert np.mean(near) > 0.9
    away = [
        np.abs(one.points - other.points).max() / one.box.width for one, other in zip(searched, followed, strict=True)
    ]
    assert np.mean(away) < 0.03
    assert {face.person for face in followed} == {0}
    assert sum(face.found for face in followed) < len(shown) / 3


def test_a_face_hidden_from_1_to_2_s_is_nobody_there_and_the_same_after(clip, yunet):
    shown = clip("nasty/face_hidden_1s_to_2s.mp4")
    for finder in (yunet, DETECTORS.build("haar")):
        seen = seen_in(shown, finder)
        hidden = np.array([1.0 <= time_s <= 2.0 for time_s, _ in shown])
        nobody = np.array([face is None for face in seen])
        assert nobody[hidden].all()
        assert nobody[~hidden].sum() <= 5
        assert {face.person for face in seen if face} == {0}


def test_another_person_from_3_s_on_is_another_person(clip, yunet):
    shown = clip("nasty/identity_cut_at_3s.mp4")
    for finder in (yunet, DETECTORS.build("haar")):
        seen = seen_in(shown, finder)
        assert [face.person for face in seen] == [int(time_s > 2.99) for time_s, _ in shown]


def test_a_clip_that_begins_without_a_face_has_one_from_where_it_appears(clip, yunet):
    shown = clip("nasty/noface_face.mov")
    seen = seen_in(shown, yunet)
    first = next(i for i, face in enumerate(seen) if face)
    assert seen[:first] == [None] * first
    assert len(yunet.find(shown[first - 1][1])) == 0
    assert sum(face is not None for face in seen) > 60


def test_nobody_is_in_a_clip_without_faces(clip, yunet):
    assert set(seen_in(clip("nasty/no_face.mp4"), yunet)) == {None}


def test_left_and_right_of_a_real_video_of_two(clip, yunet):
    shown = clip("nasty/two_faces_audio_of_left.mp4")
    middle = shown[0][1].shape[1] / 2
    assert all(face.box.centre_x < middle for face in seen_in(shown, yunet, side="left"))
    assert all(face.box.centre_x > middle for face in seen_in(shown, yunet, side="right"))


@pytest.mark.parametrize("name", ["haar", "yunet"])
def test_the_one_whose_voice_is_heard_speaks_and_in_the_mirror_too(media, clip, tmp_path, yunet, name):
    finder, path = DETECTORS.build("haar") if name == "haar" else yunet, media / "nasty/two_faces_audio_of_left.mp4"
    shown, seen = look_at(path, "speaking", finder)
    middle = shown[0].shape[1] / 2
    assert np.mean([face is not None and face.box.centre_x < middle for face in seen]) > 0.9
    times_s = [time_s for time_s, _ in clip("nasty/two_faces_audio_of_left.mp4")]
    mirrored = [np.ascontiguousarray(rgb[:, ::-1]) for rgb in shown]
    write_clip(tmp_path / "m.mp4", mirrored, times_s, sound(path))
    _, seen = look_at(tmp_path / "m.mp4", "speaking", finder)
    assert np.mean([face is not None and face.box.centre_x > middle for face in seen]) > 0.9


def test_the_same_clip_twice_and_in_threads_at_once_gives_the_same(clip, yunet):
    shown = clip("clips/single_face.mp4")[:20]
    watch, results = TargetConfig(yunet), {}

    def work(which):
        watcher = watch.begin(None, None)
        results[which] = [(face.box, face.points.tobytes()) for face in (watcher.look(*each) for each in shown)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work("alone")
    assert results[0] == results[1] == results[2] == results["alone"]


def test_a_third_face_never_takes_a_subjects_side_seen_or_hidden():
    from extract.faces.target import _Side

    red, green = Face(Box(10, 10, 30, 30), person=1), Face(Box(110, 10, 30, 30), person=2)
    third = Face(Box(50, 5, 60, 60), person=3)
    both, all_three = {1: True, 2: True}, {1: True, 2: True, 3: True}
    for side, own in (("left", red), ("right", green)):
        policy = _Side(side)
        assert policy.pick([red, green], both, 200, 100) is own
        for _ in range(3):
            assert policy.pick([third, red, green], all_three, 200, 100) is own
        other = green if own is red else red
        for _ in range(3):
            assert policy.pick([third, other], all_three, 200, 100) is None  # his own is only hidden
            assert policy.pick([third], all_three, 200, 100) is None
        assert policy.pick([third, own], all_three, 200, 100) is own
        assert policy.pick([third, red, green], all_three, 200, 100) is own
