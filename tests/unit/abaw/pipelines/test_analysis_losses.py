"""An analysis says which clips its predictions mean nothing for, and its tables hold what of the clip was lost."""

from types import SimpleNamespace

import numpy as np
import pytest

from abaw.pipelines.analysis import Analysis, FrameTable, _meaningless, write_frames
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from extract.encoders.base import PictureEncoder
from extract.engine.run import ExtractionReport
from extract.losses import ClipLosses, FaceLosses, SoundLosses

SILENT = ClipLosses(sound=SoundLosses("silent"))
NOBODY = ClipLosses(faces={"f": FaceLosses("video", 9, 0)})
BOTH = ClipLosses(sound=SoundLosses("missing"), faces={"f": FaceLosses("video", 9, 0)})
HALF = ClipLosses(sound=SoundLosses("missing"), faces={"f": FaceLosses("video", 9, 4)})


class Picture(PictureEncoder):
    def __init__(self, crop):
        self.crop = crop

    forward = prepare = recipe = None


FACE, SCENE, VOICE = Picture("face"), Picture(None), object()
MEANINGLESS = [  # what the runs take, the losses, why their predictions mean nothing
    ([VOICE], SILENT, "nothing is audible"),
    ([VOICE], NOBODY, None),
    ([FACE], NOBODY, "no face was found"),
    ([FACE], SILENT, None),
    ([FACE, VOICE], BOTH, "no face was found and nothing is audible"),
    ([FACE, VOICE], HALF, None),
    ([SCENE, VOICE], BOTH, None),
    ([FACE, SCENE], NOBODY, None),
]


@pytest.mark.parametrize(("encoders", "losses", "reason"), MEANINGLESS)
def test_predictions_from_nothing_mean_nothing(monkeypatch, encoders, losses, reason):
    monkeypatch.setattr(Picture, "__abstractmethods__", frozenset(), raising=False)
    specs = [SimpleNamespace(encoder=encoder) for encoder in encoders]
    found = _meaningless(ExtractionReport(made=["a"], losses={"a": losses}), specs)
    assert found == ({} if reason is None else {"a": f"its predictions mean nothing: {reason}"})


def test_a_table_holds_the_line_and_the_text_names_the_clip(tmp_path):
    task = TASKS.build("va")
    frames = np.arange(1, 4)
    table = Table(frames, frames / 25, np.ones(3, bool), np.zeros((3, len(task.columns)), np.float32), task.columns)
    for clip_id, line in (("a", str(SILENT)), ("b", "")):
        write_frames(tmp_path, clip_id, {"va": task}, {"va": table}, None, losses=line)
        assert FrameTable(clip_id, tmp_path / f"{clip_id}.parquet").losses == line
    report = ExtractionReport(made=["a", "b"], losses={"a": SILENT})
    text = str(Analysis(tmp_path, ("a", "b"), report, meaningless={"a": "its predictions mean nothing: x"}))
    assert "1 of 2 clips have losses: silent sound 1\n  a: the sound is silent\n" in text
    assert "a: its predictions mean nothing: x\n" in text
