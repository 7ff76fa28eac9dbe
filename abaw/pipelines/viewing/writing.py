"""Writes the views of clips: which there are, under which names, and what of a clip could not be shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from abaw.errors import InputError
from abaw.views.timeline import Timeline, read_timeline

if TYPE_CHECKING:
    from abaw.dataset.clip import Clip
    from extract.store.store import FeatureStore


@dataclass(frozen=True)
class ViewedClip:
    """A clip to be shown: its ``timeline``, its media file and streams, and the features that were extracted of it.

    ``embed``: media become part of a page in place of a link.
    """

    clip: "Clip"
    store: "FeatureStore"
    folder: Path
    embed: bool = False

    @cached_property
    def timeline(self) -> Timeline:
        return read_timeline(self.folder, self.clip.clip_id)


Writer = Callable[[ViewedClip, Path], str]


@dataclass(frozen=True)
class View:
    """One form of a clip's timeline: ``<clip><suffix>``.

    ``writer``: "module:function", imported when it is used. It writes the file, complete or not at all, and returns
    what its reader must know, such as that a clip has no picture so that nothing was written; else "". ``beside``: the
    suffixes of other files that it may write.
    """

    name: str
    suffix: str
    writer: str
    meaning: str
    beside: tuple[str, ...] = ()

    def write(self, viewed: ViewedClip, path: Path) -> str:
        module, function = self.writer.split(":")
        write: Writer = getattr(import_module(module), function)
        return write(viewed, path)


_VIEWS: tuple[View, ...] = (
    View(
        "page", ".html", "abaw.pipelines.viewing.page:write", "a page with the player and the timeline", (".proxy.mp4",)
    ),
)
VIEWS = {each.name: each for each in _VIEWS}


def check_views(names: Sequence[str]) -> list[View]:
    """The views of these names, each once. Raises InputError for an unknown one."""
    if unknown := [name for name in names if name not in VIEWS]:
        raise InputError(f"views: {unknown[0]!r} is unknown, expected some of {', '.join(VIEWS)}")
    return [VIEWS[name] for name in dict.fromkeys(names)]


def write_views(viewed: ViewedClip, views: Sequence[View]) -> list[str]:
    """Write the views of a clip into its folder; a line for each that has something to say."""
    clip_id = viewed.clip.clip_id
    said = [(view, view.write(viewed, viewed.folder / f"{clip_id}{view.suffix}")) for view in views]
    return [f"{clip_id}: {view.name}: {remark}" for view, remark in said if remark]
