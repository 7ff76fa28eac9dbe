"""Wrong use and bad input: one message that says what was given, expected and to do; exit 2; nothing half-written."""

from pathlib import Path

import pytest

from abaw.cli import main

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "abaw/configs/synthetic.yaml"


@pytest.fixture
def refused(monkeypatch, capsys):
    """stderr of a command that must end with exit code 2, one message and an unchanged folder."""

    def run(*words, cwd):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr("sys.argv", ["abaw", *map(str, words)])
        before = sorted(cwd.rglob("*"))
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr().err
        assert stop.value.code == 2, said
        assert said.startswith("abaw: ") or "Usage:" in said
        assert sorted(cwd.rglob("*")) == before
        return said

    return run


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["trainig.seed=1"], r"command line, trainig=: unknown key 'trainig'; did you mean 'training'?"),
        (["training.seed=one"], "command line, training.seed=: training.seed is 'one'"),
        (["model.name=bigrru"], "no fusion model named 'bigrru'; did you mean 'bigru'?"),
        (["model.hiden_dim=3"], "fusion model 'bigru' has no setting 'hiden_dim'; did you mean 'hidden_dim'?"),
        (["model.hidden_dim=wide"], "hidden_dim is 'wide', expected int"),
        (["tasks={vaa: {}}"], "no task named 'vaa'; did you mean 'va'?"),
        (["tasks={}"], "tasks"),
        (["features={face_hog: {align: lineer}}"], "no aligner named 'lineer'; did you mean 'linear'?"),
        (["window.stride=151"], "a stride of 151 steps skips steps between windows of 150"),
        (["trainer.max_epoch=3"], "lightning.Trainer has no argument 'max_epoch'; did you mean 'max_epochs'?"),
        (["trainer.callbacks=[]"], "trainer.callbacks cannot be set"),
        (
            ["training.schedule=cosine", "trainer.max_epochs=-1"],
            "command line, training.schedule=: a cosine schedule needs an end",
        ),
        (
            ["training.warmup_epochs=5", "trainer.max_epochs=5"],
            "a warm-up of 5 epochs does not end within 5 epochs of training: lower training.warmup_epochs or",
        ),
        (["training.learning_rate=.inf"], "training.learning_rate is inf"),
        (["tasks={expr: {focal_gamma: .nan}}"], "expr: focal_gamma is nan, expected 0 or more"),
        (["nonsense"], "'nonsense' is not a setting, expected key=value"),
        (["data=nowhere"], "no data set at nowhere"),
        (["name=../up"], "name is '../up'"),
        (["name=.."], "name is '..'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_known(refused, small, settings, message):
    assert message in refused(
        "train", CONFIG, f"data={small / 'data'}", f"store={small / 'store'}", *settings, cwd=small
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A data set of two clips with labels, and a store that lacks its features."""
    folder = tmp_path_factory.mktemp("small")
    for split in ("Train_Set", "Validation_Set"):
        for task, header, row in (
            ("VA_Estimation_Challenge", "valence,arousal", "0.5,-0.5"),
            ("EXPR_Recognition_Challenge", "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other", "3"),
        ):
            path = folder / "data/annotations" / task / split / f"{split}.txt"
            path.parent.mkdir(parents=True)
            path.write_text(f"{header}\n{row}\n{row}\n")
    (folder / "store/clock").mkdir(parents=True)
    (folder / "store/clock/Train_Set.safetensors").touch()
    (folder / "data/videos").mkdir()
    (folder / "data/videos/Train_Set.mp4").touch()
    return folder


def test_a_config_error_names_file_and_line(refused, small):
    path = small / "broken.yaml"
    path.write_text(CONFIG.read_text().replace("patience_epochs:", "patience:"))
    line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if "patience:" in text)
    try:
        assert f"{path}:{line}: unknown key 'patience'" in refused("train", path, cwd=small)
    finally:
        path.unlink()


def test_a_missing_store_and_a_store_without_the_feature_say_what_makes_them(refused, small):
    assert "no store at gone: run abaw extract" in refused(
        "train", CONFIG, f"data={small / 'data'}", "store=gone", cwd=small
    )
    said = refused("train", CONFIG, f"data={small / 'data'}", f"store={small / 'store'}", cwd=small)
    assert "abaw/configs/synthetic.yaml:" in said
    assert "no features named 'face_hog'" in said


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.5,o.5", "'o.5' is not a number"),
        ("0.5", "has 1 column, expected 2"),
        ("nan,0.5", "'nan' is not a number"),
        ("1.5,0.5", "1.5 is outside [-1, 1]"),
    ],
)
def test_a_broken_label_line_is_named_by_file_and_line(refused, small, row, message):
    path = small / "data/annotations/VA_Estimation_Challenge/Train_Set/Train_Set.txt"
    good = path.read_text()
    path.write_text(good + row + "\n")
    try:
        said = refused("train", CONFIG, f"data={small / 'data'}", f"store={small / 'store'}", cwd=small)
    finally:
        path.write_text(good)
    assert f"{path}:4:" in said
    assert message in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["extract", "gone", "--store", "s", "--encoder", "face_hog"], "no data set at gone"),
        (["extract", "data", "--store", "s", "--encoder", "face_hogg"], "no encoder named 'face_hogg'; did you mean"),
        (["extract", "data", "--store", "s", "--encoder", "face_hog:px=3"], "no setting 'px'"),
        (["extract", "data", "--store", "s", "--encoder", "face_hog:crop_px=big"], "crop_px is 'big', expected int"),
        (["extract", "data", "--store", "s", "--encoder", "hf_vision"], "needs the setting 'model'"),
        (["extract", "data", "--store", "s", "--encoder", "hf_vision:model=a/b"], "no model 'a/b'"),
        (["extract", "data", "--store", "s", "--encoder", "wavlm_larg"], "did you mean 'wavlm_large'?"),
        (["extract", "data", "--store", "s", "--encoder", "wavlm_large"], "wavlm_large (1262 MB"),
        (["extract", "data", "--store", "s", "--encoder", "mae_face"], "mae_face:weights=PATH"),
        (["extract", "data", "--store", "s", "--encoder", "face_hog", "--target", "largst"], "did you mean 'largest'?"),
        (
            ["extract", "data", "--store", "s", "--encoder", "face_hog", "--detect-every", "0"],
            "detect_every is 0, expected 1",
        ),
        (["extract", "data", "--store", "s", "--encoder", "face_hog", "--shard", "3/2"], "expected I/N"),
        (["extract", "data", "--store", "s", "--encoder", "face_hog", "--engine", "dask"], "expected local or ray"),
        (["extract", "data", "--store", "s", "--encoder", "face_hog", "--readers", "0"], "--readers is 0"),
        (["extract", "data", "--store", "s", "--encoder", "face_hog", "--faces", "yunet"], "YuNet"),
        (["extract", "data", "--store", "/proc/none", "--encoder", "voice_mel"], "/proc/none"),
        (["extract", "data", "--store", "s", "--encoder", "face_hog:as=../x"], "cannot name a folder"),
        (
            ["extract", "data", "--store", "s", "--encoder", "face_hog:stored_dtype=int4"],
            "expected float16, float32 or int8",
        ),
        (
            ["extract", "data", "--store", "s", "--encoder", "face_hog", "--faces", "yunet:file=gone.onnx"],
            "no YuNet model at gone.onnx",
        ),
        (
            ["extract", "data", "--store", "s", "--encoder", "face_hog", "--faces", "har"],
            "face detector named 'har'",
        ),
        (["extract", "data", "--store", "s", "--encoder", "face_hog", "--assume-fps", "0"], "--assume-fps is 0"),
        (["extract", "data", "--store", "s", "--encoder", "voice_mel", "--encoder", "voice_mel"], "given twice"),
        (["extract", "data", "--store", "s"], "Missing option"),
        (["extract", "data", "--store", "s", "--encoder", "face_hog:margin=-0.6"], "cannot be cut"),
        (["extract", "data", "--store", "s", "--encoder", "face_hog", "--assume-fps", "inf"], "--assume-fps is inf"),
        (["synth", "s", "--clips", "3"], "14"),
        (["check", "gone"], "no data set at gone"),
        (["train", "gone.yaml"], "no config at gone.yaml"),
        (["predict", "gone", "--split", "test", "--out", "p"], "no run at gone: train one with abaw train"),
        (["predict", "gone", "--out", "p"], "either --split NAME or --clips ID"),
        (["predict", "gone", "--split", "tests", "--out", "p"], "no split 'tests'"),
        (["score", "gone"], "no predictions at gone, which is no folder: check the path, or run abaw predict"),
        (["submit", "gone", "--template", "t.txt", "--out", "o.txt"], "no template at t.txt"),
        (["verify", "gone.txt", "--template", "t.txt"], "no template at t.txt"),
        (["analyze", "gone.mp4", "--run", "r", "--out", "o"], "no data set at gone.mp4"),
        (["analyze", "data", "--run", "gone", "--out", "o"], "no run at gone"),
        (["list", "things"], "no list of 'things'"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
)
def test_wrong_words_are_refused(refused, small, words, message):
    assert message in " ".join(refused(*words, cwd=small).split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a/00001.jpg,\na/00001.jpg,\n", ":1:"),
        ("image_location,valence,arousal\na/00001.jpg,\na/00001.jpg,\n", ":3: 'a/00001.jpg' repeats line 2"),
        ("image_location,valence,arousal\nnobody/00001.jpg,\n", "1 of 1 clips"),
        ("image_location,valence,arousal\na,0,0\n", ":2: 'a' is not an image location"),
    ],
)
def test_a_broken_template_is_refused(refused, small, text, message, tmp_path):
    path = tmp_path / "template.txt"
    path.write_text(text)
    (tmp_path / "p/va").mkdir(parents=True)
    (tmp_path / "p/va/predictions.json").write_text('{"task": "va"}')
    assert message in refused("submit", tmp_path / "p", "--template", path, "--out", tmp_path / "o.txt", cwd=tmp_path)
