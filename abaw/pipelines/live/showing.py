"""A window with the picture of a live analysis and what is predicted of it."""

import os
import sys
from typing import TYPE_CHECKING

from abaw.errors import InputError

if TYPE_CHECKING:
    from abaw.pipelines.live.running import LiveRow

TITLE = "abaw live (q ends)"


class Window:
    """Shows pictures with the face's box and what is predicted.

    Raises InputError where there is no display, or OpenCV was built without windows.
    """

    def __init__(self) -> None:
        import cv2

        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise InputError("--show needs a display, and there is none (DISPLAY is not set): leave it out")
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise InputError("--show needs OpenCV with windows, and this one has none: leave it out") from error

    def show(self, row: "LiveRow") -> bool:
        """Show a row's picture; False where the user has pressed q or closed the window."""
        import cv2

        if row.shown.rgb is not None:
            picture = cv2.cvtColor(row.shown.rgb, cv2.COLOR_RGB2BGR)
            if row.shown.face is not None:
                box = row.shown.face.box
                first, last = (round(box.x), round(box.y)), (round(box.x + box.width), round(box.y + box.height))
                cv2.rectangle(picture, first, last, (0, 200, 255), 2)
            cv2.putText(picture, row.short, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 3)
            cv2.putText(picture, row.short, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1)
            cv2.imshow(TITLE, picture)
        is_open = cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
        return cv2.waitKey(1) & 0xFF != ord("q") and is_open
