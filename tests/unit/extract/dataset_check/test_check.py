"""What `abaw check` finds: every planted case of the synthetic data set, and the traps it does not plant."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from extract.dataset_check import check as checking
from extract.dataset_check.rules import RULES, ClipFacts, findings
from extract.synthetic.dataset import make_dataset

EXPR_HEADER = "image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"

EMI_HEADER = "Filename,Admiration,Amusement,Determination,Empathic Pain,Excitement,Joy"


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """A small synthetic data set and what it says it contains."""
    root = tmp_path_factory.mktemp("check") / "data"
    return root, make_dataset(root, num_clips=14, seconds=2.0, seed=3)


@pytest.fixture(scope="module")
def report(synthetic):
    return checking.check(open_dataset(synthetic[0]))


def clips_with(report, code):
    return {finding.clip for finding in report.findings if finding.code == code}


def facts_of(report, clip):
    return next(facts for facts in report.clips if facts.clip == clip)


CASES = {  # what synth.json says the data set contains -> the finding that tells it
    "two_subjects_left": "two_subjects",
    "two_subjects_right": "two_subjects",
    "base_of_right_only": "one_side_only",
    "labelled_frames_without_jpg": "labelled_without_image",
    "misleading_fps_in_name": "fps_in_name",
    "variable_fps": "variable_rate",
    "late_sound": "sound_late",
    "no_sound": "no_sound",
    "video_only": "no_images",
    "video_only_test": "no_images",
    "one_label_line_more": "label_rows",
    "label_lines_fewer": "label_rows",
    "template_one_row_more": "sample_rows",
    "mtl_trains_on_validation_video": "two_sides",
}


@pytest.mark.parametrize("case", CASES)
def test_every_planted_case_is_found(synthetic, report, case):
    assert synthetic[1]["contains"][case] in clips_with(report, CASES[case])


@pytest.mark.parametrize(
    "code", ["variable_rate", "sound_late", "no_sound", "one_side_only", "sample_rows", "two_sides"]
)
def test_a_case_planted_once_is_found_once(report, code):
    assert len(clips_with(report, code)) == 1


def test_nothing_is_found_that_is_not_there(report):
    absent = {
        "unreadable_media",
        "unreadable_labels",
        "no_media",
        "rotated",
        "nothing_to_see",
        "ambiguous",
        "no_picture",
    }
    assert not absent & {finding.code for finding in report.findings}


def test_facts_are_those_of_the_files(synthetic, report):
    contains = synthetic[1]["contains"]
    assert facts_of(report, contains["fps_7_5"]).fps == pytest.approx(7.5, abs=0.01)
    assert facts_of(report, contains["fps_29_97"]).fps == pytest.approx(29.97, abs=0.01)
    one_more = facts_of(report, contains["one_label_line_more"])
    assert one_more.label_rows == dict.fromkeys(("va", "expr", "au"), one_more.num_frames + 1)
    turned_away = facts_of(report, contains["turned_away"])
    folder = synthetic[0] / "cropped_aligned" / contains["turned_away"]
    numbers = sorted(int(path.stem) for path in folder.iterdir())
    assert (turned_away.num_images, turned_away.last_image) == (len(numbers), numbers[-1])
    assert turned_away.num_missing == numbers[-1] - len(numbers) > 0
    assert turned_away.num_gaps > 1
    rows = (synthetic[0] / "annotations/VA_Estimation_Challenge/Validation_Set/video49.txt").read_text().split()[1:]
    without = {i for i, row in enumerate(rows, start=1) if "-5" not in row.split(",")} - set(numbers)
    assert turned_away.scored_without_image["va"] == len(without)


def test_splits_are_counted_with_their_statistics(synthetic, report):
    by_name = {(split.task, split.split): split for split in report.splits}
    assert {key: split.num_clips for key, split in by_name.items()} == {
        **{(task, split): 6 for task in ("va", "expr") for split in ("train",)},
        ("au", "train"): 5,
        **{(task, "validation"): 3 for task in ("va", "expr", "au")},
        **{(task, "test"): 4 for task in ("va", "expr", "au")},
        **{("mtl", split): len(clips) for split, clips in synthetic[1]["multitask_splits"].items()},
    }
    va, expr = by_name["va", "train"], by_name["expr", "train"]
    rows = [
        line
        for path in (synthetic[0] / "annotations/VA_Estimation_Challenge/Train_Set").iterdir()
        for line in path.read_text().splitlines()[1:]
    ]
    valence = [float(row.split(",")[0]) for row in rows if "-5" not in row.split(",")]
    assert (va.num_rows, va.num_scored) == (len(rows), len(valence))
    assert va.statistics["valence"]["mean"] == pytest.approx(np.mean(valence), abs=1e-6)
    assert va.statistics["valence"]["max"] == pytest.approx(max(valence), abs=1e-6)
    assert sum(expr.statistics.values()) == expr.num_scored < expr.num_rows
    assert next(iter(expr.statistics)) == "Neutral"
    assert by_name["va", "test"].num_rows is None
    units = [
        line.split(",")
        for path in (synthetic[0] / "annotations/AU_Detection_Challenge/Train_Set").iterdir()
        for line in path.read_text().splitlines()[1:]
        if "-1" not in line.split(",")
    ]
    share = np.mean([row[-2] == "1" for row in units])
    assert by_name["au", "train"].statistics["AU25"] == pytest.approx(share, abs=1e-6)


def test_statistics_of_several_tasks_count_each_part_where_it_is_labelled(synthetic, report):
    (train,) = [split for split in report.splits if (split.task, split.split) == ("mtl", "train")]
    text = (synthetic[0] / "multitask/training_set_annotations.txt").read_text()
    rows = [row.split(",") for row in dict.fromkeys(text.splitlines()[1:])]
    assert train.num_scored == sum(row[1] != "-5" or row[3] != "-1" or row[4] != "-1" for row in rows)
    assert train.num_scored < train.num_rows  # images are few, rows go to the last of each clip
    assert train.statistics["Surprise"] == sum(row[3] == "6" for row in rows)
    valence = [float(row[1]) for row in rows if row[1] != "-5"]
    assert train.statistics["valence"]["mean"] == pytest.approx(np.mean(valence), abs=1e-6)
    units = [row[4:] for row in rows if row[4] != "-1"]
    assert train.statistics["AU12"] == pytest.approx(np.mean([row[6] == "1" for row in units]), abs=1e-6)


def test_rows_that_repeat_an_image_are_counted_and_its_sample_asks_for_few_frames(report):
    (repeated,) = [finding for finding in report.findings if finding.code == "repeated_rows"]
    assert "training_set_annotations.txt: 3 rows name what an earlier row names" in repeated.words
    assert not any("ABAW_MTL" in finding.words for finding in report.findings)


def test_a_report_is_json_and_text(synthetic, report):
    document = json.loads(json.dumps(asdict(report), allow_nan=False))
    assert document["splits"][0]["task"] == "au"
    text = checking.render(report)
    assert text.startswith(
        f"{synthetic[0]}: 14 clips, 12 media, image roots: cropped_aligned, cropped_aligned_new_50_vids"
    )
    assert f"{len(report.findings)} findings:" in text
    assert "  sample_rows (1): rows follow the sample" in text
    assert "and 2 more" in text
    assert max(map(len, text.splitlines())) < 200


def test_without_listing_images_only_what_needs_them_is_missing(synthetic, report):
    quick = checking.check(open_dataset(synthetic[0]), images_listed=False)
    assert not clips_with(quick, "labelled_without_image")
    assert clips_with(quick, "sound_late") == clips_with(report, "sound_late")
    assert all(facts.num_images is None for facts in quick.clips)


def test_progress_is_told_before_each_clip(synthetic):
    told = []
    checking.check(open_dataset(synthetic[0]), images_listed=False, progress=lambda *each: told.append(each))
    assert [done for _, done, _ in told] == list(range(14))
    assert {total for _, _, total in told} == {14}


# ---- broken on purpose


@pytest.fixture
def broken(synthetic, tmp_path):
    """The labels and test lists of the synthetic data set, with two of its videos."""
    for folder in ("annotations", "test_set"):
        shutil.copytree(synthetic[0] / folder, tmp_path / folder)
    (tmp_path / "videos").mkdir()
    for name in ("video49.mp4", "107.mp4"):
        shutil.copy(synthetic[0] / "videos" / "batch1" / name, tmp_path / "videos")
    return tmp_path


def found(root, code):
    return {each.clip: each.words for each in checking.check(open_dataset(root)).findings if each.code == code}


def test_a_broken_label_file_hides_no_other(broken):
    path = broken / "annotations" / "VA_Estimation_Challenge" / "Train_Set" / "video12.txt"
    path.write_text("valence,arousal\n0,0\n0,1.5\n")
    report = checking.check(open_dataset(broken))
    (fault,) = [each for each in report.findings if each.code == "unreadable_labels"]
    assert (fault.clip, fault.words.split(": ")[0]) == ("video12", f"{path}:3")
    train = next(split for split in report.splits if (split.task, split.split) == ("va", "train"))
    assert train.num_clips == 6
    assert train.num_scored > 100


def test_a_broken_list_of_a_whole_split_is_told_with_its_line(synthetic, broken):
    shutil.copytree(synthetic[0] / "multitask", broken / "multitask")
    path = broken / "multitask" / "training_set_annotations.txt"
    path.write_text(path.read_text() + "107/00001.jpg,2,0\n")
    report = checking.check(open_dataset(broken))
    (fault,) = [each for each in report.findings if each.code == "unreadable_labels"]
    assert (fault.clip, fault.words.split(": ")[0]) == (None, f"{path}:{len(path.read_text().splitlines())}")
    assert [split.num_scored for split in report.splits if (split.task, split.split) == ("mtl", "train")] == [0]


def test_a_sample_of_whole_videos_and_labels_of_them_are_not_compared_with_frames(broken):
    (broken / "train_split.csv").write_text(f"{EMI_HEADER}\nvideo49,0,0,0,0,0,1\n")
    (broken / "test_set" / "EMI_sample.txt").write_text(f"{EMI_HEADER}\nvideo49,0,0,0,0,0,0\nvideo50,0,0,0,0,0,0\n")
    report = checking.check(open_dataset(broken))
    assert "emi" not in facts_of(report, "video49").label_rows
    (split,) = [split for split in report.splits if split.task == "emi"]
    assert (split.num_clips, split.num_rows, split.statistics["Joy"]["mean"]) == (1, 1, 1.0)
    assert not any("EMI_sample" in finding.words for finding in report.findings if finding.code == "sample_rows")
    assert any("EMI_sample" in finding.words for finding in report.findings if finding.clip == "video50")


def test_media_that_cannot_be_read_are_listed_with_the_reason(broken):
    (broken / "videos" / "video49.mp4").write_bytes(b"")
    (broken / "videos" / "107.mp4").write_text("a letter")
    words = found(broken, "unreadable_media")
    assert set(words) == {"video49", "107"}
    assert "empty" in words["video49"]


def test_names_with_nothing_behind_them_are_found(broken):
    words = found(broken, "nothing_to_see")
    assert "451" in words
    assert "video49" not in words


def test_images_without_a_video_have_no_times(broken):
    folder = broken / "crops" / "451"
    folder.mkdir(parents=True)
    (folder / "00003.jpg").touch()
    (folder / "00001.jpg").touch()
    report = checking.check(open_dataset(broken))
    assert clips_with(report, "no_media") == {"451"}
    facts = facts_of(report, "451")
    assert (facts.num_images, facts.last_image, facts.num_gaps, facts.num_missing) == (2, 3, 1, 1)


def test_images_past_the_end_of_the_video_are_found(broken):
    folder = broken / "crops" / "video49"
    folder.mkdir(parents=True)
    (folder / "00099.jpg").touch()
    assert "last image 99" in found(broken, "images_beyond")["video49"]


def test_two_folders_of_one_challenge_are_a_finding_not_an_end(broken):
    labels = broken / "annotations"
    shutil.copytree(labels / "EXPR_Recognition_Challenge", labels / "EXPR_Classification_Challenge")
    report = checking.check(open_dataset(broken))
    assert any("'annotations'" in finding.words for finding in report.findings if finding.code == "ambiguous")
    assert {split.task for split in report.splits} == {"va", "au", "mtl"}


def test_a_sample_of_an_unknown_clip_or_task_is_found(broken):
    (broken / "test_set" / "x").mkdir()
    (broken / "test_set" / "x" / "EXPR_example.txt").write_text(f"{EXPR_HEADER}\nnobody/00001.jpg,0\n")
    (broken / "test_set" / "AU_sample.txt").write_text("image_location,AU1\na/00001.jpg,0\n")
    assert "EXPR_example.txt asks for 1 rows" in found(broken, "unknown_in_sample")["nobody"]
    assert "no known header" in found(broken, "unreadable_sample")[None]


def test_real_files_are_told_as_they_are(media):
    report = checking.check(open_dataset(media / "nasty"))
    assert clips_with(report, "rotated") == {"rotate_flag", "video_90"}
    assert clips_with(report, "unreadable_media") == {"text_named", "truncated_moov_missing", "zero_length"}
    assert "no_audio_track" in clips_with(report, "no_sound")
    assert "audio_starts_late_0.8s" in clips_with(report, "sound_late")


# ---- rules, where they begin


def codes(**facts):
    return {finding.code for finding in findings(ClipFacts("12-24-1920x1080", **facts))}


VIDEO = {"media": "v.mp4", "images": "c", "has_video": True, "has_sound": True, "fps": 24.0, "num_frames": 100}

NEAR = {  # facts that are still fine, facts that are not
    "fps_in_name": ({"fps": 23.976}, {"fps": 23.4}),
    "sound_late": ({"sound_late_s": 0.5}, {"sound_late_s": 0.51}),
    "sound_short": ({"sound_short_s": 0.5}, {"sound_short_s": 0.51}),
    "label_rows": ({"label_rows": {"va": 100}}, {"label_rows": {"va": 99}}),
    "images_beyond": ({"last_image": 100}, {"last_image": 101}),
    "labelled_without_image": ({"scored_without_image": {"va": 0}}, {"scored_without_image": {"va": 1}}),
    "variable_rate": ({"is_variable": False}, {"is_variable": True}),
    "rotated": ({"rotation_deg": 0}, {"rotation_deg": -90}),
    "no_sound": ({}, {"has_sound": False}),
    "no_picture": ({}, {"has_video": False, "num_frames": None}),
    "no_images": ({}, {"images": None}),
    "no_media": ({}, {"media": None, "has_video": False, "has_sound": False}),
    "unreadable_media": ({}, {"media_error": "it is empty", "has_video": False, "has_sound": False}),
    "nothing_to_see": ({}, {"media": None, "images": None, "has_video": False, "has_sound": False}),
    "two_subjects": ({"is_base": True}, {"mates": ("a_left", "a_right"), "is_base": False}),
    "one_side_only": ({"mates": ("12-24_right",)}, {"mates": ("12-24_right",), "is_base": True}),
}


@pytest.mark.parametrize("code", RULES)
def test_a_rule_begins_where_it_should(code):
    fine, wrong = NEAR[code]
    assert code not in codes(**(VIDEO | fine))
    assert code in codes(**(VIDEO | wrong))


def test_labels_of_a_clip_without_a_video_may_end_after_its_last_image_only():
    images = {"images": "c", "last_image": 90}
    assert "label_rows" not in codes(**images, label_rows={"va": 95})
    assert "label_rows" in codes(**images, label_rows={"va": 89})
