"""An analysis says for which clips it has no prediction, and its tables hold what of the clip was lost."""

import numpy as np

from abaw.pipelines.analysis.presence import Presence
from abaw.pipelines.analysis.results import Analysis, FrameTable
from abaw.pipelines.analysis.tables import PersonTables, write_frames
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from extract.engine.run import ExtractionReport
from extract.losses import ClipLosses, SoundLosses

SILENT = ClipLosses(sound=SoundLosses("silent"))


def test_a_table_holds_the_line_and_the_text_names_the_clip(tmp_path):
    task = TASKS.build("va")
    frames = np.arange(1, 4)
    table = Table(frames, frames / 25, np.ones(3, bool), np.zeros((3, len(task.columns)), np.float32), task.columns)
    made = [PersonTables(None, {"va": table}, Presence(None, np.zeros(3, bool)))]
    for clip_id, line in (("a", str(SILENT)), ("b", "")):
        write_frames(tmp_path, clip_id, {"va": task}, made, line, "va by nobody")
        found = FrameTable(clip_id, tmp_path / f"{clip_id}.parquet")
        assert (found.losses, found.sources) == (line, "va by nobody")
    report = ExtractionReport(made=["a", "b"], losses={"a": SILENT})
    text = str(Analysis(tmp_path, ("a", "b"), report, ("va by nobody",), unanswered={"a": "no voice is heard"}))
    assert text.startswith("va by nobody\n")
    assert "1 of 2 clips have losses: silent sound 1\n  a: the sound is silent\n" in text
    assert "a: no prediction: no voice is heard\n" in text
