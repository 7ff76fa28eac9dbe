"""A window with the picture of a live analysis and what is predicted of it, drawn as on an overlay video."""

import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.errors import InputError
from abaw.views.timeline import from_columns

if TYPE_CHECKING:
    from abaw.pipelines.live.running import LiveRow
    from abaw.views.drawing.drawer import Drawer

TITLE = "abaw live (q ends)"
CLIP = "live"
MAX_ROWS = 150  # that are kept for the trail on the circumplex: more than its 2 s at 60 frames a second


class LivePicture:
    """Draws rows on their pictures. ``blocks``: of the columns, as analysis.json describes them."""

    def __init__(self, blocks: Sequence[Mapping[str, Any]]) -> None:
        clips = {CLIP: {"media": None, "persons": [{"person": None}]}}
        self._document = {"blocks": blocks, "clips": clips}
        self._rows: deque[Mapping[str, Any]] = deque(maxlen=MAX_ROWS)
        self._drawer: Drawer | None = None

    def draw(self, row: "LiveRow") -> np.ndarray | None:
        """The picture of the next row, RGB, with what is predicted of it; None where it has none."""
        from abaw.views.drawing.drawer import Drawer
        from abaw.views.drawing.scene import Scenes

        self._rows.append(row.columns)
        if row.shown.rgb is None:
            return None
        columns = {name: np.array([each[name] for each in self._rows], object) for name in row.columns}
        scenes = Scenes(from_columns(CLIP, Path(), columns, self._document))
        scene = replace(scenes.at(len(self._rows) - 1), title=scenes.title(row.time_s, row.frame))
        picture = row.shown.rgb.copy()
        height, width, _ = picture.shape
        if self._drawer is None or (self._drawer.height, self._drawer.width) != (height, width):
            self._drawer = Drawer(height, width)
        self._drawer.draw(picture, scene)
        return picture


class Window:
    """Shows the pictures of a session. Raises InputError where there is no display, or OpenCV has no windows."""

    def __init__(self) -> None:
        import cv2

        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise InputError("--show needs a display, and there is none (DISPLAY is not set): leave it out")
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise InputError("--show needs OpenCV with windows, and this one has none: leave it out") from error
        self._picture: LivePicture | None = None

    def show(self, row: "LiveRow", blocks: Sequence[Mapping[str, Any]]) -> bool:
        """Show a row's picture; False where the user has pressed q or closed the window."""
        import cv2

        self._picture = self._picture or LivePicture(blocks)
        drawn = self._picture.draw(row)
        if drawn is not None:
            cv2.imshow(TITLE, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(1) & 0xFF
        return key != ord("q") and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
