"""What `abaw check` finds: every planted case of the synthetic data set, and what it does not plant."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from abaw.dataset.layout import SPLITS, open_dataset
from abaw.tasks import TASKS
from extract.dataset_check.check import check
from extract.synthetic.dataset import make_dataset

EXPR_HEADER = "image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"

EMI_HEADER = "Filename,Admiration,Amusement,Determination,Empathic Pain,Excitement,Joy"


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """A small synthetic data set and the content of its synth.json."""
    root = tmp_path_factory.mktemp("check") / "data"
    return root, make_dataset(root, num_clips=14, seconds=2.0, seed=3)


@pytest.fixture(scope="module")
def report(synthetic):
    return check(open_dataset(synthetic[0]))


def clips_with(report, code):
    return {finding.clip for finding in report.findings if finding.code == code}


def facts_of(report, clip):
    return next(facts for facts in report.clips if facts.clip == clip)


CASES = {  # "contains" in synth.json -> the finding about it
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
    "template_one_row_more": "template_rows",
    "mtl_trains_on_validation_video": "leak",
}


@pytest.mark.parametrize("case", CASES)
def test_every_planted_case_is_found(synthetic, report, case):
    assert synthetic[1]["contains"][case] in clips_with(report, CASES[case])


@pytest.mark.parametrize("code", ["variable_rate", "sound_late", "no_sound", "one_side_only", "template_rows", "leak"])
def test_a_case_planted_once_is_found_once(report, code):
    assert len(clips_with(report, code)) == 1


def test_nothing_is_found_that_is_not_there(report):
    absent = {
        "unreadable_media",
        "unreadable_labels",
        "no_media",
        "rotated",
        "no_files",
        "ambiguous",
        "no_video",
    }
    assert not absent & {finding.code for finding in report.findings}


def test_facts_are_those_of_the_files(synthetic, report):
    contains = synthetic[1]["contains"]
    assert facts_of(report, contains["fps_7_5"]).fps == pytest.approx(7.5, abs=0.01)
    assert facts_of(report, contains["fps_29_97"]).fps == pytest.approx(29.97, abs=0.01)
    one_more = facts_of(report, contains["one_label_line_more"])
    assert set(one_more.label_rows.values()) == {one_more.num_frames + 1}
    assert {"va", "expr", "au"} <= one_more.label_rows.keys()
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
    dataset, tasks = open_dataset(synthetic[0]), [TASKS.build(name) for name in TASKS.names()]
    expected = {(task.name, split): len(task.clips(dataset, split)) for task in tasks for split in SPLITS}
    assert {key: split.num_clips for key, split in by_name.items()} == {
        key: num for key, num in expected.items() if num
    }
    assert [by_name["va", split].num_clips for split in SPLITS] == [6, 3, 4]
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
    assert train.num_scored < train.num_rows  # few frames have an image, rows end with the last one
    assert train.statistics["Surprise"] == sum(row[3] == "6" for row in rows)
    valence = [float(row[1]) for row in rows if row[1] != "-5"]
    assert train.statistics["valence"]["mean"] == pytest.approx(np.mean(valence), abs=1e-6)
    units = [row[4:] for row in rows if row[4] != "-1"]
    assert train.statistics["AU12"] == pytest.approx(np.mean([row[6] == "1" for row in units]), abs=1e-6)


def test_rows_that_repeat_an_image_are_counted_and_its_template_asks_for_few_frames(report):
    (repeated,) = [finding for finding in report.findings if finding.code == "repeated_rows"]
    assert "training_set_annotations.txt: 3 rows repeat the clip and frame of an earlier row" in repeated.message
    assert not any("ABAW_MTL" in finding.message for finding in report.findings)


def test_a_report_is_json_and_text(synthetic, report):
    document = json.loads(json.dumps(asdict(report), allow_nan=False))
    assert [split["task"] for split in document["splits"]] == [split.task for split in report.splits]
    text = str(report)
    assert text.startswith(
        f"{synthetic[0]}: 14 clips, 12 media, image roots: cropped_aligned, cropped_aligned_new_50_vids"
    )
    assert f"{len(report.findings)} findings:" in text
    assert "  template_rows (1): abaw submit writes the template's rows" in text
    assert "and 2 more" in text
    assert max(map(len, text.splitlines())) < 200


def test_without_listing_images_only_what_needs_them_is_missing(synthetic, report):
    quick = check(open_dataset(synthetic[0]), images_listed=False)
    assert not clips_with(quick, "labelled_without_image")
    assert clips_with(quick, "sound_late") == clips_with(report, "sound_late")
    assert all(facts.num_images is None for facts in quick.clips)


def test_progress_is_reported_before_each_clip(synthetic):
    calls = []
    check(open_dataset(synthetic[0]), images_listed=False, progress=lambda *each: calls.append(each))
    assert [done for _, done, _ in calls] == list(range(14))
    assert {total for _, _, total in calls} == {14}


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
    return {each.clip: each.message for each in check(open_dataset(root)).findings if each.code == code}


def test_a_broken_label_file_hides_no_other(broken):
    path = broken / "annotations" / "VA_Estimation_Challenge" / "Train_Set" / "video12.txt"
    path.write_text("valence,arousal\n0,0\n0,1.5\n")
    report = check(open_dataset(broken))
    (finding,) = [each for each in report.findings if each.code == "unreadable_labels"]
    assert (finding.clip, finding.message.split(": ")[0]) == ("video12", f"{path}:3")
    train = next(split for split in report.splits if (split.task, split.split) == ("va", "train"))
    assert train.num_clips == 6
    assert train.num_scored > 100


def test_a_broken_list_of_a_whole_split_is_a_finding_with_its_line(synthetic, broken):
    shutil.copytree(synthetic[0] / "multitask", broken / "multitask")
    path = broken / "multitask" / "training_set_annotations.txt"
    path.write_text(path.read_text() + "107/00001.jpg,2,0\n")
    report = check(open_dataset(broken))
    (finding,) = [each for each in report.findings if each.code == "unreadable_labels"]
    assert (finding.clip, finding.message.split(": ")[0]) == (None, f"{path}:{len(path.read_text().splitlines())}")
    assert [split.num_scored for split in report.splits if (split.task, split.split) == ("mtl", "train")] == [0]


def test_templates_and_labels_of_whole_videos_are_not_compared_with_frames(broken):
    (broken / "train_split.csv").write_text(f"{EMI_HEADER}\nvideo49,0,0,0,0,0,1\n")
    (broken / "test_set" / "EMI_sample.txt").write_text(f"{EMI_HEADER}\nvideo49,0,0,0,0,0,0\nvideo50,0,0,0,0,0,0\n")
    report = check(open_dataset(broken))
    assert "emi" not in facts_of(report, "video49").label_rows
    (split,) = [split for split in report.splits if split.task == "emi"]
    assert (split.num_clips, split.num_rows, split.statistics["Joy"]["mean"]) == (1, 1, 1.0)
    assert not any("EMI_sample" in finding.message for finding in report.findings if finding.code == "template_rows")
    assert any("EMI_sample" in finding.message for finding in report.findings if finding.clip == "video50")


def test_media_that_cannot_be_read_are_listed_with_the_reason(broken):
    (broken / "videos" / "video49.mp4").write_bytes(b"")
    (broken / "videos" / "107.mp4").write_text("a letter")
    words = found(broken, "unreadable_media")
    assert set(words) == {"video49", "107"}
    assert "empty" in words["video49"]


def test_names_without_files_are_found(broken):
    words = found(broken, "no_files")
    assert "451" in words
    assert "video49" not in words


def test_images_without_a_video_have_no_times(broken):
    folder = broken / "crops" / "451"
    folder.mkdir(parents=True)
    (folder / "00003.jpg").touch()
    (folder / "00001.jpg").touch()
    report = check(open_dataset(broken))
    assert clips_with(report, "no_media") == {"451"}
    facts = facts_of(report, "451")
    assert (facts.num_images, facts.last_image, facts.num_gaps, facts.num_missing) == (2, 3, 1, 1)


def test_images_past_the_end_of_the_video_are_found(broken):
    folder = broken / "crops" / "video49"
    folder.mkdir(parents=True)
    (folder / "00099.jpg").touch()
    assert "last image 99" in found(broken, "images_after_end")["video49"]


def test_two_folders_of_one_challenge_are_a_finding_not_an_error(broken):
    labels = broken / "annotations"
    shutil.copytree(labels / "EXPR_Recognition_Challenge", labels / "EXPR_Classification_Challenge")
    report = check(open_dataset(broken))
    assert any("'annotations'" in finding.message for finding in report.findings if finding.code == "ambiguous")
    read = {split.task for split in report.splits}
    assert "expr" not in read
    assert {"va", "au", "mtl"} <= read


def test_a_template_with_an_unknown_clip_or_header_is_found(broken):
    (broken / "test_set" / "x").mkdir()
    (broken / "test_set" / "x" / "EXPR_example.txt").write_text(f"{EXPR_HEADER}\nnobody/00001.jpg,0\n")
    (broken / "test_set" / "AU_sample.txt").write_text("image_location,AU1\na/00001.jpg,0\n")
    assert "EXPR_example.txt asks for 1 rows" in found(broken, "unknown_clip_in_template")["nobody"]
    assert "is not a known header" in found(broken, "unreadable_template")[None]


def test_findings_about_real_files_are_right(media):
    report = check(open_dataset(media / "nasty"))
    assert clips_with(report, "rotated") == {"rotate_flag", "video_90"}
    assert clips_with(report, "unreadable_media") == {"text_named", "truncated_moov_missing", "zero_length"}
    assert "no_audio_track" in clips_with(report, "no_sound")
    assert "audio_starts_late_0.8s" in clips_with(report, "sound_late")


def test_a_template_is_recognised_by_its_first_line_whatever_its_name(broken):
    """The very name that a recipe used and `abaw check` overlooked."""
    from abaw.challenge.template import find_templates

    path = broken / "predictions_wanted" / "va_rows.txt"
    path.parent.mkdir()
    path.write_text("image_location,valence,arousal\nunknown_clip/00001.jpg,\n")
    dataset = open_dataset(broken)
    assert path in find_templates(dataset, [TASKS.build("va")])  # as a recipe does
    assert "va_rows.txt asks for 1 rows" in found(broken, "unknown_clip_in_template")["unknown_clip"]


def test_labels_and_test_lists_are_no_templates(synthetic, report):
    from abaw.challenge.template import find_templates

    names = {path.name for path in find_templates(open_dataset(synthetic[0]))}
    assert names == {f"ABAW_{task}_test_set_sample.txt" for task in ("VA", "EXPR", "AU", "MTL")}
    assert not clips_with(report, "unreadable_template")


def test_two_tasks_that_read_one_broken_file_give_one_finding(broken, monkeypatch):
    (broken / "annotations" / "VA_Estimation_Challenge" / "Train_Set" / "video12.txt").write_text(
        "valence,arousal\nx\n"
    )
    monkeypatch.setattr(type(TASKS), "names", lambda self: ["va", "va"])
    assert len([each for each in check(open_dataset(broken)).findings if each.code == "unreadable_labels"]) == 1
