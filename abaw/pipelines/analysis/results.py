"""What an analysis returns: its tables, what they say in short, and what was lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.errors import NotFoundError
from abaw.files.parquet import read_parquet, to_numpy
from abaw.pipelines.analysis.tables import LOSSES_KEY, SOURCES_KEY, Summary
from abaw.results.observed import unobserved_lines

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from extract.engine.run import ExtractionReport

DOCUMENT = "analysis.json"


@dataclass(frozen=True)
class FrameTable:
    """One clip's table of every frame: time, face box, what was there, and what is predicted of it.

    Cells are empty where neither the face nor the voice that a model takes was there. With several persons there is a
    row for each person seen in a frame. It is read from ``path`` (Parquet) when it is converted.
    """

    clip_id: str
    path: Path

    def to_pandas(self) -> "pd.DataFrame":
        """The table as a pandas DataFrame. Raises InputError where pandas is not installed."""
        from abaw.results.predictions import to_pandas

        return to_pandas(self._read())

    def to_numpy(self) -> "dict[str, np.ndarray]":
        """Column name -> values, one a row; NaN or None in empty cells."""
        table = self._read()
        return {name: to_numpy(table[name]) for name in table.column_names}

    def _read(self) -> Any:
        return read_parquet(self.path)

    @property
    def losses(self) -> str:
        """The line of what of the clip was lost, which the file's metadata hold; "" where nothing was."""
        return self._note(LOSSES_KEY)

    @property
    def sources(self) -> str:
        """What predicted, and what it was trained on, a line each; it is in the file's metadata."""
        return self._note(SOURCES_KEY)

    def _note(self, key: bytes) -> str:
        from pyarrow import parquet

        with self.path.open("rb") as file:
            metadata: dict[bytes, bytes] = parquet.read_schema(file).metadata or {}
        return metadata.get(key, b"").decode()


@dataclass(frozen=True)
class Analysis:
    """What ``analyze`` made: ``<clip>.parquet``, ``<clip>.csv`` and ``analysis.json`` in ``out``, and what failed.

    ``sources``: what predicted and what it was trained on, a line each. ``summaries``: by clip, of each person.
    ``unobserved``: by clip, in how many frames there was nothing to predict from, and how many it has.
    ``unanswered``: the clips without any prediction, and why. ``notes``: what else to know, such as persons left out.
    ``views_failed``: the views that could not be written, and why.
    ``extraction.losses``: what of each clip was lost. As text: all of these.
    """

    out: Path
    clips: tuple[str, ...]
    extraction: "ExtractionReport"
    sources: tuple[str, ...] = ()
    summaries: Mapping[str, Sequence[Summary]] = field(default_factory=dict)
    unobserved: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    unanswered: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    views_failed: tuple[str, ...] = ()

    def __str__(self) -> str:
        lost = self.extraction.loss_lines(f"abaw store info {self.out / 'store'} --losses")
        lines = [*self.sources, *self.notes, *self.views_failed, *lost, *unobserved_lines(self.unobserved)]
        for clip_id in self.clips:
            if clip_id in self.unanswered:
                lines.append(f"{clip_id}: no prediction: {self.unanswered[clip_id]}")
            for each in self.summaries.get(clip_id, ()):
                person = "" if each.person is None else f", person {each.person}"
                if each.num_answered:
                    lines.append(f"{clip_id}{person}: {each}")
        counts = f"{self.out}: {len(self.clips)} analyzed, {len(self.extraction.failed)} failed; "
        counts += f"{DOCUMENT} explains the columns of the tables"
        return "\n".join([*lines, counts])

    def table(self, clip_id: str) -> FrameTable:
        """One clip's table. Raises NotFoundError for a clip that was not analysed."""
        if clip_id not in self.clips:
            raise NotFoundError(f"no table of {clip_id!r} in {self.out}: it has {', '.join(self.clips) or 'none'}")
        return FrameTable(clip_id, self.out / f"{clip_id}.parquet")
