"""A data set of labels without media, and a store with the outputs of a recogniser for it."""

import numpy as np

from abaw.dataset.names import EXPRESSIONS
from abaw.pipelines.extraction import build_detector
from abaw.pipelines.recognition import build_encoder_of, open_recogniser
from abaw.tracks import Clock, Track
from extract.faces.target import TargetConfig
from extract.networks.tiny.onnx import write_face_net
from extract.store.store import FeatureStore

CLASSES = "angry/disgust/fear/happy/sad/surprise/neutral/-"
NUM = 20
FOLDERS = {"expr": "EXPR_Classification_Challenge", "va": "VA_Estimation_Challenge"}
HEADERS = {"expr": ",".join(EXPRESSIONS), "va": "valence,arousal"}


def write_labels(root, clip_ids, tasks=("expr", "va"), split="Validation_Set"):
    """Label files in Aff-Wild2's layout, the same value in each frame."""
    for task in tasks:
        for clip_id in clip_ids:
            path = root / FOLDERS[task] / split / f"{clip_id}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            row = "4" if task == "expr" else "0.5,-0.5"
            path.write_text("\n".join([HEADERS[task], *[row] * NUM]) + "\n")
    return root


def write_net(folder, num_outputs=8):
    """``file=...`` of a random network with so many outputs."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"net{num_outputs}.onnx"
    return f"file={path if path.exists() else write_face_net(path, num_outputs=num_outputs)}"


def store_outputs(root, text, rows, *, observed=None, every=5):
    """A store with these rows (time output) of a recogniser for every clip; returns the recipe of the tracks."""
    store, recogniser = FeatureStore(root), open_recogniser(text)
    spec = build_encoder_of(recogniser)
    recipe = spec.recipe(TargetConfig(build_detector("centerface"), detect_every=every))
    for clip_id, values in rows.items():
        num = len(values)
        seen = np.ones(num, bool) if observed is None else observed
        about = {"source": f"of {clip_id}"}
        store.put_clock(clip_id, Clock(np.arange(1, num + 1), np.arange(num) / 25, np.ones(num, bool)), about)
        store.put(recipe, clip_id, Track(np.where(seen[:, None], values, 0), np.arange(num) / 25, seen), about)
    return recipe
