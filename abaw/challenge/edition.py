"""One task of one edition of the challenge: what it asks of a submission, as facts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from abaw.dataset import names

IMAGE = "<clip>/<frame of five digits>.jpg"
END = "_test_set_release.txt"
# header, and what follows the location in a row of a submission, of the tasks with a row for every image
FRAME_FORMATS = {
    "va": (names.VA_HEADER, "<valence>,<arousal>"),
    "expr": (names.EXPR_HEADER, "<class 0 .. 7>"),
    "au": (names.AU_HEADER, "<12 times 0 or 1>"),
    "mtl": (names.MTL_HEADER, "<valence>,<arousal>,<class 0 .. 7>,<12 times 0 or 1>"),
    "ce": (names.CE_HEADER, "<class 0 .. 6>"),
}


@dataclass(frozen=True)
class Edition:
    """One task of one edition, which was held at ``meeting``.

    ``header`` None: the file has no header line. ``located`` is the text before a row's first comma, ``row`` what
    follows it in a submission, ``sample_values`` what follows it in the organisers' sample. ``rows`` (header not
    counted) and ``clips`` None: not published. ``sample``, ``test_list`` and ``annotations`` are names of the
    organisers' files and folder, ``called`` the required name of a submission. ``is_written``: whether `abaw submit`
    writes this format. ``remarks`` say what is not verified.
    """

    edition: int
    meeting: str
    task: str
    header: str | None
    located: str
    row: str
    sample_values: str
    rows: int | None = None
    clips: int | None = None
    sample: str | None = None
    test_list: str | None = None
    annotations: str | None = None
    called: str | None = None
    is_written: bool = True
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Such as "va-6"."""
        return f"{self.task}-{self.edition}"

    @property
    def summary(self) -> str:
        """One line."""
        asked = "rows not published" if self.rows is None else f"{self.rows:,} rows"
        asked += "" if self.clips is None else f" of {self.clips} {'clips' if self.located == IMAGE else 'videos'}"
        head = "no header" if self.header is None else "header"
        remarks = f" (not verified: {'; '.join(self.remarks)})" if self.remarks else ""
        files = "" if self.is_written or self.called is None else f"; files {self.called}"
        written = "" if self.is_written else "; abaw submit does not write this"
        row = ",".join(part for part in (self.located, self.row) if part)
        return f"{self.meeting}: {head}, {row}; {asked}{files}{written}{remarks}"


def frame_task(edition: int, meeting: str, task: str, **facts: Any) -> Edition:
    """A task with a row for every image."""
    header, row = FRAME_FORMATS[task]
    return Edition(edition, meeting, task, header, IMAGE, row, **{"sample_values": "dummies", **facts})


def single_tasks(
    edition: int, meeting: str, samples: Mapping[str, str | None], kind: str = "Recognition", **facts: Any
) -> tuple[Edition, ...]:
    """VA, EXPR and AU on the test set that is the same from the 5th edition on; ``samples``: task -> the sample file.

    ``kind``: how the names of the expression challenge's files call it.
    """
    asked = {
        "va": (927_210, 162, "Valence_Arousal_Estimation_Challenge", "VA_Estimation_Challenge"),
        "expr": (1_022_655, 228, f"Expression_{kind}_Challenge", f"EXPR_{kind}_Challenge"),
        "au": (729_736, 141, "Action_Unit_Detection_Challenge", "AU_Detection_Challenge"),
    }
    found = []
    for task, (rows, clips, test_list, folder) in asked.items():
        own = {"rows": rows, "clips": clips, "test_list": test_list + END, "annotations": folder}
        found.append(frame_task(edition, meeting, task, sample=samples[task], **own, **facts))
    return tuple(found)


def multitask(edition: int, meeting: str, **facts: Any) -> Edition:
    """MTL on s-Aff-Wild2's test set; ``facts`` replace those of the 7th edition."""
    seventh = {
        "sample_values": "none",
        "rows": 51_159,
        "test_list": "MTL_Challenge" + END,
        "annotations": "training_set_annotations.txt, validation_set_annotations.txt",
    }
    return frame_task(edition, meeting, "mtl", **{**seventh, **facts})


def violence(edition: int, meeting: str, *remarks: str) -> Edition:
    """Fine-grained violence detection on DVD: a file for each video, with a row for each frame."""
    return Edition(
        edition,
        meeting,
        "violence",
        "Frame_Number,Label",
        "<frame from 1>",
        "<0 or 1>",
        "not known",
        annotations="Training/annotations, Validation/annotations",
        called="<video>.csv for each video, in one zip file",
        is_written=False,
        remarks=("one team's code is the only source, and its README calls the label Predicted_Label", *remarks),
    )


def mimicry(edition: int, meeting: str, *remarks: str) -> Edition:
    """EMI: a row for every video."""
    remarks = ("whether a row names its video 00017, as the media files are called, or 17", *remarks)
    return Edition(
        edition, meeting, "emi", names.EMI_HEADER, "<video>", "<6 intensities>", "not known", remarks=remarks
    )


def ambivalence(edition: int, meeting: str) -> Edition:
    """AH with a row for every video, as from the 10th edition on."""
    return Edition(
        edition,
        meeting,
        "ah",
        None,
        "<video>",
        "<p0>,<p1>,<0 or 1>",
        "probabilities that add up to 1 and labels",
        rows=152,
        clips=152,
        sample="trial-0.txt",
        called="trial-0.txt .. trial-4.txt",
        remarks=("<video>,<0 or 1> alone seems to be accepted too",),
    )
