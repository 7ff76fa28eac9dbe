"""CREMA-D: 91 actors speak twelve sentences in six emotions; crowds rated voice, face, and both."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from abaw.corpora import CORPORA
from abaw.corpora.base import Corpus, Row, find_files, number_at, read_table
from abaw.errors import InputError

FACTS = {
    "licence": "ODbL 1.0 / DbCL 1.0",
    "source": "Cao et al. 2014, IEEE TAC 5(4)",
    "verified": "on three of its clips; its table of votes on a fixture",
}

EMOTIONS = {
    "ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral", "SAD": "sadness",
}  # fmt: skip
NAME = r"(\d{4})_[A-Z]{3}_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX|X)"
SHOWN = {"voice": "1", "face": "2", "both": "3"}  # the first digit of a row's number in tabulatedVotes.csv
VOTES = "processedResults/tabulatedVotes.csv"
LETTERS = {"A": "anger", "D": "disgust", "F": "fear", "H": "happiness", "N": "neutral", "S": "sadness"}


@CORPORA.register
def crema_d(
    *,
    folder: Path,
    media: Literal["video", "sound"] = "video",
    labels: Literal["intended", "voice", "face", "both"] = "intended",
) -> Corpus:
    """Acted emotions of 91 speakers. The label is the intended emotion, or the votes on the voice, the face, or both.

    Votes are shares of each class, from processedResults/tabulatedVotes.csv.
    """
    pattern, expected = (
        ("*.flv", "VideoFlash/1001_DFA_ANG_XX.flv") if media == "video" else ("*.wav", "AudioWAV/...wav")
    )
    votes = None if labels == "intended" else _read_votes(folder / VOTES, SHOWN[labels])
    rows, num_absent = [], 0
    for path, match in find_files(folder, pattern, NAME, f"files such as {expected}"):
        row: Row = {"path": path.relative_to(folder).as_posix(), "group": match[1], "level": match[3]}
        if votes is None:
            rows.append({**row, "emotion": EMOTIONS[match[2]]})
        elif path.stem in votes:
            rows.append({**row, **votes[path.stem]})
        else:
            num_absent += 1
    notes = (f"{num_absent} clips without votes are left out",) * bool(num_absent)
    if votes is None:
        return Corpus(folder, rows, {"classes": {"column": "emotion", "names": list(EMOTIONS.values())}}, notes=notes)
    return Corpus(folder, rows, {"classes": {"columns": {name: name for name in LETTERS.values()}}}, notes=notes)


def _read_votes(path: Path, shown: str) -> dict[str, Row]:
    return dict(_votes(path, shown))


def _votes(path: Path, shown: str) -> Iterator[tuple[str, Row]]:
    """The share of each class among the votes, by clip. The first column has no name: it numbers the rows."""
    for line, row in read_table(path, [*LETTERS, "fileName"]):
        number = next(iter(row.values()))
        if not number.startswith(shown):
            continue
        counts = {name: number_at(row[letter], f"{path}:{line}") for letter, name in LETTERS.items()}
        total = sum(counts.values())
        if total <= 0:
            raise InputError(f"{path}:{line}: {row['fileName']} has no votes")
        yield row["fileName"], {name: round(count / total, 6) for name, count in counts.items()}
