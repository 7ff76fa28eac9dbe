"""How several folders are compared, and the spread of their scores."""

import json
import shutil
from itertools import combinations

import numpy as np
import pytest

from abaw.evaluation.intervals import correct
from abaw.evaluation.labelled_tables import open_labelled_predictions
from abaw.evaluation.report import Comparison, comparison, score
from abaw.evaluation.wording import pairs_table
from tests.support.abaw.reports import BOX, KNOWN, POOLED, TRAIN, VALIDATION, report, scores_of, text_of, write_tables


def pair(tmp_path, data, noise=(1.0, 0.2), task="va", **words):
    return [
        write_tables(tmp_path / name, data, task, noise=each, seed=seed, **{**KNOWN, "seeds": [seed]}, **words)
        for seed, (name, each) in enumerate(zip("ab", noise, strict=True))
    ]


def test_a_better_folder_is_called_better_with_interval_and_p(tmp_path, data):
    a, b = pair(tmp_path, data)
    difference = scores_of(b, data)["scores"]["CCC"] - scores_of(a, data)["scores"]["CCC"]
    last = text_of(a, b, data=data).splitlines()[-1]
    assert last.startswith(f"{b} is better than {a}: va CCC {difference:+.4f} (95 % +")
    assert "p = 0.0" in last
    last = text_of(b, a, data=data).splitlines()[-1]
    assert last.startswith(f"{a} is worse than {b}: va CCC {-difference:+.4f} (95 % -")


def test_a_folder_is_neither_better_nor_worse_than_itself(tmp_path, data):
    a, _ = pair(tmp_path, data)
    copy = tmp_path / "copy"
    shutil.copytree(a, copy)
    last = text_of(a, copy, data=data).splitlines()[-1]
    assert f"{copy} is neither better nor worse than {a} beyond chance: va CCC +0.0000" in last
    assert "(95 % +0.0000 to +0.0000), p = 1.000" in last
    (found,) = json.loads(json.dumps(report(a, copy, data=data).to_dict()))["comparisons"]
    assert (found["difference"], found["interval"], found["p"]) == (0.0, [0.0, 0.0], 1.0)


def test_with_few_videos_the_smallest_possible_p_is_reported(tmp_path, data):
    a, b = pair(tmp_path, data, clips=VALIDATION[:4])
    last = text_of(a, b, data=data, split="held-out").splitlines()[-1]
    assert "is neither better nor worse" in last
    assert "with 3 videos p cannot be below 0.25" in last


def test_what_is_compared_is_post_processed(tmp_path, data):
    a = write_tables(tmp_path / "a", data, noise=1.0, **KNOWN)
    b = write_tables(tmp_path / "b", data, noise=1.0, post_processing=BOX, **KNOWN)
    sides = [open_labelled_predictions(each, "validation", "va", data) for each in (a, b)]
    assert comparison(*sides, 100, 0).difference == pytest.approx(scores_of(b, data)["gain"]["difference"])
    assert comparison(*sides, 100, 0).difference > 0


def test_a_folder_that_is_given_twice_is_refused(tmp_path, data):
    a, b = pair(tmp_path, data)
    with pytest.raises(ValueError, match=r"a folder is given twice: .*a, .*b, .*a; give each folder once"):
        score([a, b, tmp_path / "b/../a"], data=data, draws=100)


def test_a_p_that_rounds_to_nothing_is_printed_as_below_a_thousandth():
    one = Comparison("CCC", 0.1, None, 0.0004, 9, "better", task="va", first="a", second="b", corrected_p=0.0012)
    assert next(iter([*pairs_table([one])][1:])).split()[-3:] == ["<0.001", "0.001", "b"]


def test_folders_with_other_clips_are_not_compared(tmp_path, data):
    a = write_tables(tmp_path / "a", data, **KNOWN)
    b = write_tables(tmp_path / "b", data, clips=VALIDATION[:-1], **KNOWN)
    with pytest.raises(ValueError, match=r"a and .*b, va: only the first has clip '15': two are compared on the same"):
        score([a, b], data=data, split="held-out", draws=100)


def test_folders_with_other_tasks_are_not_set_side_by_side(tmp_path, data):
    write_tables(tmp_path / "a/va", data, **KNOWN)
    write_tables(tmp_path / "a/expr", data, "expr", **KNOWN)
    b = write_tables(tmp_path / "b", data, **KNOWN)
    with pytest.raises(ValueError, match=r"a has tables of expr, va, .*b of va: name a task that all of them have"):
        score([tmp_path / "a", b], data=data, draws=100)


def test_several_folders_are_given_as_mean_and_spread_with_their_seeds(tmp_path, data):
    folders = [
        write_tables(tmp_path / str(seed), data, seed=seed, **{**KNOWN, "seeds": [seed]} if seed else {})
        for seed in range(3)
    ]
    values = [scores_of(each, data)["scores"]["CCC"] for each in folders]
    last = text_of(*folders, data=data, task="va").splitlines()[-1]
    assert last == (
        f"va of 3 folders: CCC mean {np.mean(values):.4f}, {min(values):.4f} to {max(values):.4f} (seeds unknown, 1, 2)"
    )
    document = json.loads(json.dumps(report(*folders, data=data, task="va").to_dict()))
    assert [each["num_pairs"] for each in document["comparisons"]] == [3] * 3
    (found,) = document["spreads"]
    assert found["seeds"] == [None, [1], [2]]
    assert found["scores"]["CCC"]["mean"] == pytest.approx(np.mean(values))
    assert found["scores"].keys() == {"CCC", "CCC_valence", "CCC_arousal"}


def test_four_folders_are_compared_pair_by_pair_with_p_corrected_for_the_pairs(tmp_path, data):
    noise = {"good": 0.2, "same": 0.2, "poor": 0.8, "bad": 0.9}
    folders = [write_tables(tmp_path / name, data, noise=each, **KNOWN) for name, each in noise.items()]
    found = report(*folders, data=data, task="va", draws=1000)
    assert [(each.first, each.second) for each in found.comparisons] == list(combinations(map(str, folders), 2))
    assert [each.corrected_p for each in found.comparisons] == correct([each.p for each in found.comparisons])
    alone = report(folders[0], folders[2], data=data, task="va", draws=1000).comparisons[0]
    pair = found.comparisons[1]
    assert (pair.difference, pair.interval, pair.p) == (alone.difference, alone.interval, alone.p)
    assert alone.verdict == "worse"
    assert pair.corrected_p > 0.05 >= pair.p  # six videos: p is 2 / 2 ** 6 at least, six pairs make it .1875
    assert pair.verdict == "neither"
    title, _, *rows = str(found).splitlines()[-9:-1]
    assert title.startswith("va, differences of CCC of every two folders (6 videos, ")
    assert title.endswith("p corrected for 6 pairs, Holm):")
    assert [row.split()[:2] for row in rows] == [[each.first, each.second] for each in found.comparisons]
    assert rows[1].endswith(f"{pair.p:.3f}  {pair.corrected_p:9.3f}  neither beyond chance")


def test_a_spread_over_different_clips_says_so(tmp_path, data):
    folders = [
        write_tables(tmp_path / str(i), data, clips=clips, **POOLED)
        for i, clips in enumerate((VALIDATION[:3], VALIDATION[3:], TRAIN))
    ]
    found = report(*folders, data=data, split="held-out")
    assert "; not on the same clips, so no two are compared)" in str(found)
    assert found.comparisons == []


def test_every_line_about_several_folders_says_for_which_of_them_the_epoch_was_chosen_on_these_clips(tmp_path, data):
    chosen = {"epoch_chosen_on": list(VALIDATION)}
    a, b = pair(tmp_path, data, **chosen)
    c = write_tables(tmp_path / "c", data, seed=3, **KNOWN)
    said = "; epoch chosen on these clips"
    assert text_of(a, b, data=data).splitlines()[-1].endswith(f"){said}")
    assert text_of(a, c, data=data).splitlines()[-1].endswith(f"){said} for {a}")
    *_, ab, ac, bc, spread = text_of(a, b, c, data=data).splitlines()
    assert [line.partition("; ")[2] for line in (ab, ac, bc)] == [
        said[2:],
        f"{said[2:]} for {a}",
        f"{said[2:]} for {b}",
    ]
    assert spread.endswith(f"){said} for {a}, {b}")
    document = report(a, b, c, data=data).to_dict()
    assert document["comparisons"][0]["selection"] == said[2:]
    assert document["spreads"][0]["selection"] == f"{said[2:]} for {a}, {b}"
    assert "chosen" not in text_of(c, write_tables(tmp_path / "d", data, **KNOWN), data=data)
