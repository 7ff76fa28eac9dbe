"""IEMOCAP: ten actors in five sessions of dialogues, with emotions and three ratings of every turn."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from abaw.corpora import CORPORA
from abaw.corpora.base import AGAIN, Corpus, Listed, Row, number_at, only_present, part_at
from abaw.dataset.annotations import lines
from abaw.errors import InputError, NotFoundError
from abaw.numbers import format_count

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
IS_TURN = re.compile(r"^\[|\tSes\d\d[FM]_", re.ASCII)  # also of a damaged line
VALUES = ("valence", "arousal", "dominance")  # in the order of the files
RANGE, SLACK = (1, 5), 0.5  # of a rating; how far outside a mean is taken, as a few are said to be


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
    clipped: list[str] = []
    rows, num_absent, notes = only_present(folder, _rows(folder, files, media, labels, clipped), "{} turns".format)
    names = list(dict.fromkeys((ALL if labels == "all_classes" else FOUR).values()))
    declared: dict[str, Any] = {"classes": {"column": "emotion", "names": names}}
    if labels == "values":
        declared = {"values": {"columns": list(VALUES), "range": list(RANGE)}}
    if clipped:
        notes += (f"{format_count(len(clipped), 'turn')} with a mean up to 0.5 outside 1 to 5, set to the limit",)
    notes += ("the corpus has no official split: leave one session out with folds",)
    return Corpus(folder, rows, declared, num_absent, notes)


def _rows(folder: Path, files: list[Path], media: str, labels: str, clipped: list[str]) -> Iterator[Listed]:
    """``clipped`` gets the names of turns with a mean that was set to the limit of its range."""
    classes = ALL if labels == "all_classes" else FOUR
    for path in files:
        session, dialogue = path.parents[2], path.stem
        num_turns = 0
        for line, text in lines(path):
            if not IS_TURN.search(text):
                continue
            turn, place = TURN.fullmatch(text), f"{path}:{line}"
            if turn is None:
                raise InputError(f"{place}: {text[:60]!r}, expected [START - END], turn, emotion, [V, A, D]: {AGAIN}")
            num_turns += 1
            start_s, stop_s, name, emotion = turn[1], turn[2], turn[3], turn[4]
            if labels != "values" and emotion not in {**ALL, **dict.fromkeys(UNLABELLED)}:
                known = ", ".join([*ALL, *UNLABELLED])
                raise InputError(f"{place}: {emotion!r} is no emotion of this corpus, expected one of {known}: {AGAIN}")
            part, means = part_at(start_s, stop_s, place), [_mean(turn[5 + i], place) for i in range(len(VALUES))]
            if labels != "values" and emotion not in classes:
                continue
            row: Row = {"clip": name, "group": session.name, "speaker": f"{name[:5]}{name.rpartition('_')[2][0]}"}
            if labels == "values":
                inside = [min(max(mean, RANGE[0]), RANGE[1]) for mean in means]
                clipped += [name] * (inside != means)
                row |= dict(zip(VALUES, inside, strict=True))
            else:
                row["emotion"] = classes[emotion]
            if media == "sound":
                found = session / f"sentences/wav/{dialogue}/{name}.wav"
            else:
                found = session / f"dialog/avi/DivX/{dialogue}.avi"
                row |= part
            yield found.relative_to(folder).as_posix(), place, row
        if not num_turns:
            raise InputError(f"{path}: no turn in the file, expected lines of [START - END], turn, ...: copy it again")


def _mean(text: str, place: str) -> float:
    return number_at(text, place, RANGE[0] - SLACK, RANGE[1] + SLACK)
