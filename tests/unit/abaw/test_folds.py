"""Folds and leaks: whole videos, on one side only, in even parts."""

import numpy as np
import pytest

from abaw.configs.sections import FoldsConfig
from abaw.dataset.annotations import Labels, TimedLabels
from abaw.dataset.manifest import WHOLE_FILE_S
from abaw.dataset.names import video_of
from abaw.dataset.seen import Seen
from abaw.folds import check_apart, groups_of, part_groups, split_inner, split_labels
from abaw.tasks import TASKS

EXPR, VA, MTL = TASKS.build("expr"), TASKS.build("va"), TASKS.build("mtl")


def expressions(*classes):
    """One frame of each class; None is an unscored one."""
    values = np.array([[0 if each is None else each] for each in classes], np.float32)
    return Labels(values, np.array([each is not None for each in classes]))


def values(num=3):
    return Labels(np.linspace(-1, 1, 2 * num, dtype=np.float32).reshape(-1, 2), np.ones(num, bool))


def multitask(num=3):
    return Labels(np.zeros((num, len(MTL.goals)), np.float32), np.ones(num, bool))


def official(train, validation):
    """Labels by split, task and clip; of each clip only that it is there."""
    made = {"va": values, "expr": lambda: expressions(0, 1, 2), "mtl": multitask}
    return {
        split: {task: {clip: made[task]() for clip in clips} for task, clips in by_task.items()}
        for split, by_task in (("train", train), ("validation", validation))
    }


def tasks_of(labels):
    return {name: {"va": VA, "expr": EXPR, "mtl": MTL}[name] for name in labels["train"]}


def split(labels, **folds):
    return split_labels(labels, tasks_of(labels), FoldsConfig(**folds))


def real(num_videos=240, seed=0):
    """Expression labels about as uneven as the real ones: lengths over decades, a kind mostly in few videos."""
    rng = np.random.default_rng(seed)
    often = np.array([0.3, 0.03, 0.02, 0.02, 0.15, 0.12, 0.05, 0.31])
    clips = {}
    for video in range(num_videos):
        classes = rng.choice(8, int(rng.lognormal(5, 0.8)), p=rng.dirichlet(often * 5))
        sides = ("",) if video % 10 else ("_left", "_right")
        for side in sides:
            clips[f"{video}{side}"] = expressions(*classes)
    return clips


@pytest.fixture(scope="module")
def uneven():
    clips = real()
    validation = {f"v{clip}": each for clip, each in real(10, seed=1).items()}
    return {"train": {"expr": clips}, "validation": {"expr": validation}}


def test_fold_0_is_the_official_split(uneven):
    for num in (1, 5):
        assert split(uneven, num=num) == {side: {"expr": dict(by["expr"])} for side, by in uneven.items()}


def test_every_official_training_video_is_held_out_exactly_once(uneven):
    sides = [split(uneven, num=5, fold=fold) for fold in range(5)]
    held_out = [groups_of(each["validation"]) for each in sides]
    everything = groups_of(uneven["train"]) | groups_of(uneven["validation"])
    assert set.union(*held_out) == everything
    assert sum(map(len, held_out)) == len(everything)


def test_a_fold_trains_on_all_it_does_not_hold_out_the_official_validation_with_it(uneven):
    for fold in range(1, 5):
        sides = split(uneven, num=5, fold=fold)
        train, held_out = groups_of(sides["train"]), groups_of(sides["validation"])
        assert not train & held_out
        assert train == (groups_of(uneven["train"]) - held_out) | groups_of(uneven["validation"])
        clips = [*sides["train"]["expr"], *sides["validation"]["expr"]]
        assert sorted(clips) == sorted([*uneven["train"]["expr"], *uneven["validation"]["expr"]])


def test_left_and_right_of_a_video_are_always_together(uneven):
    for fold in range(5):
        sides = split(uneven, num=5, fold=fold)
        for clips in (sides["train"]["expr"], sides["validation"]["expr"]):
            left, right = ({video_of(clip) for clip in clips if clip.endswith(side)} for side in ("_left", "_right"))
            assert left == right


def spread(parts, clips):
    """PredictionPair frames of each kind in each part (part kind)."""
    return np.array(
        [
            sum(
                np.bincount(each.values[:, 0].astype(int), minlength=8)
                for clip, each in clips.items()
                if video_of(clip) in part
            )
            for part in parts
        ]
    )


def unevenness(counts):
    """How far a part's scored frames lie from the mean, and a kind's share in a part from its share in all."""
    frames = counts.sum(axis=1)
    shares = counts / frames[:, None] - counts.sum(axis=0) / counts.sum()
    return np.abs(frames / frames.mean() - 1).max(), np.abs(shares).max()


def test_parts_are_alike_in_frames_kinds_and_videos(uneven):
    """Five of 240 videos: frames within 1 %, every kind's share within 0.01, 3 videos; by chance ten times as much."""
    clips = uneven["train"]["expr"]
    parts = part_groups({"expr": clips}, {"expr": EXPR}, FoldsConfig(num=6))
    frames, shares = unevenness(spread(parts, clips))
    assert frames < 0.01
    assert shares < 0.01
    assert max(map(len, parts)) - min(map(len, parts)) <= 3
    by_chance = np.array_split(np.random.default_rng(0).permutation(sorted(set(map(video_of, clips)))), 5)
    frames, shares = unevenness(spread(by_chance, clips))
    assert frames > 0.1
    assert shares > 0.05


def test_parts_are_even_for_every_task_of_a_run():
    """Videos with labels of one task alone are spread over the parts as the others are."""
    clips = real()
    va = {clip: values(len(each)) for i, (clip, each) in enumerate(clips.items()) if i % 3 == 0}
    parts = part_groups({"expr": clips, "va": va}, {"expr": EXPR, "va": VA}, FoldsConfig(num=5))
    frames = [sum(len(each) for clip, each in va.items() if video_of(clip) in part) for part in parts]
    assert np.array(frames) / sum(frames) == pytest.approx(1 / 4, rel=0.05)


def test_frames_are_spread_evenly_where_every_video_is_of_another_kind():
    clips = {str(i): expressions(*[i] * (80 if i < 4 else 20)) for i in range(8)}
    parts = part_groups({"expr": clips}, {"expr": EXPR}, FoldsConfig(num=5))
    assert [sum(len(clips[clip]) for clip in part) for part in parts] == [100, 100, 100, 100]


def test_frames_without_a_label_change_nothing(uneven):
    clips = uneven["train"]["expr"]
    gaps = np.random.default_rng(0).integers(0, 500, len(clips))
    longer = {
        clip: Labels(np.pad(each.values, ((0, gap), (0, 0))), np.pad(each.scored, (0, gap)))
        for (clip, each), gap in zip(clips.items(), gaps, strict=True)
    }
    parts, others = (part_groups({"expr": each}, {"expr": EXPR}, FoldsConfig(num=5)) for each in (clips, longer))
    assert parts == others


def test_videos_without_a_scored_frame_are_spread_too():
    clips = {f"a{i}": expressions(0, 1) for i in range(4)} | {f"b{i}": expressions(None) for i in range(8)}
    parts = part_groups({"expr": clips}, {"expr": EXPR}, FoldsConfig(num=5))
    assert [len(part) for part in parts] == [3, 3, 3, 3]


def test_the_order_of_the_clips_changes_nothing(uneven):
    clips = uneven["train"]["expr"]
    for seed in range(3):
        names = np.random.default_rng(seed).permutation(list(clips))
        shuffled = {"expr": {str(name): clips[name] for name in names}}
        assert part_groups(shuffled, {"expr": EXPR}, FoldsConfig(num=5)) == part_groups(
            {"expr": clips}, {"expr": EXPR}, FoldsConfig(num=5)
        )


def test_the_seed_changes_the_parts_and_repeats_them(uneven):
    labels = {"expr": uneven["train"]["expr"]}
    first, again, other = (part_groups(labels, {"expr": EXPR}, FoldsConfig(num=5, seed=s)) for s in (0, 0, 1))
    assert first == again
    assert {frozenset(part) for part in first} != {frozenset(part) for part in other}


def test_a_refit_trains_on_everything_and_holds_nothing_out():
    labels = official({"va": ["a", "b"]}, {"va": ["c"]})
    sides = split(labels, refit=True)
    assert sides["train"].keys() == {"va"}
    assert sides["train"]["va"] == {**labels["train"]["va"], **labels["validation"]["va"]}
    assert sides["validation"] == {}


LEAKS = {
    "the same clip in both": (
        {"va": ["a", "b"]},
        {"va": ["b"]},
        r"video 'b' is trained on \(va, clip 'b'\) and held out \(va, clip 'b'\): set folds.drop_leaks to true",
    ),
    "left and right apart": (
        {"va": ["a", "b_left"]},
        {"va": ["b_right"]},
        r"video 'b' is trained on \(va, clip 'b_left'\) and held out \(va, clip 'b_right'\)",
    ),
    "the video and one side apart": (
        {"va": ["a", "10-60-1280x720"]},
        {"va": ["10-60-1280x720_right"]},
        "video '10-60-1280x720' is trained on",
    ),
    "one task's training in another's validation": (
        {"va": ["a"], "expr": ["c", "a", "b"]},
        {"va": ["b"], "expr": ["d"]},
        r"video 'b' is trained on \(expr, clip 'b'\) and held out \(va, clip 'b'\)",
    ),
    "MTL's training in VA's validation": (
        {"va": ["a"], "mtl": ["c", "video45_1"]},
        {"va": ["video45_1"], "mtl": ["d"]},
        r"video 'video45_1' is trained on \(mtl, clip 'video45_1'\) and held out \(va, clip 'video45_1'\)",
    ),
    "several": (
        {"va": ["a", "b", "c", "d"]},
        {"va": ["d", "c", "b"]},
        "a leak: video 'b' is trained on .*, and so are 2 more: set",
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_video_on_both_sides_is_refused_by_name(leak):
    train, validation, words = LEAKS[leak]
    for num in (1, 2):
        with pytest.raises(ValueError, match=words):
            split(official(train, validation), num=num)


def test_leaks_are_left_out_of_training_where_that_is_asked_for(caplog):
    caplog.set_level("INFO", "abaw")
    labels = official({"va": ["a", "b_left", "b"], "expr": ["c", "b_right", "e"]}, {"va": ["b_right"], "expr": ["e"]})
    sides = split(labels, drop_leaks=True)
    assert {name: list(clips) for name, clips in sides["train"].items()} == {"va": ["a"], "expr": ["c"]}
    assert sides["validation"] == labels["validation"]
    assert caplog.messages == ["4 clips of 2 held-out videos are left out of training"]


def test_a_video_one_task_trains_on_and_another_validates_on_is_no_leak_where_neither_is_held_out():
    """It belongs to the official fold alone: the others train on its labels of both tasks, and so does a refit."""
    labels = official({"va": ["a", "b", "c"], "expr": ["a", "b", "x"]}, {"va": ["x"], "expr": ["d"]})
    for fold in (1, 2):
        sides = split(labels, num=3, fold=fold)
        assert "x" in sides["train"]["va"]
        assert "x" in sides["train"]["expr"]
    assert "x" in split(labels, refit=True)["train"]["expr"]


@pytest.mark.parametrize("folds", [{"num": 3, "fold": 1}, {"refit": True}])
def test_one_tasks_own_lists_may_never_share_a_video(folds):
    labels = official({"va": ["a", "b", "c"]}, {"va": ["c", "d"]})
    with pytest.raises(ValueError, match="a leak: video 'c' is trained on"):
        split(labels, **folds)
    sides = split(labels, **folds, drop_leaks=True)
    assert sides["train"]["va"]["c"] is labels["validation"]["va"]["c"]


def test_too_few_videos_for_the_folds_are_an_error():
    labels = official({"va": ["a", "b_left", "b_right", "c"]}, {"va": ["d"]})
    with pytest.raises(
        ValueError,
        match=r"folds.num is 5, one of them .*, but only 3 training videos can .* among the others: set folds.num to 4",
    ):
        split(labels, num=5)
    assert len(groups_of(split(labels, num=4, fold=3)["validation"])) == 1


def test_a_fold_that_would_hold_nothing_scored_of_a_task_is_an_error_of_every_fold():
    labels = official({"va": ["a", "b", "c"], "expr": ["a"]}, {"va": ["d"], "expr": ["d"]})
    for fold in (0, 1, 2):
        with pytest.raises(ValueError, match="fold [12] of 3 would hold out no scored frame of expr: set folds.num"):
            split(labels, num=3, fold=fold)


def test_a_task_without_anything_left_to_train_on_is_an_error():
    labels = official({"va": ["a", "b"], "expr": ["b"]}, {"va": ["b"], "expr": ["d"]})
    with pytest.raises(ValueError, match="fold 0 of 1: no scored frame of expr is left to train on"):
        split(labels, drop_leaks=True)


def test_an_inner_part_and_the_rest_have_labels_of_every_task():
    """Each task labels other videos; only two of six have values."""
    labels = official({"va": ["v0", "v5"], "expr": [f"v{i}" for i in range(1, 5)]}, {})
    for seed in range(5):
        found = split_inner(labels["train"], tasks_of(labels), seed)
        assert {side: {task for task in found[side] if found[side][task]} for side in found} == {
            "train": {"va", "expr"},
            "validation": {"va", "expr"},
        }
        assert not groups_of(found["train"]) & groups_of(found["validation"])
        assert groups_of(found["train"]) | groups_of(found["validation"]) == {f"v{i}" for i in range(6)}


def spans(*rows, group, part_s=WHOLE_FILE_S):
    """A class from start to stop for each row."""
    table = np.array(rows, float)
    places = tuple(f"labels.csv:{i}" for i in range(len(rows)))
    return TimedLabels(
        table[:, :1].astype(np.float32), np.ones(len(rows), bool), group, table[:, 1:], places, part_s=part_s
    )


def test_labels_with_times_are_balanced_by_the_frames_that_they_cover():
    """Two speakers with one long row a clip, four with as many short rows as that has frames at most."""
    long = {f"l{i}": spans((0, 0, 60), (1, 60, 120), group=f"long {i}") for i in range(2)}
    short = {f"s{i}": spans(*((k % 2, k, k + 0.04) for k in range(100)), group=f"short {i}") for i in range(4)}
    task = TASKS.build("expr")
    for seed in range(5):
        parts = part_groups({"expr": {**long, **short}}, {"expr": task}, FoldsConfig(num=2, seed=seed), False)
        assert sorted(sum(group.startswith("long") for group in part) for part in parts) == [1, 1]
    weights = TASKS.build("expr", class_balance=1.0).fitted(
        {"a": spans((0, 0, 30), (1, 30, 40), (1, 50, 55), group="")}
    )
    assert weights.settings()["class_weights"][:2] == pytest.approx([0.75, 1.5])


def test_labels_of_other_parts_of_a_file_are_none_of_the_clip():
    """The file of labels is one; the last two parts hold no label."""
    parts_s = [(0.0, 8.0), (8.0, 16.0), (16.0, 24.0), (31.0, 40.0), (40.0, 50.0)]
    clips = {f"c{i}": spans((0, 0, 10), (1, 20, 30), group=f"g{i}", part_s=each) for i, each in enumerate(parts_s)}
    labels = {"train": {"expr": clips}, "validation": {"expr": {}}}
    assert set(split(labels, num="groups", fold=2)["validation"]["expr"]) == {"c2"}
    with pytest.raises(ValueError, match="there are only the folds 0 to 2"):
        split(labels, num="groups", fold=3)


def test_a_task_with_labels_in_a_single_video_has_no_inner_part():
    labels = official({"va": ["v0"], "expr": ["v0", "v1", "v2"]}, {})
    with pytest.raises(ValueError, match="cannot be divided so that every task has labels in both parts"):
        split_inner(labels["train"], tasks_of(labels), 0)


def test_what_saw_a_scored_video_is_named():
    scored = dict.fromkeys(["c_left", "d"], "")
    check_apart(Seen(("a", "b")), scored, "the run x")
    with pytest.raises(ValueError, match="a leak: the run x has seen video 'c', which is scored here"):
        check_apart(Seen(("a", "c")), scored, "the run x")
    with pytest.raises(ValueError, match="has seen video 'a' and 1 more, which are scored here"):
        check_apart(Seen(("a", "c")), {"c_left": "", "a": ""}, "the run x")
