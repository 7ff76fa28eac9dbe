"""Labels on disk for tests of evaluation."""

import numpy as np
import pytest

from tests.support.abaw.reports import FRAMES, TRAIN, VALIDATION


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Label files alone: VA follows a slow wave, EXPR stays a while; every fifth frame is unscored."""
    root = tmp_path_factory.mktemp("labels")
    for split, clips in (("Validation_Set", VALIDATION), ("Train_Set", TRAIN)):
        for number, clip_id in enumerate(clips):
            steps = np.arange(FRAMES)
            wave = np.round(np.sin(steps / 9 + number), 3)
            va = [f"{v},{-v / 2}" if i % 5 else "-5,-5" for i, v in enumerate(wave)]
            expr = [str((i // 10 + number) % 8) if i % 5 else "-1" for i in steps]
            for folder, header, rows in (
                ("VA_Estimation_Challenge", "valence,arousal", va),
                ("EXPR_Recognition_Challenge", "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other", expr),
            ):
                path = root / "annotations" / folder / split / f"{clip_id}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("\n".join([header, *rows]) + "\n")
    return root
