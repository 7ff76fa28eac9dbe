"""What runs were trained on, and the refusal of those that know drawn faces alone."""

import json

import pytest

from abaw.dataset.layout import open_dataset
from abaw.dataset.synthetic import are_synthetic, kind_of
from abaw.errors import InputError
from abaw.pipelines.analysis.answers import check_real, choose_tasks, data_of, describe_run
from abaw.pipelines.recognition import open_recogniser
from abaw.results.runs import Run
from abaw.tasks import TASKS

NET = "onnx_recogniser:file=none.onnx"


CONFIG = """name: r
data: {data}
store: store
features: {{face_hog: {{}}}}
tasks: {{va: {{}}}}
model: {{name: concat}}
"""


def write_run(folder, of="data", **facts):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG.format(data=of))
    (folder / "run.json").write_text(json.dumps({"tasks": {"va": {}}, "commit": "abc", **facts}))
    return Run(folder)


def test_a_run_says_what_it_was_trained_on(tmp_path):
    run = write_run(tmp_path / "runs/r", data={"path": "corpus", "kind": "manifest"})
    assert data_of(run) == {"path": "corpus", "kind": "manifest"}
    assert describe_run(run) == f"va by the run {run.folder} (commit abc), trained on corpus (manifest)"


def test_a_run_of_an_earlier_version_is_known_by_its_data_set_where_it_is_still_there(tmp_path):
    run = write_run(tmp_path / "runs/r", of="work/data")
    assert data_of(run) == {"path": "work/data", "kind": None}
    assert "not recorded" in describe_run(run)
    (tmp_path / "work/data").mkdir(parents=True)
    (tmp_path / "work/data/synth.json").write_text("{}")
    assert data_of(run) == {"path": "work/data", "kind": "synthetic"}


def test_a_synthetic_run_answers_about_other_media_only_anyway(tmp_path):
    run = write_run(tmp_path / "runs/r", data={"path": "work/synthetic", "kind": "synthetic"})
    with pytest.raises(InputError, match="its answers about real people mean nothing. Leave --run out .* --anyway"):
        check_real([run], is_synthetic=False, anyway=False)
    check_real([run], is_synthetic=True, anyway=False)
    check_real([run], is_synthetic=False, anyway=True)
    assert "mean nothing" in describe_run(run)


def test_a_data_set_is_synthetic_where_its_media_are(tmp_path):
    for name in ("a/videos/batch1/1.mp4", "b/1.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "a/synth.json").write_text("{}")
    assert kind_of(open_dataset(tmp_path / "a/videos")) == "synthetic"
    assert kind_of(open_dataset(tmp_path / "b")) == "Aff-Wild2's layout"
    assert not are_synthetic([tmp_path / "a/videos/batch1/1.mp4", tmp_path / "b/1.mp4"])


def test_a_recogniser_answers_the_tasks_of_the_challenge_that_it_can():
    both = open_recogniser(f"{NET},classes=happy/sad,values=valence/arousal")
    assert sorted(choose_tasks([], [both])) == ["expr", "va"]
    with pytest.raises(InputError, match="answers none of the known tasks: its outputs are hunger"):
        choose_tasks([], [open_recogniser(f"{NET},values=hunger")])


class KnownTasks:
    """All that is read of a run."""

    def __init__(self, **tasks):
        self._tasks = tasks

    def tasks(self):
        return self._tasks


def test_two_tasks_with_a_column_of_one_name_are_refused():
    va, own = TASKS.build("va"), TASKS.build("values", value_names=["valence", "pain"], ranges=[[1, 9], [0, 10]])
    with pytest.raises(InputError, match="va and values both have the column 'valence'"):
        choose_tasks([KnownTasks(va=va), KnownTasks(values=own)], [])
    with pytest.raises(InputError, match="mtl and va both have the column 'valence'"):
        choose_tasks([KnownTasks(mtl=TASKS.build("mtl"))], [open_recogniser(f"{NET},values=valence/arousal")])
    classes = TASKS.build("classes", class_names=["Anger", "Sadness"])
    found = choose_tasks([KnownTasks(classes=classes)], [open_recogniser(f"{NET},classes=anger/sadness")])
    assert list(found) == ["classes"]  # and not expr, whose classes have the same names
