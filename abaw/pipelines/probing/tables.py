"""Prediction tables of a probe: every clip predicted by the model of the part that holds it out."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.dataset.seen import Seen, groups_in
from abaw.files.names import checked_name
from abaw.pipelines.embedding.seen import seen_by
from abaw.pipelines.probing.pooler import HALF_WINDOW_S, Pooler
from abaw.probes.crossing import CrossPrediction
from abaw.probes.rows import Rows
from abaw.results import predictions, replacing
from abaw.results.runs import commit

if TYPE_CHECKING:
    from extract.store.store import FeatureStore

    Recipe = dict[str, Any]


@dataclass(frozen=True)
class TableWriter:
    """Writes the tables of every encoder and classifier to ``out/<classifier>/<encoder>/<task>``.

    The folders are held from the start, so that a second process is refused before minutes of reading, and what they
    hold is replaced only when new tables are there. ``about``: what predictions.json says of all of them.
    """

    out: Path
    store: "FeatureStore"
    about: Mapping[str, Any]
    replacing: dict[Path, Any] = field(default_factory=dict)

    def hold(self, held: ExitStack, systems: Sequence[str], classifiers: Mapping[str, Sequence[str]]) -> None:
        """Hold the folders of these encoders until ``held`` ends. ``classifiers``: those of each task."""
        for classifier in dict.fromkeys(each for of_task in classifiers.values() for each in of_task):
            tasks = [task for task, of_task in classifiers.items() if classifier in of_task]
            for system in systems:
                folder = self.folder(classifier, system)
                self.replacing[folder] = held.enter_context(replacing.hold_tables_of(folder, tasks))

    def folder(self, classifier: str, system: str) -> Path:
        """Where the tables of an encoder are, with a folder for each task."""
        return self.out / classifier / checked_name(system, "the folder of an encoder's tables")

    def write(
        self,
        rows: Rows,
        found: CrossPrediction,
        parts: np.ndarray,
        pooler: Pooler,
        recipes: "Sequence[Recipe]",
        probed: Mapping[str, Any],
    ) -> None:
        """Write one table a clip. ``probed``: the encoder, the classifier and how they were held out."""
        folder = self.folder(probed["classifier"], probed["encoder"])
        part_of = dict(zip(rows.clip_of, parts.tolist(), strict=True))
        row_of = {clip: i for i, clip in enumerate(rows.clip_of)}
        seen = Seen.in_labels(rows.of_clip)
        is_held_out = not any(seen_by(recipe).find(groups_in(rows.of_clip)) for recipe in recipes)
        about = {
            "task": rows.task.name,
            "split": None,
            "run": [],
            "commit": commit(),
            "label_tasks_seen": [rows.task.name],
            "videos_seen": list(seen.videos),
            **({"groups_seen": list(seen.groups)} if seen.groups else {}),
            "held_out": is_held_out,  # not where features themselves were trained on labels of these clips
            "epoch_chosen_on": [],
            "made_by": {},
            "post_processing": {},
            "ensemble": {},
            **predictions.settings_of(rows.task),
            **self.about,
            "probes": [dict(probed)],
        }
        with self.replacing[folder]({rows.task.name: part_of}):
            for clip, part in part_of.items():
                clock = self.store.clock(clip)
                spans = clock.times_s[:, None] + np.array([-HALF_WINDOW_S, HALF_WINDOW_S])
                if rows.spans is None:
                    values = np.tile(found.tables[row_of[clip]], (len(clock), 1))
                else:
                    windows = [pooler.windows(recipe, clip, spans, rows.task.name) for recipe in recipes]
                    values = found.predictors[part](np.concatenate(windows, axis=1))
                observed = np.any([self._observed(recipe, clip, spans) for recipe in recipes], axis=0)
                table = predictions.Table(clock.frames, clock.times_s, observed, values, rows.task.columns)
                predictions.write_table(folder / rows.task.name, clip, table, rows.task)
            predictions.write_metadata(folder / rows.task.name, about)

    def _observed(self, recipe: "Recipe", clip: str, spans: np.ndarray) -> np.ndarray:
        """Whether something was observed in each span."""
        file = self.store.open(recipe, clip)
        times_s = file.times_s[file.observed]
        first, stop = np.searchsorted(times_s, spans[:, 0]), np.searchsorted(times_s, spans[:, 1], "right")
        return np.asarray(stop > first)
