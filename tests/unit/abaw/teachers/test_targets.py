"""Which clips get targets from tables, what is refused, and what a run records of its teachers."""

import json
from dataclasses import replace

import numpy as np
import pytest

from abaw.challenge.rules import provenance as rule_lines
from abaw.configs.sections import Config
from abaw.dataset.annotations import Labels
from abaw.dataset.layout import open_dataset
from abaw.errors import InputError
from abaw.evaluation.leaks import check_unseen
from abaw.results import predictions, provenance
from abaw.results.runs import Run
from abaw.tasks import TASKS
from abaw.teachers.targets import NO_TARGETS, read_section
from tests.support.fitted import table_of, write_dataset, write_folder

TASK = {"va": TASKS.build("va")}
CLIPS = {"t1": "train", "t2": "train", "v1": "validation"}
NUM = 40
KNOWN = {"run": ["runs/a"], "label_tasks_seen": ["va"], "videos_seen": ["t1"], "seeds": [1], "commit": "abc"}


@pytest.fixture
def data(tmp_path):
    """t2 has no label; t3 is a clip of the test list."""
    write_dataset(tmp_path / "data", CLIPS, NUM)
    path = tmp_path / "data/VA_Estimation_Challenge/Train_Set/t2.txt"
    path.write_text("\n".join(["valence,arousal", *["-5,-5"] * NUM]) + "\n")
    (tmp_path / "data/VA_test_set_release.txt").write_text("t3\n")
    return open_dataset(tmp_path / "data")


def make_config(kind, **section):
    parts = {"tasks": {"va": {}}, "features": {"face": {}}, "model": {"name": "concat"}}
    return Config.model_validate({"name": "x", "data": "d", "store": "s", **parts, kind: section})


def teach(data, tmp_path, kind="pseudo_labels", clips=("t1", "t2", "v1"), about=KNOWN, **section):
    for seed in (0, 1):
        own = about if seed == 0 or "run" not in about else {**about, "run": ["runs/b"]}
        write_folder(tmp_path / f"tables{seed}", clips, num=NUM, noise=0.05, seed=seed, **own)
    tables = [str(tmp_path / f"tables{seed}") for seed in (0, 1)]
    given = {"tables": tables, **({"min_confidence": 0.8} if kind == "pseudo_labels" else {}), **section}
    config = make_config(kind, **given)
    labels = {split: {"va": TASK["va"].read_labels(data, split)} for split in ("train", "validation")}
    return labels, read_section(config, data, TASK, labels, kind, lambda _: NUM)


def test_clips_of_the_training_side_get_pseudo_labels_where_they_have_none(data, tmp_path):
    labels, found = teach(data, tmp_path)
    assert list(found.targets["va/pseudo_labels"]) == ["t2"]
    made = found.targets["va/pseudo_labels"]["t2"]
    counts = found.record["pseudo_labels"]["tasks"]["va"]
    assert counts == {
        "clips": 1,
        "frames": int(made.scored.sum()),
        "share": round(made.scored.mean(), 4),
        "least_confidence": counts["least_confidence"],
        "labelled": NUM,
        "test_clips": 0,
        "held_out_clips": 1,
        "incomplete_clips": 0,
    }
    assert 0.8 <= counts["least_confidence"] < 0.9
    assert 0 < counts["share"] < 1
    every = found.added_to(labels)
    assert every["train"].keys() == {"va", "va/pseudo_labels"}
    assert every["validation"] == labels["validation"]


def test_distillation_has_the_mean_of_the_tables_in_every_frame_of_the_training_side(data, tmp_path):
    _, found = teach(data, tmp_path, "distillation")
    made = found.targets["va/distillation"]
    assert list(made) == ["t1", "t2"]
    assert all(each.scored.all() and len(each) == NUM for each in made.values())


@pytest.mark.parametrize("kind", ["distillation", "pseudo_labels"])
def test_clips_without_labels_are_shifted_as_a_whole_and_run_json_says_by_which_factor(tmp_path, kind):
    labelled, bare = ("t1", "t2", "t3"), ("t4", "t5", "t6")
    clips = dict.fromkeys([*labelled, *bare], "train")
    write_dataset(tmp_path / "data", {**clips, "v1": "validation"}, NUM)
    for i, row in enumerate(["0,0.1", "0.01,0.1", "0.02,0.1", *["-5,-5"] * 3], start=1):
        path = tmp_path / f"data/VA_Estimation_Challenge/Train_Set/t{i}.txt"
        path.write_text("\n".join(["valence,arousal", *[row] * NUM]) + "\n")
    data = open_dataset(tmp_path / "data")
    given = {"min_confidence": 0.0} if kind == "pseudo_labels" else {}
    _, before = teach(data, tmp_path, kind, clips=clips, **given)
    _, after = teach(data, tmp_path, kind, clips=clips, align_clips=True, **given)
    before, made = before.targets[f"va/{kind}"], after.targets[f"va/{kind}"]
    taught = np.array([before[clip_id].values.mean(axis=0) for clip_id in bare])
    factor = 0.01 / taught[:, 0].std(ddof=1)  # labels of arousal do not vary from clip to clip
    about = after.record[kind]["tasks"]["va"]["aligned"]
    assert about == {"clips": 3, "factors": {"valence": pytest.approx(factor, abs=1e-4), "arousal": 0.0}}
    for clip_id, mean in zip(bare, taught, strict=True):
        goal = (factor * mean[0] + (1 - factor) * 0.01, 0.1)
        np.testing.assert_allclose(made[clip_id].values, before[clip_id].values - mean + goal, atol=1e-4)
    if kind == "distillation":
        np.testing.assert_array_equal(made["t1"].values, before["t1"].values)


def test_an_alignment_that_means_nothing_is_an_error(data, tmp_path):
    with pytest.raises(InputError, match="valence has labels in 1 clip, and 1 clip with tables and without labels"):
        teach(data, tmp_path, align_clips=True)


def test_an_inner_part_that_is_held_out_gets_no_targets(data, tmp_path):
    labels, found = teach(data, tmp_path, "distillation")
    inner = {"train": {"va": {"t1": labels["train"]["va"]["t1"]}}, "validation": {"va": {"t2": Labels(*unlabelled())}}}
    assert list(found.added_to(inner)["train"]["va/distillation"]) == ["t1"]


def unlabelled():
    return np.zeros((NUM, 2), np.float32), np.zeros(NUM, bool)


@pytest.mark.parametrize("clip_id", ["t3", "unlisted"])
def test_test_clips_and_clips_of_no_split_are_refused_unless_asked(data, tmp_path, clip_id):
    with pytest.raises(InputError, match=rf"1 clip of the test list or of no split \({clip_id}\).*test_clips to true"):
        teach(data, tmp_path, clips=("t2", clip_id))
    _, found = teach(data, tmp_path, clips=("t2", clip_id), test_clips=True)
    assert set(found.targets["va/pseudo_labels"]) == {"t2", clip_id}
    assert found.record["pseudo_labels"]["test_clips"] == [clip_id]
    assert clip_id in found.seen.videos


@pytest.mark.parametrize("about", [{"videos_seen": ["t1", "v1"]}, {"ensemble": {"fitted_on": ["v1"]}}])
def test_a_teacher_that_has_seen_what_is_held_out_is_a_leak(data, tmp_path, about):
    with pytest.raises(InputError, match=r"a leak: the teacher .*tables0.* has seen video 'v1', which is scored here"):
        teach(data, tmp_path, about={**KNOWN, **about})


def test_of_held_out_tables_only_the_runs_of_the_clips_that_are_used_count(data, tmp_path):
    for name, seen in (("a", ["t1"]), ("b", ["t2", "v1"])):
        (tmp_path / name).mkdir()
        document = {"videos": {"train": seen}, "folds": {"refit": True}}
        (tmp_path / name / "run.json").write_text(json.dumps(document))
    runs = {"t2": str(tmp_path / "a"), "t1": str(tmp_path / "b")}
    about = {**KNOWN, "run": list(runs.values()), "videos_seen": ["t1", "t2", "v1"], "held_out": True, "made_by": runs}
    _, found = teach(data, tmp_path, clips=("t2",), about=about)
    assert found.seen.videos == ("t1", "t2")


def test_where_the_run_of_only_some_tables_is_recorded_all_that_any_has_seen_counts(data, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/run.json").write_text(json.dumps({"videos": {"train": ["t1"]}, "folds": {"refit": True}}))
    about = {**KNOWN, "videos_seen": ["t1", "v1"], "made_by": {"t2": str(tmp_path / "a")}}
    with pytest.raises(InputError, match="has seen video 'v1'"):
        teach(data, tmp_path, clips=("t1", "t2"), about=about)


def test_frames_in_which_a_teacher_observed_nothing_are_no_targets(data, tmp_path):
    labels, _ = teach(data, tmp_path)
    table = table_of("t2", NUM)
    away = replace(table, observed=np.arange(NUM) >= 10)
    predictions.write_table(tmp_path / "tables1/va", "t2", away, TASK["va"])
    predictions.write_metadata(tmp_path / "tables1/va", {"task": "va", **KNOWN})
    config = make_config("distillation", tables=[str(tmp_path / f"tables{k}") for k in (0, 1)])
    found = read_section(config, data, TASK, labels, "distillation", lambda _: NUM)
    assert found.targets["va/distillation"]["t2"].scored.tolist() == away.observed.tolist()


def test_a_table_with_another_number_of_rows_than_the_clip_has_frames_is_an_error(data, tmp_path):
    labels, _ = teach(data, tmp_path)
    config = make_config("distillation", tables=[str(tmp_path / "tables0")])
    with pytest.raises(InputError, match=r"tables0/va has 40 rows of clip 't1', which has 41 frames in the store"):
        read_section(config, data, TASK, labels, "distillation", lambda _: NUM + 1)


def test_clips_of_which_only_some_teachers_have_tables_are_left_out_and_counted(data, tmp_path, caplog):
    labels, _ = teach(data, tmp_path, clips=("t1", "t2"))
    write_folder(tmp_path / "fewer", ("t2",), num=NUM, **KNOWN)
    config = make_config("distillation", tables=[str(tmp_path / "tables0"), str(tmp_path / "fewer")])
    found = read_section(config, data, TASK, labels, "distillation", lambda _: NUM)
    assert list(found.targets["va/distillation"]) == ["t2"]
    assert found.record["distillation"]["tasks"]["va"]["incomplete_clips"] == 1
    assert "1 clip of va not used: not every teacher has a table of them" in caplog.text


def test_tables_that_are_not_several_opinions_are_errors(data, tmp_path):
    labels, _ = teach(data, tmp_path)
    write_folder(tmp_path / "same", CLIPS, num=NUM, **KNOWN)
    for folder, message in (
        ("tables0", "is named twice"),
        ("same", "several tables of va are by runs/a, and how well"),
    ):
        config = make_config("pseudo_labels", tables=[str(tmp_path / "tables0"), str(tmp_path / folder)])
        with pytest.raises(InputError, match=message):
            read_section(config, data, TASK, labels, "pseudo_labels", lambda _: NUM)


def test_what_teachers_have_seen_the_run_has_seen_too(data, tmp_path):
    about = {**KNOWN, "videos_seen": ["other"], "label_tasks_seen": ["expr"]}
    _, found = teach(data, tmp_path, about=about)
    facts = {"videos": {"train": ["t1"], "validation": ["v1"]}, "label_tasks_seen": ["va"], "seed": 0}
    document = {**facts, **found.added_to_facts(facts)}
    assert document["videos"] == {"train": ["other", "t1", "t2"], "validation": ["v1"]}
    assert document["label_tasks_seen"] == ["expr", "va"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text(json.dumps(document))
    made = provenance.merged([provenance.of_run(Run(tmp_path / "run"), {"other": ""})])
    assert made["held_out"] is False
    with pytest.raises(InputError, match="has seen video 'other'"):
        check_unseen(tmp_path, "validation", {"other": ""}, made, None)
    lines = rule_lines(made, "va")
    assert any("was trained with pseudo-labels (va" in line and "by runs/a" in line for line in lines)
    assert any("uni-task rule" in line for line in lines)


def test_a_submission_says_that_it_was_trained_on_predictions_of_test_clips(data, tmp_path):
    _, found = teach(data, tmp_path, clips=("t2", "t3"), test_clips=True)
    facts = {"videos": {"train": ["t1"]}, "label_tasks_seen": ["va"], "seed": 0, "folds": {"refit": True}}
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text(json.dumps({**facts, **found.added_to_facts(facts)}))
    made = provenance.of_run(Run(tmp_path / "run"), {"t3": ""})
    assert any("was trained on predictions of 1 clip of the test list" in line for line in rule_lines(made, "va"))


def test_a_teacher_of_unknown_provenance_is_recorded_as_such(data, tmp_path, caplog):
    _, found = teach(data, tmp_path, about={"run": ["runs/a"]})
    assert found.record["incomplete"] == ["label_tasks_seen", "videos_seen"]
    assert "does not say label_tasks_seen and videos_seen of every teacher, so no leak can be ruled out" in caplog.text
    facts = {"videos": {"train": ["t1"], "validation": ["v1"]}, "label_tasks_seen": ["va"], "seed": 0}
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text(json.dumps({**facts, **found.added_to_facts(facts)}))
    made = provenance.merged([provenance.of_run(Run(tmp_path / "run"), {"v1": ""})])
    assert made["held_out"] is None
    assert any(
        "no leak can be ruled out" in each for each in check_unseen(tmp_path, "validation", {"v1": ""}, made, None)
    )


def test_a_confidence_that_no_frame_reaches_is_an_error(data, tmp_path):
    with pytest.raises(InputError, match="no frame without a label gets one from .* at pseudo_labels.min_confidence=1"):
        teach(data, tmp_path, min_confidence=1.0)


def test_a_confidence_for_each_task_by_name(data, tmp_path):
    _, found = teach(data, tmp_path, min_confidence={"va": 0.8})
    assert list(found.targets) == ["va/pseudo_labels"]
    with pytest.raises(InputError, match="is given for expr, but the tables are of va: remove it"):
        teach(data, tmp_path, min_confidence={"va": 0.8, "expr": 0.9})


def test_a_share_gets_a_label_also_where_no_frame_is_sure(data, tmp_path):
    _, found = teach(data, tmp_path, min_confidence=1.0, min_share=0.3)
    counts = found.record["pseudo_labels"]["tasks"]["va"]
    assert (counts["frames"], counts["share"]) == (12, 0.3)


def test_tables_of_another_task_or_of_held_out_clips_alone_are_errors(data, tmp_path):
    with pytest.raises(InputError, match=r"a table by every teacher \(tables of clips that this run holds out: 1\)"):
        teach(data, tmp_path, clips=("v1",))


def test_without_teachers_nothing_is_added():
    labels = {"train": {"va": {}}, "validation": {"va": {}}}
    assert NO_TARGETS.added_to(labels) == labels
    assert NO_TARGETS.added_to_facts({"videos": {}}) == {}
    assert (NO_TARGETS | NO_TARGETS) == NO_TARGETS
