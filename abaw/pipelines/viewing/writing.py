"""Writes the views of clips: which there are, under which names, and what of a clip could not be shown."""

import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.errors import AbawError, InputError, explain
from abaw.files import as_list
from abaw.progress import ProgressCallback, silent
from abaw.views.exports.subtitles import SHORTEST_S
from abaw.views.timeline import Timeline, read_timeline

if TYPE_CHECKING:
    from abaw.dataset.clip import Clip
    from abaw.dataset.layout import Dataset
    from extract.store.store import FeatureStore


@dataclass(frozen=True)
class ViewedClip:
    """A clip to be shown: its ``timeline``, its media file and streams, and the features that were extracted of it.

    ``embed``: media become part of a page in place of a link. ``shortest_s``: subtitles that are shorter are left out.
    ``progress``: called with the clip, the frames done and their number by what takes long.
    """

    clip: "Clip"
    store: "FeatureStore"
    folder: Path
    embed: bool = False
    shortest_s: float = SHORTEST_S
    progress: ProgressCallback = silent

    @cached_property
    def timeline(self) -> Timeline:
        return read_timeline(self.folder, self.clip.clip_id)


Writer = Callable[[ViewedClip, Path], str]


@dataclass(frozen=True)
class View:
    """One form of a clip's timeline: ``<clip><suffix>``.

    ``writer``: "module:function", imported when it is used. It writes the file, complete or not at all, and returns
    what its reader must know, such as that a clip has no picture so that nothing was written; else "". ``beside``: the
    suffixes of other files that it may write. ``needs``: "module:function" that raises InputError where a package is
    missing; it is called before anything is extracted.
    """

    name: str
    suffix: str
    writer: str
    meaning: str
    beside: tuple[str, ...] = ()
    needs: str = ""

    def write(self, viewed: ViewedClip, path: Path) -> str:
        write: Writer = _function(self.writer)
        return write(viewed, path)


_PICTURES, _EXPORTS = "abaw.pipelines.viewing.pictures", "abaw.pipelines.viewing.exports"
_VIEWS: tuple[View, ...] = (
    View(
        "page", ".html", "abaw.pipelines.viewing.page:write", "a page with the player and the timeline", (".proxy.mp4",)
    ),
    View(
        "overlay",
        ".overlay.mp4",
        "abaw.pipelines.viewing.overlay:write_overlay",
        "a video with faces, classes, valence and arousal drawn on it",
    ),
    View("png", ".png", f"{_PICTURES}:write_picture", "the timeline as a picture"),
    View("svg", ".svg", f"{_PICTURES}:write_picture", "the timeline as a vector graphic"),
    View("eaf", ".eaf", f"{_EXPORTS}:write_elan", "annotations for ELAN"),
    View("srt", ".srt", f"{_EXPORTS}:write_subrip", "the most probable class as SubRip subtitles"),
    View("vtt", ".vtt", f"{_EXPORTS}:write_webvtt", "the most probable class as WebVTT subtitles"),
    View(
        "rrd",
        ".rrd",
        f"{_EXPORTS}:write_rerun",
        "a recording for the Rerun viewer",
        needs="abaw.views.exports.recording:check_installed",
    ),
)
PLOTS, EXPORTS = ("png", "svg"), ("eaf", "srt", "vtt", "rrd")
VIEWS = {each.name: each for each in _VIEWS}


def check_views(names: Sequence[str]) -> list[View]:
    """The views of these names, each once. Raises InputError for an unknown one."""
    if unknown := [name for name in names if name not in VIEWS]:
        raise InputError(f"views: {unknown[0]!r} is unknown, expected some of {', '.join(VIEWS)}")
    found = [VIEWS[name] for name in dict.fromkeys(names)]
    for each in found:
        if each.needs:
            _function(each.needs)()
    return found


def remove_outdated(folder: Path, clip_id: str, written: Container[str]) -> list[str]:
    """Remove the views of a clip, because its tables change; returns their names.

    ``written``: the names of files in the folder that an analysis wrote; others stay.
    """
    suffixes = [suffix for view in _VIEWS for suffix in (view.suffix, *view.beside)]
    names = [name for suffix in suffixes if (name := f"{clip_id}{suffix}") in written and (folder / name).is_file()]
    for name in names:
        (folder / name).unlink()
    return names


def chosen(names: Sequence[str] | None, known: Sequence[str], option: str) -> list[str]:
    """The names that an option was given. Raises InputError where it does not have one of them."""
    if unknown := [name for name in names or () if name not in known]:
        raise InputError(f"{option} {unknown[0]!r} is unknown, expected one of {', '.join(known)}")
    return list(names or ())


@dataclass(frozen=True)
class Viewing:
    """Which views of clips to write, and how."""

    views: tuple[View, ...]
    embed: bool
    shortest_s: float

    @classmethod
    def of(cls, views: str | Sequence[str], *, embed: bool, shortest_subtitle_s: float) -> "Viewing":
        """What a caller asks for. Raises InputError where a value cannot be used, or a package is missing."""
        if not 0 <= shortest_subtitle_s < math.inf:
            raise InputError(f"shortest_subtitle_s is {shortest_subtitle_s}, expected a number of seconds, 0 or more")
        found = check_views(as_list(views, "views", "the name of a view or a list of these"))
        return cls(tuple(found), embed, shortest_subtitle_s)

    def write(
        self, dataset: "Dataset", store: "FeatureStore", clip_ids: Sequence[str], progress: ProgressCallback
    ) -> tuple[list[str], list[str]]:
        """Write what there is to look at of each clip into the root of the data set.

        Returns a line for each view of which its reader must know something, and one for each that could not be
        written because of its clip, its media or its file. Raises OSError where nothing can be written, as on a full
        disk.
        """
        remarks, failed = [], []
        for done, clip_id in enumerate(clip_ids if self.views else ()):
            progress(f"views of {clip_id}", done, len(clip_ids))
            viewed = ViewedClip(dataset.clips[clip_id], store, dataset.root, self.embed, self.shortest_s, progress)
            for view in self.views:
                try:
                    remark = view.write(viewed, viewed.folder / f"{clip_id}{view.suffix}")
                except (AbawError, PermissionError, IsADirectoryError, FileNotFoundError) as error:
                    failed.append(f"{clip_id}: {view.name}: not written: {explain(error)}")
                else:
                    remarks += [f"{clip_id}: {view.name}: {remark}"] if remark else []
        return remarks, failed


def _function(name: str) -> Any:
    """What "module:function" names."""
    module, function = name.split(":")
    return getattr(import_module(module), function)
