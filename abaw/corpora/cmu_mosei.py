"""CMU-MOSEI: sentences of monologues with a sentiment and six emotions, rated by three persons each."""

import codecs
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from abaw.corpora import CORPORA
from abaw.corpora.base import AGAIN, Corpus, Listed, Row, find_folder, number_at, only_present, part_at, read_table
from abaw.errors import InputError, NotFoundError
from abaw.numbers import format_count

FACTS = {
    "licence": "research; the videos are their authors'",
    "source": "Zadeh et al. 2018, ACL",
    "verified": "on a fixture of its documented layout",
}

EMOTIONS = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
MEDIA = {
    "sound": (("Raw/Audio/Full/WAV_16000", "Audio/Full/WAV_16000"), ".wav"),
    "video": (("Raw/Videos/Full/Combined", "Videos/Full/Combined"), ".mp4"),
}
SEGMENTS = ("Raw/Transcript/Segmented/Combined", "Transcript/Segmented/Combined")
RATINGS = ("Raw/Labels", "Labels")


@CORPORA.register
def cmu_mosei(
    *,
    folder: Path,
    media: Literal["video", "sound"] = "video",
    labels: Literal["sentiment", "emotions"] = "sentiment",
) -> Corpus:
    """Sentences with a sentiment (-3 to 3) or six emotions (0 to 3), the mean of the raters; groups are the videos."""
    expected = "CMU_MOSEI.zip unpacked, with Raw/Transcript, Raw/Labels and the media"
    segments = find_folder(folder, SEGMENTS, expected)
    limits: dict[str, Any] = {"columns": ["sentiment"], "range": [-3, 3]}
    if labels == "emotions":
        limits = {"columns": list(EMOTIONS), "range": [0, 3]}
    ratings = _read_ratings(find_folder(folder, RATINGS, expected), limits["columns"], *limits["range"])
    names, suffix = MEDIA[media]
    files = find_folder(folder, names, expected).relative_to(folder)
    odd: list[str] = []
    rows, num_absent, notes = only_present(
        folder, _rows(segments, ratings, files, suffix, odd), "{} rated sentences".format
    )
    if odd:
        num = format_count(len(odd), "sentence")
        notes += (f"the text of {num} is not UTF-8, the first in {odd[0]}; the text is not used",)
    notes += ("the official split is not part of the archive: use folds, which keep videos apart",)
    return Corpus(folder, rows, {"values": limits}, num_absent, notes)


def _read_ratings(folder: Path, names: list[str], lowest: float, highest: float) -> dict[tuple[str, str], Row]:
    """The mean of all raters, by video and number of the sentence, from the crowd platform's CSV files."""
    given: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    columns = [f"Answer.{name}" for name in names]
    answers: dict[str, str] = {}  # the platform's number of an answer -> file and line
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise NotFoundError(f"no .csv file in {folder}: copy the corpus's ratings there")
    for path in paths:
        for line, row in read_table(path, ["Input.VIDEO_ID", "Input.CLIP", *columns]):
            place, video, number = f"{path}:{line}", row["Input.VIDEO_ID"], row["Input.CLIP"]
            if not video or not number:
                raise InputError(f"{place}: no Input.VIDEO_ID or no Input.CLIP, expected a rated sentence: {AGAIN}")
            answer = row.get("AssignmentId")
            if answer and (first := answers.setdefault(answer, place)) != place:
                raise InputError(
                    f"{place}: the answer {answer} is listed a second time, first in {first}: remove one, or copy the "
                    "file again"
                )
            if all(row[column] for column in columns):  # else a rater who did not answer
                values = [number_at(row[column], place, lowest, highest) for column in columns]
                given[video, number].append(values)
    return {
        key: {name: round(fmean(column), 6) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
        for key, rows in given.items()
    }


def _rows(
    segments: Path, ratings: dict[tuple[str, str], Row], files: Path, suffix: str, odd: list[str]
) -> Iterator[Listed]:
    """``odd`` gets the places of sentences whose text, which is not used, is not UTF-8."""
    found = set()
    for path in sorted(segments.glob("*.txt")):
        for place, cells in _sentences(path, odd):
            video, number, part = cells[0], cells[1], part_at(cells[2], cells[3], place)
            if (video, number) in ratings:
                found.add((video, number))
                about = {"clip": f"{video}_{number}", "group": video}
                yield (files / f"{video}{suffix}").as_posix(), place, {**about, **part, **ratings[video, number]}
    yield from ((None, "", {}) for _ in ratings.keys() - found)


def _sentences(path: Path, odd: list[str]) -> Iterator[tuple[str, list[str]]]:
    """File and line of each sentence, and its video, number, start and stop."""
    rows = path.read_bytes().removeprefix(codecs.BOM_UTF8).rstrip().split(b"\n")
    for line, row in enumerate(rows, 1):
        cells, place = row.split(b"___", 4), f"{path}:{line}"
        try:
            names = [cell.decode("ascii" if i > 1 else "utf-8") for i, cell in enumerate(cells[:4])]
        except UnicodeDecodeError:
            names = []
        if len(cells) != 5 or len(names) != 4 or not all(names) or b"\0" in row:
            raise InputError(f"{place}: {row[:60]!r}, expected VIDEO___NUMBER___START___STOP___TEXT in UTF-8: {AGAIN}")
        odd += [place] * (cells[4].decode(errors="ignore").encode() != cells[4])
        yield place, names
