"""What must hold where a command accepted a damaged input: its rows are those of the input, or it says what it did.

Each oracle reads the damaged file by itself, more strictly than the project does, and returns what is wrong, or None.
"""

import contextlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pyarrow import parquet

MIN_REPORTED_S = 0.1  # what is missing of the announced length is reported from 0.06 s on; rows are up to 40 ms apart
NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Outcome:
    """What a command ended with: exit code, what it printed, and the content of the files it made by their name."""

    words: str
    code: int
    out: str
    err: str
    made: dict[str, bytes] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return f"{self.out}\n{self.err}"


def nothing(target: Path, before: Outcome, after: Outcome) -> str | None:
    """Any result of an accepted input is right."""
    return None


def same_or_said(target: Path, before: Outcome, after: Outcome) -> str | None:
    """The same result, or words that name the file or its clip."""
    if after.made == before.made and after.out == before.out:
        return None
    return None if _is_named(target, after) else "another result, and nothing names the file"


def same_rows_or_said(target: Path, before: Outcome, after: Outcome) -> str | None:
    """Another report is one that names the file or a clip of it."""
    return None if after.out == before.out or _is_named(target, after) or "clip_" in after.text else "another report"


def document(target: Path, before: Outcome, after: Outcome) -> str | None:
    """The same document gives the same result."""
    try:
        is_same = json.loads(target.read_bytes()) == json.loads(target.with_name(f"{target.name}.sound").read_bytes())
    except ValueError:
        return "accepted, although it is no JSON"
    except RecursionError:  # the command did not read this file, else it would have refused it
        return None
    return "the same document, another result" if is_same and after.made != before.made else None


def labels(target: Path, before: Outcome, after: Outcome) -> str | None:
    """The values that the project reads are those of a strict reader."""
    from abaw.dataset import annotations

    place = str(target)
    read, num = (
        (annotations.read_valence_arousal, 2)
        if "/VA_" in place
        else (annotations.read_expression, 1)
        if "/EXPR_" in place
        else (annotations.read_action_units, 12)
    )
    try:
        found = read(target)
    except ValueError:
        return None
    rows = _rows(target)[1:]
    if len(rows) != len(found.values):
        return f"{len(rows)} rows, {len(found.values)} were read"
    for row, values, scored in zip(rows, found.values, found.scored, strict=True):
        cells = [cell.strip(" \t") for cell in row.split(",")]
        if len(cells) != num or not all(NUMBER.fullmatch(cell) for cell in cells):
            return f"{row!r} was read as {values.tolist()}"
        if scored and not np.allclose(values, [float(cell) for cell in cells], atol=1e-6):
            return f"{row!r} was read as {values.tolist()}"
    return None


def template(target: Path, before: Outcome, after: Outcome) -> str | None:
    """A challenge file has the template's rows, one for one."""
    made = after.made.get("a.txt")
    if made is None:
        return None
    asked = [row.partition(",")[0].strip(" \t") for row in _rows(target)]
    given = [row.partition(",")[0] for row in made.decode("utf-8", "surrogateescape").splitlines()]
    return None if asked == given else f"{len(asked)} rows were asked for, {len(given)} given, or others"


def submission(target: Path, before: Outcome, after: Outcome) -> str | None:
    """A file that is verified has the template's rows with plain numbers in [-1, 1]."""
    if after.code:
        return None
    asked = [row.partition(",")[0] for row in _rows(target.with_name("template.txt"))]
    rows = _rows(target)
    if [row.partition(",")[0].strip(" ") for row in rows] != asked:
        return "verified with other rows than the template's"
    for row in rows[1:]:
        cells = row.split(",")[1:]
        if len(cells) != 2 or not all(NUMBER.fullmatch(c.strip(" ")) and abs(float(c)) <= 1 for c in cells):
            return f"verified with the row {row!r}"
    return None


def table(target: Path, before: Outcome, after: Outcome) -> str | None:
    """The rows of a challenge file are the table's values, unchanged; the table is plausible."""
    made = after.made.get("a.txt")
    if made is None or made == before.made["a.txt"]:
        return None
    if _is_named(target, after):
        return None
    num_asked = len(_rows(target.parents[2] / "template.txt")) - 1
    if parquet.read_table(target).num_rows >= 0.8 * num_asked and "beyond the clip's end" in after.out:
        return None
    sound = parquet.read_table(target.with_name(f"{target.name}.sound"))
    found = parquet.read_table(target)
    if found.equals(sound):
        return "the same table, another result"
    return "another challenge file from a damaged table, and nothing names it"


def media(target: Path, before: Outcome, after: Outcome) -> str | None:
    """Rows that were lost or moved are reported."""
    if not after.words.startswith("extract") or _is_named(target, after):
        return None
    for name in ("store/clock", "store/voice_mel"):
        was, now = _track(before, name, target.stem), _track(after, name, target.stem)
        if now is None:
            return f"no {name}, and nothing names the clip"
        if was is None or _is_cut(was, now, target):
            continue
        if len(was) != len(now) or not np.allclose(was, now, atol=1e-3):
            return f"{name} has {len(now)} rows for {len(was)}, or moved ones, and nothing names the clip"
    return None


def places(target: Path, before: Outcome, after: Outcome) -> str | None:
    """Rows keep their places. What is missing, new or moved is reported; nothing moves where stamps are sound."""
    if not after.words.startswith("extract"):
        return None
    is_reported = after.text != before.text and _is_named(target, after)
    was, now = (_track(outcome, "store/clock", target.stem) for outcome in (before, after))
    if now is None:
        return None if is_reported else "no clock, and nothing names the clip"
    stamps, sound_stamps = (_stamps(path) for path in (target, target.with_name(f"{target.name}.sound")))
    if was is not None and stamps and stamps <= sound_stamps and not _is_part(now, was):
        return f"all stamps of the {len(now)} rows are sound, yet some of the {len(was)} rows are at other times"
    for name in ("store/clock", "store/voice_mel"):
        was, now = (_track(outcome, name, target.stem) for outcome in (before, after))
        is_same = now is not None and was is not None and len(was) == len(now) and np.allclose(was, now, atol=1e-3)
        if is_reported or was is None or is_same or (now is not None and _is_cut(was, now, target)):
            continue
        return (
            f"{name}: {0 if now is None else len(now)} rows for {len(was)}, or moved ones, and nothing names the clip"
        )
    return None


def _stamps(path: Path) -> set[tuple[int, float]]:
    """The stamps of the pictures' packets, in seconds, each with its number among equal ones."""
    import av

    found: Counter[float] = Counter()
    stamps = set()
    with (
        contextlib.suppress(av.FFmpegError, IndexError, OSError, ValueError, OverflowError),
        av.open(str(path)) as container,
    ):
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                time_s = -1.0 if packet.pts is None else round(float(packet.pts * packet.time_base), 4)
                found[time_s] += 1
                stamps.add((found[time_s], time_s))
    return stamps


def _is_cut(was: np.ndarray, now: np.ndarray, target: Path) -> bool:
    """Whether only an end is missing that the file does not announce: whole packets, or less than 0.1 s."""
    num = len(now)
    is_start = 0 < num < len(was) and np.allclose(was[:num], now, atol=1e-3)
    return is_start and (_ends_with_packet(target) or was[-1] - now[-1] <= MIN_REPORTED_S)


def _ends_with_packet(path: Path) -> bool:
    """Whether a file of a format that announces no length ends where one of its packets does."""
    data = path.read_bytes()
    if path.suffix == ".ts":
        return len(data) % 188 == 0
    last = max(data.rfind(b"\0\0\1" + bytes([number])) for number in range(0xBD, 0xF0))
    return path.suffix == ".mpg" and last + 6 + int.from_bytes(data[last + 4 : last + 6], "big") <= len(data)


def _is_part(now: np.ndarray, was: np.ndarray) -> bool:
    """Whether every time is one of those that were there, within the rounding of times between rounded stamps."""
    return len(was) > 0 and bool((np.abs(now[:, None] - was[None]).min(1) < 5e-3).all())


def _track(outcome: Outcome, name: str, clip: str) -> np.ndarray | None:
    from safetensors.numpy import load

    found = next(
        (data for place, data in outcome.made.items() if place.startswith(name) and f"/{clip}.safetensors" in place),
        None,
    )
    return None if found is None else load(found)["times_s"]


def _is_named(target: Path, outcome: Outcome) -> bool:
    return target.name in outcome.text or target.stem in outcome.text


def _rows(path: Path) -> list[str]:
    rows = [row.rstrip("\r") for row in path.read_bytes().decode("utf-8-sig", "surrogateescape").split("\n")]
    while rows and not rows[-1].strip(" \t"):
        rows.pop()
    return rows
