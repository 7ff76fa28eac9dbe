"""The answer for one frame: the tables of an analysis with a single row."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.pipelines.analysis.answers import with_target
from abaw.pipelines.analysis.presence import Presence
from abaw.pipelines.analysis.tables import PersonTables, final_table, frames_of
from abaw.pipelines.members.posteriors import stored_posteriors

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from abaw.pipelines.analysis.answers import Answers
    from abaw.pipelines.analysis.presence import VoiceRule
    from abaw.postprocessing import PostProcessing
    from abaw.results.predictions import Table
    from abaw.tracks import Track
    from extract.engine.live.extraction import AlignedTrack, LiveFrame
    from extract.engine.plan import EncoderSpec
    from extract.faces.geometry import Face
    from extract.faces.target import TargetConfig
    from extract.store.store import Recipe

VOICE = "voice"  # the name of the watched track by which a voice is heard
ONE_FRAME = np.array([1])  # tables count their own frames


@dataclass(frozen=True)
class FrameBoxes:
    """The faces of one frame as a track of faces has them."""

    values: np.ndarray
    times_s: np.ndarray
    observed: np.ndarray
    persons: np.ndarray

    def table(self, name: str) -> np.ndarray | None:
        return self.persons if name == "persons" else None


class FrameAnswers:
    """Predicts frame by frame. ``kept``: post-processing by task. ``takes_faces``: whether faces are looked for."""

    def __init__(
        self, answers: "Answers", rule: "VoiceRule", kept: "Mapping[str, PostProcessing]", takes_faces: bool
    ) -> None:
        from fusion.checkpoint import find_context
        from fusion.live.frames import FramePredictor

        self._answers, self._rule, self._kept, self._takes_faces = answers, rule, kept, takes_faces
        self._last: dict[str, Table] = {}
        self._tasks = [run.tasks() for run, _, _ in answers.runs]
        self._features = [list(run.finished()["recipes"]) for run, _, _ in answers.runs]
        self._posteriors = [stored_posteriors(run) for run, _, _ in answers.runs]
        self._predictors = [
            FramePredictor(module, run.config().window, find_context(run.config()), states_of=list(posteriors))
            for (run, module, _), posteriors in zip(answers.runs, self._posteriors, strict=True)
        ]

    def row(self, frame: "LiveFrame") -> "pa.Table":
        """The row of a frame, with the columns of a table of ``analyze``. That of a dropped frame is empty."""
        for i, predictor in enumerate(self._predictors):
            predictor.add(frame.time_s, self._of_run(i, frame.rows))
        heard = self._rule.is_heard(frame.heard[VOICE], frame.time_s)
        seen = np.array([frame.face is not None]) if self._takes_faces else None
        there = Presence(seen, np.array([heard]), _boxes(frame) if self._takes_faces else None)
        if frame.is_dropped and self._last:  # no time for it; the cells of the last row show which columns there are
            times_s, nothing = np.array([frame.time_s]), np.zeros(1, bool)
            final = {name: replace(each, times_s=times_s, observed=nothing) for name, each in self._last.items()}
        else:
            tables = self._answers.average(there, self._run_tables(frame), self._recogniser_tables(frame))
            final = {n: final_table(self._answers.tasks[n], table, self._kept.get(n)) for n, table in tables.items()}
            self._last = final
        return _numbered(frames_of(self._answers.tasks, PersonTables(None, final, there)), frame.number)

    def _of_run(self, i: int, rows: "Mapping[str, Track]") -> "dict[str, Track]":
        return {name: rows[track_name(i, name)] for name in self._features[i]}

    def _run_tables(self, frame: "LiveFrame") -> "dict[str, list[Table]]":
        from abaw.pipelines.prediction import make_table

        found: dict[str, list[Table]] = {}
        times_s = np.array([frame.time_s])
        for tasks, predictor, posteriors in zip(self._tasks, self._predictors, self._posteriors, strict=True):
            raw, seen = predictor.predict()
            for name, task in tasks.items():
                table = make_table(task, ONE_FRAME, times_s, raw, seen, posteriors.get(name))
                found.setdefault(name, []).append(table)
        return found

    def _recogniser_tables(self, frame: "LiveFrame") -> "list[dict[str, Table]]":
        return [
            member.tables_of(frame.rows[member.recogniser.label], ONE_FRAME, f"frame {frame.number}")
            for member in self._answers.recognisers
        ]


def track_name(i: int, feature: str) -> str:
    """The name of the track of a feature of the i-th run."""
    return f"run {i}: {feature}"


def key_of(recipe: "Recipe", config: "TargetConfig") -> str:
    """What recipes of the same features of the target share, wherever their weights lie."""
    from extract.store.store import FeatureStore

    return FeatureStore(Path()).folder(with_target(recipe, config)).name


def tracks_of(
    answers: "Answers", specs: "Mapping[str, EncoderSpec]", config: "TargetConfig"
) -> "dict[str, AlignedTrack]":
    """All tracks that the members need at the frames. ``specs``: by ``key_of`` their recipes."""
    from extract import ALIGNERS
    from extract.engine.live.extraction import AlignedTrack

    def aligner(name: str) -> Any:
        from extract import align

        ALIGNERS.part(name)
        return getattr(align, name)

    found = {}
    for i, (run, _, _) in enumerate(answers.runs):
        features = run.config().features
        for name, recipe in run.finished()["recipes"].items():
            how = features[name]
            found[track_name(i, name)] = AlignedTrack(specs[key_of(recipe, config)], aligner(how.align), how.max_gap_s)
    for member in answers.recognisers:
        recogniser = member.recogniser
        spec = specs[key_of(member.recipe, config)]
        found[recogniser.label] = AlignedTrack(spec, aligner(recogniser.align), recogniser.max_gap_s)
    return found


def _boxes(frame: "LiveFrame") -> FrameBoxes:
    from extract.engine.streams import face_columns

    def columns(face: "Face | None") -> np.ndarray:
        return np.array(face_columns(face) if face is not None else (0,) * 6, np.float32)

    persons = [np.concatenate([[1], columns(face)]) for face in frame.faces]
    return FrameBoxes(
        columns(frame.face)[None],
        np.array([frame.time_s]),
        np.array([frame.face is not None]),
        np.array(persons, np.float32).reshape(-1, 7),
    )


def _numbered(row: "pa.Table", number: int) -> "pa.Table":
    import pyarrow as pa

    place = row.column_names.index("frame")
    return row.set_column(place, "frame", pa.array([number], row["frame"].type))
