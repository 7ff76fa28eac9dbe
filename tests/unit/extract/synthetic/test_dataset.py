"""The synthetic data set is what it says: every planted case is there, and the same seed gives the same bytes."""

import csv
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from abaw.dataset.names import ACTION_UNITS, EXPRESSIONS
from extract import media
from extract.synthetic import dataset, labels, lists, units
from extract.synthetic.face import FaceState, Head, Pose, cut_crop, draw_background, draw_person, paste_head
from extract.synthetic.scenes import MIN_CLIPS, Affect, Scene, expression_classes, make_scenes, mislabel
from extract.synthetic.voice import VOICE_HZ, draw_voice, synthesize_voice

SECONDS = 3.0


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth") / "data"
    ticks = []
    summary = dataset.make_dataset(out, num_clips=MIN_CLIPS, seconds=SECONDS, progress=lambda *tick: ticks.append(tick))
    assert ticks == [(k, summary["num_videos"]) for k in range(1, summary["num_videos"] + 1)]
    return out


@pytest.fixture(scope="session")
def contains(data):
    return json.loads((data / "synth.json").read_text())["contains"]


def video_of(data, name) -> Path:
    (path,) = data.glob(f"videos/*/{name}.*")
    return path


def times_of(data, name):
    return np.array([picture.time_s for picture in media.pictures(video_of(data, name))])


def labels_of(data, clip, task="va"):
    (path,) = data.glob(f"annotations/{labels.FOLDERS[task]}/*/{clip}.txt")
    return path.read_text().splitlines()[1:]


def crops_of(data, clip):
    return sorted(int(path.stem) for path in data.glob(f"cropped_aligned*/{clip}/*.jpg"))


def truth_of(data, clip):
    with (data / "truth" / f"{clip}.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


def hash_tree(root):
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def write_scene(root, seed, video="28-30-1280x720-1"):
    (scene,) = (scene for scene in make_scenes(MIN_CLIPS) if scene.video == video)
    dataset._write_scene(root, scene, 2.0, seed)
    return hash_tree(root)


@pytest.mark.parametrize("video", ["28-30-1280x720-1", "130-25-1280x720", "107"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others(tmp_path, video):
    first, again, other = (
        write_scene(tmp_path / "a", 0, video),
        write_scene(tmp_path / "b", 0, video),
        write_scene(tmp_path / "c", 1, video),
    )
    assert first == again
    assert {name for name in first if first[name] == other.get(name)} == set()


def test_a_second_call_does_nothing(data):
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    summary = dataset.make_dataset(data, num_clips=MIN_CLIPS, seconds=SECONDS)
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
    assert summary == json.loads((data / "synth.json").read_text())


def test_other_arguments_on_a_finished_folder_are_refused(data):
    with pytest.raises(
        ValueError, match=r"was made with .*'seed': 0.* not with .*'seed': 1.*: remove it or give another"
    ):
        dataset.make_dataset(data, num_clips=MIN_CLIPS, seconds=SECONDS, seed=1)


def test_a_foreign_folder_or_file_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(ValueError, match="not a synthetic data set: give a folder that is empty or does not exist"):
            dataset.make_dataset(out)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_clips": 13}, "number of clips is 13, expected 14 or more"),
        ({"seconds": 1.0}, "length is 1.0 s, expected 2.0 to"),
        ({"seconds": float("nan")}, "length is nan s, expected"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_arguments_that_cannot_hold_every_case_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        dataset.make_dataset(tmp_path / "data", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(dataset, "_write_scene", fail)
    with pytest.raises(OSError, match="the disk is full"):
        dataset.make_dataset(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_splits_have_the_sizes_asked_and_a_longer_data_set_begins_like_a_shorter_one():
    for num_clips in (14, 15, 23, 36, 100):
        scenes = make_scenes(num_clips)
        clips = [clip for scene in scenes for clip in scene.clips]
        assert len(clips) == len(set(clips)) == num_clips
    sizes = {
        s: sum(len(scene.clips) for scene in make_scenes(36) if scene.split == s)
        for s in ("train", "validation", "test")
    }
    assert sizes == {"train": 22, "validation": 8, "test": 6}
    assert set(make_scenes(14)) <= set(make_scenes(36)) <= set(make_scenes(100))


def test_every_video_decodes_to_the_times_of_the_truth(data):
    for split in json.loads((data / "synth.json").read_text())["splits"].values():
        for clip in split:
            video = clip.removesuffix("_left").removesuffix("_right")
            np.testing.assert_allclose(times_of(data, video), truth_of(data, clip)["time_s"], atol=1e-4)


def test_rates_are_what_is_said_and_not_what_names_say(data, contains):
    for case, fps in (
        ("fps_7_5", 7.5),
        ("fps_25", 25),
        ("fps_29_97", 30000 / 1001),
        ("misleading_fps_in_name", 30000 / 1001),
    ):
        steps = np.diff(times_of(data, contains[case]))
        np.testing.assert_allclose(steps, 1 / fps, atol=1e-4, err_msg=case)
    steps = np.diff(times_of(data, contains["variable_fps"]))
    assert np.median(steps) == pytest.approx(0.04, abs=1e-3)
    assert steps.max() > 0.1


def test_sound_is_late_missing_or_there_as_planted(data, contains):
    late = media.sound(video_of(data, contains["late_sound"]))
    # AAC rings a little before the onset
    onset = late.start_s + np.flatnonzero(np.abs(late.samples) > 0.01)[0] / late.rate_hz
    assert onset == pytest.approx(0.8, abs=0.03)
    assert late.stop_s == pytest.approx(SECONDS, abs=0.1)
    assert not media.probe(video_of(data, contains["no_sound"])).has_sound
    plain = media.sound(video_of(data, contains["two_subjects_left"].removesuffix("_left")))
    assert plain.start_s == pytest.approx(0, abs=0.03)


def test_two_subjects_share_one_video_and_one_arousal_but_not_their_faces(data, contains):
    left, right = contains["two_subjects_left"], contains["two_subjects_right"]
    assert left.removesuffix("_left") == right.removesuffix("_right") == video_of(data, left.removesuffix("_left")).stem
    one, other = truth_of(data, left), truth_of(data, right)
    np.testing.assert_array_equal(one["arousal"], other["arousal"])
    assert np.abs(one["valence"] - other["valence"]).max() > 0.3
    assert crops_of(data, left)
    assert crops_of(data, right)
    assert labels_of(data, left) != labels_of(data, right)


def test_a_base_id_stands_beside_right_only_in_the_test_set(data, contains):
    base, right = contains["base_of_right_only"], contains["right_only"]
    assert right == base + "_right"
    listed = (data / "test_set/Valence_Arousal_Estimation_Challenge_test_set_release.txt").read_text().splitlines()
    assert {base, right} <= set(listed)
    assert base + "_left" not in listed
    assert crops_of(data, base)
    assert crops_of(data, right)


def test_crops_are_missing_where_planted_and_labels_go_on(data, contains):
    clip = contains["turned_away"]
    hidden = np.flatnonzero(truth_of(data, clip)["face_visible"] == 0) + 1
    assert len(hidden) > 10
    assert not set(hidden) & set(crops_of(data, clip))
    assert len(labels_of(data, clip)) == len(times_of(data, clip))
    clip = contains["labelled_frames_without_jpg"]
    missing = set(range(1, len(labels_of(data, clip)) + 1)) - set(crops_of(data, clip))
    assert missing
    assert truth_of(data, clip)["face_visible"].all()
    for case in ("video_only", "video_only_test"):
        assert crops_of(data, contains[case]) == []
    assert labels_of(data, contains["video_only"])


def test_crops_are_112_pixels_wide_and_high(data):
    assert {path.name for path in data.glob("cropped*")} == {"cropped_aligned", "cropped_aligned_new_50_vids"}
    for path in data.glob("cropped*/*/00010.jpg"):
        assert cv2.imread(str(path)).shape == (112, 112, 3)


def test_annotation_files_have_the_planted_lines_sentinels_and_line_ends(data, contains):
    more, fewer = contains["one_label_line_more"], contains["label_lines_fewer"]
    assert len(labels_of(data, more)) == len(times_of(data, more)) + 1
    assert len(labels_of(data, fewer, "expr")) == len(times_of(data, fewer)) - 4
    assert labels_of(data, contains["sentinel_rows"]).count("-5,-5") >= 2
    assert labels_of(data, contains["sentinel_rows"], "expr").count("-1") >= 2
    for path in data.glob("annotations/*/*/*.txt"):
        raw = path.read_bytes()
        assert (raw.count(b"\r\n") == raw.count(b"\n")) is (path.stem == contains["crlf"])
    assert not list(data.glob(f"annotations/EXPR*/*/{contains['va_only']}.txt"))
    assert not list(data.glob(f"annotations/VA*/*/{contains['expr_only']}.txt"))
    assert not list(data.glob(f"annotations/AU*/*/{contains['va_only']}.txt"))


def test_annotation_files_are_the_organisers_format_and_hold_no_test_clip(data):
    test_clips = json.loads((data / "synth.json").read_text())["splits"]["test"]
    for path in data.glob("annotations/*/*/*.txt"):
        assert path.stem not in test_clips
        header, *rows = path.read_text().splitlines()
        if path.parent.parent.name.startswith("VA"):
            assert header == "valence,arousal"
            values = np.array([row.split(",") for row in rows], float)
            scored = values[(values != -5).all(axis=1)]
            assert np.abs(scored).max() <= 1
            assert max(len(cell) for row in rows for cell in row.split(",")) <= len("-0.123")
        elif path.parent.parent.name.startswith("AU"):
            assert header.split(",") == list(ACTION_UNITS)
            assert {len(row.split(",")) for row in rows} == {12}
            assert {cell for row in rows for cell in row.split(",")} <= {"-1", "0", "1"}
        else:
            assert header.split(",") == list(EXPRESSIONS)
            assert set(rows) <= {"-1", *map(str, range(8))}


def test_labels_are_the_truth_with_the_stated_noise(data):
    errors = []
    for path in data.glob("annotations/VA*/*/*.txt"):
        truth, rows = truth_of(data, path.stem), np.loadtxt(path, delimiter=",", skiprows=1)
        num = min(len(rows), len(truth["frame"]))
        error = rows[:num] - np.stack([truth["valence"], truth["arousal"]], 1)[:num]
        errors.append(error[rows[:num, 0] != -5])
    assert np.concatenate(errors).std() == pytest.approx(labels.VA_NOISE_SD, rel=0.35)


def test_templates_ask_for_every_frame_and_in_one_clip_for_one_row_more(data, contains):
    va = (data / "test_set/ABAW_VA_test_set_sample.txt").read_text().splitlines()
    expr = (data / "test_set/ABAW_EXPR_test_set_sample.txt").read_text().splitlines()
    assert va[0] == "image_location,valence,arousal"
    assert expr[0] == "image_location," + ",".join(EXPRESSIONS)
    assert all(row.endswith(".jpg,") for row in va[1:])
    assert all(row.endswith(".jpg,0") for row in expr[1:])
    longer = contains["template_one_row_more"]
    extra = {row[:-1] for row in va[1:]} - {row[:-2] for row in expr[1:]}
    assert extra == {f"{longer}/{len(times_of(data, longer)) + 1:05d}.jpg"}


# ---- action units, and s-Aff-Wild2's way of labelling


def test_action_units_are_the_truth_but_for_the_timing_of_onsets(data):
    wrong, near = [], []
    for path in data.glob("annotations/AU*/*/*.txt"):
        rows = np.loadtxt(path, delimiter=",", skiprows=1)
        truth = truth_of(data, path.stem)
        units = np.stack([truth[name] for name in ACTION_UNITS], 1)
        num = min(len(rows), len(units))
        labelled = (rows[:num] != -1).all(axis=1)
        assert (~labelled == ~truth["face_visible"][:num].astype(bool)).mean() > 0.8
        # a label that is off lies within 0.5 s, five standard deviations, of a change
        for unit, label in zip(units[:num].T, rows[:num].T, strict=True):
            changes = truth["time_s"][:num][np.flatnonzero(np.diff(unit, prepend=unit[0]))]
            gap = np.abs(truth["time_s"][:num, None] - changes).min(1, initial=np.inf)
            off = labelled & (label != unit)
            wrong.append(off[labelled])
            near.append(gap[off])
    assert 0.005 < np.concatenate(wrong).mean() < 0.15
    assert np.concatenate(near).max() < 0.5


def test_every_unit_is_marked_where_the_face_shows_it_and_the_rare_ones_are_rare():
    rest = FaceState(0.2, 0.0, 0.0, 1.0, 0.05)
    shown = {
        "AU1": FaceState(0.2, 0.9, 0.0, 1.0, 0.05),
        "AU2": FaceState(0.2, -0.9, 0.0, 1.0, 0.05),
        "AU4": FaceState(0.2, -0.6, 0.0, 1.0, 0.05),
        "AU6": FaceState(0.2, 0.0, 0.7, 1.0, 0.05),
        "AU7": FaceState(0.2, 0.0, 0.0, 0.7, 0.05),
        "AU10": FaceState(0.6, 0.0, 0.0, 1.0, 0.3),
        "AU12": FaceState(0.6, 0.0, 0.0, 1.0, 0.05),
        "AU15": FaceState(-0.97, 0.0, 0.0, 1.0, 0.05),
        "AU23": FaceState(-0.8, 0.0, 0.0, 1.0, 0.0),
        "AU24": FaceState(0.0, 0.0, 0.0, 1.0, 0.0),
        "AU25": FaceState(0.2, 0.0, 0.0, 1.0, 0.2),
        "AU26": FaceState(0.2, 0.0, 0.0, 1.0, 0.7),
    }
    active = units.measure_units([rest, *shown.values()]) > 0
    marked = [{name for name, is_active in zip(ACTION_UNITS, row, strict=True) if is_active} for row in active]
    assert marked[0] == {"AU25"}
    for name, active_units in zip(shown, marked[1:], strict=True):
        assert name in active_units
        assert active_units - {name} <= {"AU25", "AU12" if name == "AU10" else "AU4"}
    blink = units.measure_units([FaceState(0.2, 0.0, 0.0, 0.08, 0.05)])
    assert blink[0, ACTION_UNITS.index("AU7")] < 0


def test_units_are_unlabelled_where_no_face_is_seen_and_once_for_one_unit_alone(data, contains):
    clip = contains["au_unlabelled_where_turned_away"]
    hidden = truth_of(data, clip)["face_visible"] == 0
    assert [row == ",".join(["-1"] * 12) for row in labels_of(data, clip, "au")] == hidden.tolist()
    rows = [row.split(",").count("-1") for row in labels_of(data, contains["au_one_unit_unlabelled"], "au")]
    assert rows.count(1) == 1
    assert rows.count(12) >= 2


def multitask_rows(data, name):
    header, *rows = (data / f"multitask/{name}_set_annotations.txt").read_text().splitlines()
    assert header == "image,valence,arousal,expression," + ",".join(ACTION_UNITS)
    return [row.split(",") for row in rows]


def test_multitask_rows_are_images_with_the_single_tasks_labels_or_sentinels(data):
    kinds = set()
    for name in ("training", "validation"):
        for place, *cells in multitask_rows(data, name):
            assert list(data.glob(f"cropped_aligned*/{place}"))
            clip, image = place.split("/")
            i = int(image[:5]) - 1
            parts = {"va": ",".join(cells[:2]), "expr": cells[2], "au": ",".join(cells[3:])}
            missing = {task for task, text in parts.items() if text == labels.SENTINELS[task]}
            for task, text in parts.items():
                assert task in missing or text == labels_of(data, clip, task)[i]
            kinds.add((name, frozenset(missing)))
    of_training = {missing for name, missing in kinds if name == "training"}
    assert {frozenset(), frozenset({"expr"}), frozenset({"va"}), frozenset({"au"})} <= of_training


def test_multitask_training_repeats_rows_and_holds_a_validation_video(data, contains):
    places = [row[0] for row in multitask_rows(data, "training")]
    repeated = {place for place in places if places.count(place) > 1}
    assert len(repeated) == lists.NUM_REPEATED
    assert {place.split("/")[0] for place in repeated} == {contains["mtl_repeated_rows"]}
    leak = contains["mtl_trains_on_validation_video"]
    document = json.loads((data / "synth.json").read_text())
    assert leak in document["splits"]["validation"]
    for split, name in (("train", "training"), ("validation", "validation")):
        clips = list(dict.fromkeys(row[0].split("/")[0] for row in multitask_rows(data, name)))
        assert document["multitask_splits"][split] == clips
        assert (leak in clips) is (split == "train")


def test_the_multitask_test_list_and_template_name_the_same_images(data):
    header, *listed = (data / "test_set/MTL_Challenge_test_set_release.txt").read_text().splitlines()
    assert header == "image"
    sample = (data / "test_set/ABAW_MTL_test_set_sample.txt").read_text().splitlines()
    assert sample == ["image,valence,arousal,expression,aus", *(f"{place}," for place in listed)]
    steps = np.diff([int(place[-9:-4]) for place in listed if place.startswith("10-60-1280x720/")])
    assert steps.min() >= 5
    test_clips = json.loads((data / "synth.json").read_text())["splits"]["test"]
    assert {place.split("/")[0] for place in listed} == set(test_clips) - {"451"}


def test_labels_of_units_take_nothing_from_the_chances_of_the_others(tmp_path):
    """Valence, arousal and expression stay what they were before there were units."""
    scene, times_s = Scene("1", "train", sentinels=True), np.arange(60) / 25
    for name, tasks in (("with", ("va", "expr", "au")), ("without", ("va", "expr"))):
        rngs = tuple(np.random.default_rng(seed) for seed in ((0, 1) if name == "with" else (0, 2)))
        one = Scene(scene.video, scene.split, sentinels=True, tasks=tasks)
        affect, units = Affect(np.random.default_rng(3)), np.zeros((60, 12))
        labels.write_labels(tmp_path / name, one, "1", affect, units, np.ones(60, bool), times_s, rngs)
    before, after = hash_tree(tmp_path / "without"), hash_tree(tmp_path / "with")
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1 == 3


@pytest.mark.parametrize("cascade", ["alt2", "default"])
def test_haar_finds_the_face_of_video_only_clips_and_no_face_in_a_turned_head(data, contains, cascade):
    classifier = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_{cascade}.xml")
    found, false = [], []
    for case in ("video_only", "video_only_test", "turned_away"):
        clip = contains[case]
        visible = truth_of(data, clip)["face_visible"]
        for picture, is_visible in zip(media.pictures(video_of(data, clip)), visible, strict=True):
            grey = cv2.cvtColor(picture.rgb(), cv2.COLOR_RGB2GRAY)
            num = len(classifier.detectMultiScale(grey, 1.1, 4, minSize=(40, 40)))
            (found if is_visible else false).append(num > 0)
    assert np.mean(found) >= 0.95
    assert np.mean(false) <= 0.05


def test_moods_are_smooth_independent_and_visit_every_class_evenly():
    times_s = np.arange(0, 12, 0.04)
    affects = [Affect(np.random.default_rng(seed)) for seed in range(100)]
    valence, arousal = (
        np.stack([of(times_s) for of in each]) for each in zip(*((m.valence, m.arousal) for m in affects), strict=True)
    )
    classes = np.stack([affect.expression(times_s) for affect in affects])
    assert np.abs(valence).max() <= 1
    assert np.abs(arousal).max() <= 1
    assert max(np.abs(np.diff(valence)).max(), np.abs(np.diff(arousal)).max()) < 0.25
    assert abs(np.corrcoef(valence.ravel(), arousal.ravel())[0, 1]) < 0.1
    assert np.bincount(classes.ravel(), minlength=8).min() / classes.size > 0.08


def test_expressions_are_places_on_the_plane():
    angles = np.arange(7) * 2 * np.pi / 7
    names = [EXPRESSIONS[label] for label in expression_classes(0.8 * np.cos(angles), 0.8 * np.sin(angles))]
    assert names == ["Happiness", "Surprise", "Fear", "Anger", "Disgust", "Sadness", "Other"]
    assert expression_classes(np.array([0.1]), np.array([0.1])).tolist() == [0]


def test_about_the_stated_share_of_runs_is_mislabelled_and_each_as_a_whole():
    classes = np.repeat(np.arange(4000) % 8, 3)
    noisy = mislabel(classes, 0.04, np.random.default_rng(0)).reshape(-1, 3)
    assert (noisy == noisy[:, :1]).all()
    assert np.mean(noisy[:, 0] != classes[::3]) == pytest.approx(0.04, abs=0.01)


def test_persons_differ_and_an_upright_crop_does_not_follow_the_pose():
    persons = [draw_person(np.random.default_rng(seed)) for seed in range(20)]
    assert len(set(persons)) == 20
    head, crops = Head(persons[0]), []
    for pose in (Pose(128, 84, 0.88, 0.0), Pose(118, 90, 0.85, 0.08)):
        picture = draw_background(persons[0], (256, 192), [(persons[0], 128)])
        paste_head(picture, head.draw(FaceState(0.5, 0.5, 0.5, 1.0, 0.0)), head.alpha, pose)
        crops.append(cut_crop(picture, pose)[30:95, 25:87].astype(float))
    assert np.abs(crops[0] - crops[1]).mean() < 4


def test_a_head_outside_the_picture_leaves_it_as_it_was():
    person = draw_person(np.random.default_rng(0))
    picture = draw_background(person, (256, 192), [])
    before = picture.copy()
    paste_head(picture, Head(person).back, Head(person).alpha, Pose(900, 84, 0.9, 0.0))
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_an_excited_voice_is_louder_and_brighter(rate_hz):
    num, rng = 4 * VOICE_HZ, np.random.default_rng(0)
    voice = draw_voice(rng)
    loud, high = [], []
    for arousal in (-0.9, 0.9):
        sound = synthesize_voice(voice, np.full(num, arousal), np.zeros(num), rate_hz, np.random.default_rng(1))
        assert sound.dtype == np.float32
        assert len(sound) == 4 * rate_hz
        assert np.abs(sound).max() <= 1
        power = np.abs(np.fft.rfft(sound)) ** 2
        hertz = np.fft.rfftfreq(len(sound), 1 / rate_hz)
        loud.append(10 * np.log10(power.sum()))
        high.append(power[hertz > 1500].sum() / power.sum())
    assert 8 < loud[1] - loud[0] < 14
    assert high[1] > 1.5 * high[0]


def test_a_voice_at_another_rate_is_refused():
    with pytest.raises(ValueError, match="rate_hz is 8000, expected 16000 or 44100"):
        synthesize_voice(
            draw_voice(np.random.default_rng(0)), np.zeros(800), np.zeros(800), 8000, np.random.default_rng(0)
        )
