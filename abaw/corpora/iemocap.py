"""IEMOCAP: ten actors in five sessions of dialogues, with emotions and three ratings of every turn."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from abaw.corpora import CORPORA
from abaw.corpora.base import Corpus, Row, number_at, only_present
from abaw.errors import InputError, NotFoundError

FACTS = {
    "licence": "research only, on request",
    "source": "Busso et al. 2008, Language Resources and Evaluation 42(4)",
    "verified": "on a fixture of its documented layout",
}

# excitement counts as happiness in the usual set of four classes; other turns are left out
FOUR = {"neu": "neutral", "hap": "happiness", "exc": "happiness", "sad": "sadness", "ang": "anger"}
ALL = {
    "neu": "neutral", "hap": "happiness", "exc": "excitement", "sad": "sadness", "ang": "anger", "fru": "frustration",
    "fea": "fear", "sur": "surprise", "dis": "disgust",
}  # fmt: skip
UNLABELLED = ("xxx", "oth")
TURN = re.compile(r"\[([\d.]+) - ([\d.]+)\]\t(Ses\d\d[FM]_\S+)\t([a-z]{3})\t\[([\d.]+), ([\d.]+), ([\d.]+)\]", re.ASCII)
VALUES = ("valence", "arousal", "dominance")  # in the order of the files


@CORPORA.register
def iemocap(
    *,
    folder: Path,
    media: Literal["sound", "video"] = "sound",
    labels: Literal["classes", "all_classes", "values"] = "classes",
) -> Corpus:
    """Turns with four classes, nine classes, or valence, arousal and dominance (1 to 5); groups are the sessions.

    The sound is of single turns. The videos are of whole dialogues with both actors in the picture, side by side: a
    turn is the part from its start to its end, and the face must be chosen with --target.
    """
    files = sorted(folder.rglob("Session*/dialog/EmoEvaluation/Ses*.txt"))
    if not files:
        raise NotFoundError(
            f"no file of this corpus below {folder}: expected Session1/dialog/EmoEvaluation/Ses01F_...txt"
        )
    rows, num_absent = only_present(folder, _rows(folder, files, media, labels), "{} turns".format)
    names = list(dict.fromkeys((ALL if labels == "all_classes" else FOUR).values()))
    declared: dict[str, Any] = {"classes": {"column": "emotion", "names": names}}
    if labels == "values":
        declared = {"values": {"columns": list(VALUES), "range": [1, 5]}}
    notes = ("the corpus has no official split: leave one session out with folds",)
    return Corpus(folder, rows, declared, num_absent, notes)


def _rows(folder: Path, files: list[Path], media: str, labels: str) -> Iterator[tuple[str | None, Row]]:
    classes = ALL if labels == "all_classes" else FOUR
    for path in files:
        session, dialogue = path.parents[2], path.stem
        for line, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if not text.startswith("["):
                continue
            turn, place = TURN.fullmatch(text.rstrip()), f"{path}:{line}"
            if turn is None:
                raise InputError(f"{place}: {text[:60]!r}, expected [START - END], turn, emotion, [V, A, D]")
            start_s, stop_s, name, emotion = turn[1], turn[2], turn[3], turn[4]
            if labels != "values" and emotion not in {**ALL, **dict.fromkeys(UNLABELLED)}:
                raise InputError(f"{place}: {emotion!r} is no emotion of this corpus, expected one of {', '.join(ALL)}")
            if labels != "values" and emotion not in classes:
                continue
            row: Row = {"clip": name, "group": session.name, "speaker": f"{name[:5]}{name.rpartition('_')[2][0]}"}
            if labels == "values":
                row |= {key: number_at(turn[5 + i], place) for i, key in enumerate(VALUES)}
            else:
                row["emotion"] = classes[emotion]
            if media == "sound":
                found = session / f"sentences/wav/{dialogue}/{name}.wav"
            else:
                found = session / f"dialog/avi/DivX/{dialogue}.avi"
                row |= {"start_s": number_at(start_s, place), "stop_s": number_at(stop_s, place)}
            yield found.relative_to(folder).as_posix(), row
