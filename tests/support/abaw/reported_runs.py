"""Runs with all that a report shows, made without a training, under names that would do harm in a page."""

from abaw.evaluation.robustness import (
    Ablation,
    Cost,
    Curve,
    Measured,
    Point,
    Robustness,
    TaskRobustness,
    write_robustness,
)
from abaw.results.run_document import network_weights
from abaw.results.runs import Run
from tests.support.abaw.reports import make_run, write_labels

EVIL = "<script>alert(1)<!--\"&'x"
CLIPS = (EVIL, "11_left", "11_right", "12", "13", "14")
CURVES = (
    "epoch,learning_rate,train/loss,validation/loss,validation/va/CCC,validation/va/n,validation/score\n"
    "1,0.01,2.0,1.5,0.3,100,0.3\n2,0.01,1.0,,,,\n3,0.005,0.5,0.9,0.7,100,0.7\n"
)
SHIFTS_S = (-0.4, -0.04, 0.0, 0.04, 0.4)


def write_reported_runs(root):
    """Two runs on the same clips: the first has curves and robustness; weights of the second are missing."""
    data = root / "data"
    write_labels(data, {"Validation_Set": CLIPS, "Train_Set": ("20",)})
    made = make_run(root / "runs", data, "first", 0.3, clips=CLIPS).folder
    first = Run(made.rename(made.with_name(EVIL)))
    (first.folder / "curves.csv").write_text(CURVES)
    write_robustness(first.folder, planted_robustness(first))
    second = make_run(root / "runs", data, "second", 0.6, seed=3, clips=CLIPS)
    (second.folder / "weights/model.safetensors").unlink()
    return first.folder, second.folder


def planted_robustness(run):
    """Scores that are highest without a shift of the sound."""

    def measured(score):
        return {
            "scores": {"CCC": score},
            "intervals": {"CCC": (score - 0.1, score + 0.1)},
            "difference": score - 0.8,
            "difference_interval": (score - 0.9, score - 0.7),
        }

    ablation = [
        Ablation(**measured(0.5), name=f"only {name}", observed=[name], p=0.01, corrected_p=0.02) for name in "fg"
    ]
    points = [Point(**measured(0.8 - abs(shift_s)), strength=shift_s) for shift_s in SHIFTS_S]
    curves = [Curve("sound shifted", "s", "the sound comes later", ["g"], points)]
    task = TaskRobustness("va", "CCC", 6, 5, "video", Measured(**measured(0.8)), ablation, curves)
    cost = Cost(1234, 5.0, None, None, 2.5, "cpu", 2, 6, 0.01, {"f": 1000, "g": 2000})
    weights = network_weights(run.document())
    about = {"run": str(run.folder), "split": "validation", "measured_at": "2026-01-01T00:00:00+00:00", "commit": None}
    about |= {
        "run_commit": None,
        "run_seed": 0,
        "seeds": [0, 1],
        "stretch_s": 2.0,
        "modalities": {"f": "face", "g": "sound"},
    }
    return Robustness(**about, tasks=[task], cost=cost, weights=weights, post_processing={}, remarks=[])
