"""The submission formats of every edition and task."""

import numpy as np
import pytest

from abaw.challenge import submission
from abaw.challenge.verification import verify
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from tests.support.abaw.submissions import lines_of, predicted, template

EXPR, CE, MTL = (TASKS.build(name) for name in ("expr", "ce", "mtl"))
EMI, AH = TASKS.build("emi"), TASKS.build("ah")


def test_compound_expressions_are_made_of_expressions_where_there_are_none(tmp_path):
    sample = template(tmp_path, ["01/00001.jpg", "01/00002.jpg", "01/00003.jpg"], task=CE, value="0")
    expressions = np.full((3, 8), 0.01)
    expressions[0, [3, 6]], expressions[1, [2, 6]], expressions[2, [5, 1]] = 0.47, 0.47, 0.47
    predicted(tmp_path / "p", EXPR, **{"01": expressions})
    assert lines_of(tmp_path, sample)[1:] == ["01/00001.jpg,0", "01/00002.jpg,3", "01/00003.jpg,6"]
    summary = submission.submit(tmp_path / "p" / "expr", sample, tmp_path / "out.txt")
    assert "made from expr predictions, as there are none of ce" in str(summary).splitlines()
    predicted(tmp_path / "p", CE, **{"01": np.eye(7)[[2, 2, 2]]})
    assert lines_of(tmp_path, sample)[1] == "01/00001.jpg,2"  # its own are better
    assert "made of" not in str(submission.submit(tmp_path / "p", sample, tmp_path / "out.txt"))


def test_an_expression_post_processing_comes_before_compounds_are_made(tmp_path):
    sample = template(tmp_path, ["01/00001.jpg"], task=CE)
    expressions = np.full((1, 8), 0.01)
    expressions[0, [3, 6, 5]] = 0.31, 0.31, 0.30  # Fear, Surprise; Sadness near
    bias = [0.0] * 5 + [1.0, 0.0, 0.0]
    predicted(tmp_path / "p", EXPR, {"post_processing": {"bias": bias}}, **{"01": expressions})
    assert lines_of(tmp_path, sample)[1:] == ["01/00001.jpg,2"]  # Sadly Surprised


def test_a_list_of_images_in_mtl_may_repeat_one_and_skip_others(tmp_path):
    rows = ["video45_1/00001.jpg", "video45_1/00007.jpg", "video45_1/00001.jpg"]
    sample = template(tmp_path, rows, task=MTL)
    values = np.concatenate([np.linspace(0, 0.7, 8)[:, None].repeat(2, 1), np.eye(8), np.zeros((8, 12))], axis=1)
    values[6, -1] = 0.9
    predicted(tmp_path / "p", MTL, video45_1=values)
    bits = ",".join(["0"] * 12)
    assert lines_of(tmp_path, sample) == [
        "image,valence,arousal,expression,aus",
        f"video45_1/00001.jpg,0.000000,0.000000,0,{bits}",
        f"video45_1/00007.jpg,0.600000,0.600000,6,{bits[:-1]}1",
        f"video45_1/00001.jpg,0.000000,0.000000,0,{bits}",
    ]


def test_mimicry_has_one_row_a_video_whatever_its_suffix(tmp_path):
    sample = tmp_path / "sample.txt"
    sample.write_text(f"{EMI.header}\n00012.mp4,,,,,,\n7,,,,,,\n")
    predicted(tmp_path / "p", EMI, **{"00012": [[0.25] * 6, [0.25] * 6, [0.25] * 6], "00007": [[0.5] * 6]})
    assert lines_of(tmp_path, sample) == [EMI.header, "00012.mp4" + ",0.250000" * 6, "7" + ",0.500000" * 6]
    summary = submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    assert (summary.num_rows, summary.num_observed, summary.num_beyond) == (2, 2, 0)
    for frames, num in (([False, True, False], 2), ([False] * 3, 1)):  # a clip is observed where a frame of it is
        table = Table(np.arange(1, 4), np.arange(3.0), np.array(frames), np.full((3, 6), 0.25, np.float32), EMI.columns)
        predictions.write_table(tmp_path / "p" / "emi", "00012", table, EMI)
        predictions.write_metadata(tmp_path / "p" / "emi", {"task": "emi"})
        assert submission.submit(tmp_path / "p", sample, tmp_path / "out.txt", max_filled=1).num_observed == num


def test_videos_that_a_program_renamed_from_00017_to_17_are_found_and_named_in_the_summary(tmp_path):
    predicted(tmp_path / "p", EMI, **{"00012": [[0.25] * 6], "00007": [[0.5] * 6]})
    samples = {name: tmp_path / f"{name}.csv" for name in ("digits", "whole", "decimal")}
    for sample, rows in zip(samples.values(), (("00012", "00007"), ("12", "7"), ("12.0", "7.0")), strict=True):
        sample.write_text(f"{EMI.header}\n" + "".join(f"{row},,,,,,\n" for row in rows))
    for name, stem in {"whole": "12", "decimal": "12.0"}.items():
        assert lines_of(tmp_path, samples[name])[1] == stem + ",0.250000" * 6  # as in the template
        assert f"such as '{stem}' for '00012'" in str(submission.submit(tmp_path / "p", samples[name], tmp_path / name))
        (fault, _) = verify(tmp_path / name, samples["digits"])
        assert f"'{stem}' is not written as in the template, expected '00012'" in str(fault)
    assert "leading zeros" not in str(submission.submit(tmp_path / "p", samples["digits"], tmp_path / "out.txt"))


def test_ambivalence_by_frames_counts_them_from_0(tmp_path):
    sample = tmp_path / "trial-1.txt"
    rows = [f"82694/Visite_1/82694_Q 1.mp4/frame-{frame}.jpg" for frame in range(3)]
    sample.write_text("".join(f"{row},0\n" for row in rows))
    predicted(tmp_path / "p", AH, **{"82694_Q 1": [[0.9], [0.2]]})
    assert lines_of(tmp_path, sample) == [f"{rows[0]},1", f"{rows[1]},0", f"{rows[2]},0"]
    assert submission.submit(tmp_path / "p", sample, tmp_path / "out.txt").num_beyond == 1


@pytest.mark.parametrize("value", [",0.5,0.5,0", ",1e-05,0.99999,1"])
def test_ambivalence_by_videos_gives_two_probabilities_that_add_up_to_1_and_a_label(tmp_path, value):
    sample = tmp_path / "trial-0.txt"
    sample.write_text(f"v1{value}\n82694/v2.mp4{value}\n")
    predicted(tmp_path / "p", AH, v1=[[0.123457]], v2=[[0.7]])
    found = lines_of(tmp_path, sample)
    assert found == ["v1,0.876543,0.123457,0", "82694/v2.mp4,0.300000,0.700000,1"]
    assert all(float(row.split(",")[1]) + float(row.split(",")[2]) == 1.0 for row in found)


def test_ambivalence_by_videos_gives_the_label_alone_where_the_template_does(tmp_path):
    sample = tmp_path / "trial-0.txt"
    sample.write_text("v1,1\nv2,0\n")
    predicted(tmp_path / "p", AH, v1=[[0.1]], v2=[[0.7]])
    assert lines_of(tmp_path, sample) == ["v1,0", "v2,1"]


def test_a_bare_list_of_videos_needs_its_task_named(tmp_path):
    sample = tmp_path / "list.txt"
    sample.write_text("v1\nv2\n")
    predicted(tmp_path / "p", AH, v1=[[0.1]], v2=[[0.7]])
    with pytest.raises(ValueError, match="list.txt:1: 'v1' is not a known header; known are ah: no header"):
        submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    assert lines_of(tmp_path, sample, task="ah") == ["v1,0.900000,0.100000,0", "v2,0.300000,0.700000,1"]
    with pytest.raises(ValueError, match="list.txt is a template for ah, not va: name its task, or give another"):
        submission.submit(tmp_path / "p", sample, tmp_path / "out.txt", task="va")


def test_a_list_of_media_files_is_known_by_their_suffix(tmp_path):
    sample = tmp_path / "list.txt"
    sample.write_text("82694/v1.mp4,0,a transcript, with commas\n82694/v2.mp4,1,\n")
    predicted(tmp_path / "p", AH, v1=[[0.1]], v2=[[0.7]])
    assert lines_of(tmp_path, sample)[0] == "82694/v1.mp4,0.900000,0.100000,0"
