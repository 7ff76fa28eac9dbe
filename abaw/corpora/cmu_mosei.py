"""CMU-MOSEI: sentences of monologues with a sentiment and six emotions, rated by three persons each."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from abaw.corpora import CORPORA
from abaw.corpora.base import Corpus, Row, find_folder, number_at, only_present, read_table
from abaw.errors import InputError

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
    ratings = _read_ratings(find_folder(folder, RATINGS, expected), [labels] if labels == "sentiment" else EMOTIONS)
    names, suffix = MEDIA[media]
    files = find_folder(folder, names, expected).relative_to(folder)
    rows, num_absent = only_present(folder, _rows(segments, ratings, files, suffix), "{} rated sentences".format)
    limits: dict[str, Any] = {"columns": ["sentiment"], "range": [-3, 3]}
    if labels == "emotions":
        limits = {"columns": list(EMOTIONS), "range": [0, 3]}
    notes = ("the official split is not part of the archive: use folds, which keep videos apart",)
    return Corpus(folder, rows, {"values": limits}, num_absent, notes)


def _read_ratings(folder: Path, names: list[str] | tuple[str, ...]) -> dict[tuple[str, str], Row]:
    """The mean of all raters, by video and number of the sentence, from the crowd platform's CSV files."""
    given: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    columns = [f"Answer.{name}" for name in names]
    for path in sorted(folder.glob("*.csv")):
        for line, row in read_table(path, ["Input.VIDEO_ID", "Input.CLIP", *columns]):
            if all(row[column].strip() for column in columns):  # a rater who did not answer
                values = [number_at(row[column], f"{path}:{line}") for column in columns]
                given[row["Input.VIDEO_ID"].strip(), row["Input.CLIP"].strip()].append(values)
    return {
        key: {name: round(fmean(column), 6) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
        for key, rows in given.items()
    }


def _rows(
    segments: Path, ratings: dict[tuple[str, str], Row], files: Path, suffix: str
) -> Iterator[tuple[str | None, Row]]:
    found = set()
    for path in sorted(segments.glob("*.txt")):
        for line, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            cells = text.split("___", 4)
            if len(cells) != 5:
                raise InputError(f"{path}:{line}: {text[:60]!r}, expected VIDEO___NUMBER___START___STOP___TEXT")
            video, number, place = cells[0], cells[1], f"{path}:{line}"
            if (video, number) in ratings:
                found.add((video, number))
                times = {"start_s": number_at(cells[2], place), "stop_s": number_at(cells[3], place)}
                about = {"clip": f"{video}_{number}", "group": video}
                yield (files / f"{video}{suffix}").as_posix(), {**about, **times, **ratings[video, number]}
    yield from ((None, {}) for _ in ratings.keys() - found)
