"""A training with teachers from config to run.json, its predictions and its score."""

import pytest

from abaw.errors import InputError
from abaw.evaluation.report import score
from abaw.pipelines.prediction import predict
from abaw.pipelines.training import train, train_folds
from abaw.results import predictions
from tests.support.fitted import store_labels, write_dataset

NUM = 40
CLIPS = {"t1": "train", "t2": "train", "v1": "validation"}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Settings of a small training, and a teacher's tables of the training clips; t2 has no label."""
    root = tmp_path_factory.mktemp("teachers")
    write_dataset(root / "data", CLIPS, NUM)
    rows = "\n".join(["valence,arousal", *["-5,-5"] * NUM])
    (root / "data/VA_Estimation_Challenge/Train_Set/t2.txt").write_text(rows + "\n")
    store_labels(root / "store", CLIPS, NUM)
    settings = [
        f"data={root / 'data'}",
        f"store={root / 'store'}",
        "tasks={va: {}}",
        "features={hog: {}}",
        "model={name: concat, hidden_dim: 8}",
        "window={length: 40, stride: 40}",
        "training.loggers=[]",
        "trainer={max_epochs: 2, accelerator: cpu}",
    ]
    for name in "ab":
        run = train("synthetic", [*settings, f"name={name}", f"training.seed={ord(name)}"], runs=root / "runs")
        predict(run.folder, root / name, split="train")
    return root, settings


def test_a_student_records_its_teachers_and_its_predictions_and_score_name_them(given):
    root, settings = given
    tables = f"tables: [{root / 'a'}, {root / 'b'}]"
    taught = [f"pseudo_labels={{{tables}, min_confidence: 0}}", f"distillation={{{tables}}}"]
    run = train("synthetic", [*settings, *taught, "name=student"], runs=root / "runs")
    document = run.finished()
    assert document["splits"]["train"]["va"]["scored"] == NUM  # labels alone
    teachers = document["teachers"]
    assert teachers["pseudo_labels"]["tasks"]["va"]["frames"] == NUM  # of t2
    assert teachers["distillation"]["tasks"]["va"]["frames"] == 2 * NUM
    assert [each["run"] for each in teachers["pseudo_labels"]["tables"]] == [[str(root / "runs" / k)] for k in "ab"]
    assert document["selection"]["videos"] == ["v1"]
    where = run.predictions("validation") / "va"
    assert [each["kind"] for each in predictions.read_metadata(where)["taught_by"]] == ["pseudo_labels", "distillation"]
    assert "was trained with distillation (va 80 frames) by" in str(score([run.folder]))


def test_a_teacher_that_was_trained_on_the_held_out_clips_is_an_error_that_names_the_key(given):
    root, settings = given
    train("synthetic", [*settings, "name=refit", "folds.refit=true"], runs=root / "runs")
    predict(root / "runs/refit", root / "leak", split="train")
    leaking = [*settings, f"distillation.tables=[{root / 'leak'}]", "name=leaking"]
    with pytest.raises(InputError, match=r"command line, distillation\.tables=: a leak: the teacher .* 'v1'"):
        train("synthetic", leaking, runs=root / "runs")
    assert not (root / "runs/leaking/run.json").exists()


def test_teachers_that_may_not_teach_every_fold_are_refused_before_the_first_is_trained(given):
    root, settings = given
    folds = [*settings, f"distillation.tables=[{root / 'a'}]", "name=folded", "folds.num=2", "training.select_on=last"]
    with pytest.raises(InputError, match=r"distillation\.tables=.*no clip of the training side has a table"):
        train_folds("synthetic", folds, runs=root / "runs")
    assert not (root / "runs/folded-fold0").exists()
