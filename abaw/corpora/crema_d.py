"""CREMA-D: 91 actors speak twelve sentences in six emotions; crowds rated voice, face, and both."""

import re
from pathlib import Path
from typing import Literal

from abaw.corpora import CORPORA
from abaw.corpora.base import AGAIN, Corpus, Row, find_files, number_at, read_table
from abaw.errors import InputError
from abaw.numbers import format_count

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
    found, notes = find_files(folder, pattern, NAME, f"files such as {expected}")
    rows: list[Row] = []
    for path, match in found:
        row: Row = {"path": path.relative_to(folder).as_posix(), "group": match[1], "level": match[3]}
        if votes is None:
            rows.append({**row, "emotion": EMOTIONS[match[2]]})
        elif path.stem in votes:
            rows.append({**row, **votes[path.stem]})
    if votes is None:
        return Corpus(folder, rows, {"classes": {"column": "emotion", "names": list(EMOTIONS.values())}}, notes=notes)
    if not rows:
        raise InputError(f"{folder / VOTES} has no votes on any of the {len(found)} clips: copy the file again")
    if len(rows) < len(found):
        notes += (f"{format_count(len(found) - len(rows), 'clip')} without votes left out",)
    declared = {"classes": {"columns": {name: name for name in LETTERS.values()}}}
    return Corpus(folder, rows, declared, len(votes) - len(rows), notes)


def _read_votes(path: Path, shown: str) -> dict[str, Row]:
    """The share of each class among the votes, by clip. The first column has no name: it numbers the rows."""
    shares: dict[str, Row] = {}
    first: dict[tuple[str, str], str] = {}
    for line, row in read_table(path, [*LETTERS, "fileName"], with_row_names=True):
        number, clip, place = next(iter(row.values())), row["fileName"], f"{path}:{line}"
        counts = {name: number_at(row[letter], place, 0) for letter, name in LETTERS.items()}
        if number[:1] not in SHOWN.values():
            raise InputError(f"{place}: the row's number {number!r}, expected one that begins with 1, 2 or 3: {AGAIN}")
        if re.fullmatch(NAME, clip, re.ASCII) is None:
            raise InputError(f"{place}: the clip {clip!r}, expected a name such as 1001_DFA_ANG_XX: {AGAIN}")
        if (before := first.setdefault((number[0], clip), place)) != place:
            raise InputError(f"{place}: {clip} is listed a second time, first in {before}: copy the file again")
        if not (total := sum(counts.values())):
            raise InputError(f"{place}: {clip} has no votes: {AGAIN}")
        if number[0] == shown:
            shares[clip] = {name: round(count / total, 6) for name, count in counts.items()}
    return shares
