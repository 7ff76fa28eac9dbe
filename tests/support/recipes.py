"""A small data set of labels alone, recipes on it, and runs as training leaves them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from abaw.competition.job import open_job
from abaw.competition.stages import Places, members_of, stages_of
from abaw.configs.file import read_config
from abaw.dataset.names import EXPRESSIONS
from abaw.files import write_json
from abaw.pipelines.configuration import open_config
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.results.runs import RESUME
from abaw.tasks import TASKS
from extract import ALIGNERS
from extract.store.store import FeatureStore
from fusion.models import FUSION_MODELS

CONFIG = Path(__file__).resolve().parents[2] / "abaw/configs/synthetic.yaml"
OPTIONS = {"device": "cpu", "faces": "haar", "download": False, "assume_fps": None}
TWO = "members={gru: {}, big: {model.hidden_dim: 128}}"
PLACES = Places(Path("work"), Path("runs"), Path("store"))
HOG = {"name": "face_hog", "encoder": "face_hog", "settings": {"crop_px": 8}, "stored_dtype": "float16"}


def config_of(*settings):
    file = read_config(CONFIG, settings)
    return file, file.config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)


def planned(*settings, templates=(Path("va.txt"),), about=None, options=None):
    file, config = config_of("folds.num=3", TWO, *settings)
    return stages_of(config, list(members_of(file, config)), PLACES, about or {}, templates, options or {})


def of_kind(found, kind):
    return [stage for stage in found if stage.kind == kind]


def write_data(root):
    """A data set of valence-arousal and expressions by its files alone: labels, a test list, samples."""
    for folder, text in {"VA_Estimation_Challenge": "valence,arousal\n0.5,0.1\n0.2,-0.3\n", "EXPR_Recognition_Challenge": ",".join(EXPRESSIONS) + "\n0\n1\n"}.items():  # fmt: skip # noqa: E501
        for split, clips in {"Train_Set": "abc", "Validation_Set": "de"}.items():
            for clip in clips:
                path = root / "annotations" / folder / split / f"{clip}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    (root / "lists").mkdir()
    (root / "lists/Valence_Arousal_Estimation_Challenge_test_set_release.txt").write_text("t\n")
    (root / "lists/sample.txt").write_text("image_location,valence,arousal\nt/00001.jpg,\n")
    return root


def job(data, tmp_path, *settings, templates=(), **options):
    given = ["folds.num=3", "tasks={va: {}}", TWO, f"store={tmp_path / 'store'}", *settings]
    runs, work = tmp_path / "runs", tmp_path / "work"
    return open_job(CONFIG, given, data, runs, work, list(templates), {**OPTIONS, **options})


def only(found, kind):
    """A job of one stage."""
    return replace(found, stages=of_kind(found.stages, kind))


def tables(folder, values_of, about, name="va"):
    """A prediction folder of one task: clips d and e, two frames each."""
    task = TASKS.build(name)
    folder.joinpath(name).mkdir(parents=True, exist_ok=True)
    for clip_id in "de":
        times = np.arange(2) / 25
        table = Table(np.array([1, 2]), times, np.ones(2, bool), np.array(values_of(clip_id), np.float32), task.columns)
        predictions.write_table(folder / name, clip_id, table, task)
    predictions.write_metadata(folder / name, {"task": name, "videos_seen": ["a"], **about})


def trained_run(data, tmp_path, without=(), state="complete", **facts):
    """Fold 1 of the first member, as training leaves it: of the labels that exist now, and of the features HOG."""
    found = job(data, tmp_path)
    run, config = found.run("synthetic-gru", 1), open_config(CONFIG, found.of_fold("synthetic-gru", 1))[1]
    about = {"tasks": {"va": {}}, "recipes": {"face_hog": HOG}, "labels": found.labels["synthetic-gru"][1], **facts}
    about["splits"] = {"validation": {"va": {"clips": 2}}}
    run.begin(config, {key: value for key, value in about.items() if key not in without})
    (run.folder / "weights").mkdir()
    (run.folder / "weights/model.safetensors").write_bytes(b"")
    tables(run.predictions("validation"), lambda _: np.zeros((2, 2)), {})
    if state == "complete":
        run.finish({"va": {"CCC": 0.5}})
    else:
        (run.folder / RESUME).touch()
    return run


def stored(tmp_path, **changes):
    """The features HOG in the store, with changes to their recipe."""
    recipe = {**HOG, **changes}
    write_json(FeatureStore(tmp_path / "store").folder(recipe) / "recipe.json", recipe)


def is_trained(found):
    return [found.is_trained(stage) for stage in of_kind(found.stages, "train")]


def change_labels(data, split):
    label = next((data / "annotations/VA_Estimation_Challenge" / split).iterdir())
    label.write_text(label.read_text().replace("0.5", "0.6"))
