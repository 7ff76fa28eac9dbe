"""What each edition of the challenge asks of a submission, task by task: facts, without a line that depends on them.

`abaw submit` goes by the template alone; this table says what templates to expect. A remark marks what is not verified.
"""

from dataclasses import asdict, dataclass
from typing import Any

EXPRESSION_NAMES = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"
UNITS = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
COMPOUNDS = (
    "Fearfully_Surprised,Happily_Surprised,Sadly_Surprised,Disgustedly_Surprised,Angrily_Surprised,Sadly_Fearful,"
    "Sadly_Angry"
)
MEETINGS = {5: "CVPR 2023", 6: "CVPR 2024", 7: "ECCV 2024", 8: "CVPR 2025", 10: "CVPR 2026", 11: "ECCV 2026"}
IMAGE = "<clip>/<frame of five digits>.jpg"
END = "_test_set_release.txt"


@dataclass(frozen=True)
class Edition:
    """One task of one edition.

    ``header`` None: the file has no header line. ``located`` is the text before a row's first comma, ``row`` what
    follows it in a submission, ``sample_values`` what follows it in the organisers' sample. ``rows`` (header not
    counted) and ``clips`` None: not published. ``sample``, ``test_list`` and ``annotations`` are names of the
    organisers' files and folder, ``called`` what a submission must be called. ``remarks`` say what is not verified.
    """

    name: str
    edition: int
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
    remarks: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line."""
        asked = "rows not published" if self.rows is None else f"{self.rows:,} rows"
        asked += "" if self.clips is None else f" of {self.clips} {'clips' if self.located == IMAGE else 'videos'}"
        head = "no header" if self.header is None else "header"
        remarks = f" (not verified: {'; '.join(self.remarks)})" if self.remarks else ""
        return f"{MEETINGS[self.edition]}: {head}, {self.located},{self.row}; {asked}{remarks}"


def _frames(edition: int, task: str, **facts: Any) -> Edition:
    """A row an image, of one of the tasks with a class or values a frame."""
    header, row = {
        "va": ("image_location,valence,arousal", "<valence>,<arousal>"),
        "expr": (f"image_location,{EXPRESSION_NAMES}", "<class 0 .. 7>"),
        "au": (f"image_location,{UNITS}", "<12 times 0 or 1>"),
        "mtl": ("image,valence,arousal,expression,aus", "<valence>,<arousal>,<class 0 .. 7>,<12 times 0 or 1>"),
        "ce": (f"image_location,{COMPOUNDS}", "<class 0 .. 6>"),
    }[task]
    facts = {"sample_values": "none" if edition == 5 else "dummies", **facts}
    return Edition(f"{task}-{edition}", edition, task, header, IMAGE, row, **facts)


def _uni_task(edition: int) -> list[Edition]:
    """VA, EXPR and AU, whose test set is the same from the 5th edition on."""
    remarks: tuple[str, ...] = ("rows and clips as in the 6th edition",) if edition == 10 else ()
    samples = {
        5: ("CVPR_5th_ABAW_{}_test_set_sample.txt", "VA", "EXPR", "AU"),
        6: ("CVPR_6th_ABAW_{}_test_set_example.txt", "VA", "Expr", "AU"),
        8: ("CVPR_6th_ABAW_{}_test_set_example.txt", "VA", "Expr", "AU"),
        10: ("ABAW_{}_test_set_sample.txt", "VA", "Expr", None),
    }[edition]
    kind = "Classification" if edition == 5 else "Recognition"
    asked = {
        "va": (927_210, 162, "Valence_Arousal_Estimation_Challenge", "VA_Estimation_Challenge"),
        "expr": (1_022_655, 228, f"Expression_{kind}_Challenge", f"EXPR_{kind}_Challenge"),
        "au": (729_736, 141, "Action_Unit_Detection_Challenge", "AU_Detection_Challenge"),
    }
    return [
        _frames(
            edition,
            task,
            rows=rows,
            clips=clips,
            sample=None if word is None else str(samples[0]).format(word),
            test_list=test_list + END,
            annotations=folder,
            remarks=remarks,
        )
        for word, (task, (rows, clips, test_list, folder)) in zip(samples[1:], asked.items(), strict=True)
    ]


def _mtl(edition: int) -> Edition:
    return _frames(
        edition,
        "mtl",
        sample_values="none",
        rows=51_159,
        test_list="MTL_Challenge" + END,
        annotations="training_set_annotations.txt, validation_set_annotations.txt",
        remarks=() if edition == 7 else ("rows as in the 7th edition",),
    )


def _ce(edition: int) -> Edition:
    if edition == 8:
        return _frames(8, "ce", remarks=("the whole format, taken from the 6th and 7th editions",))
    sample = "CVPR_6th_ABAW_CE_test_set_example.txt" if edition == 6 else None
    return _frames(edition, "ce", rows=26_145, clips=56, sample=sample)


def _emi(edition: int) -> Edition:
    header = "Filename,Admiration,Amusement,Determination,Empathic Pain,Excitement,Joy"
    remarks = ("how a row names its video", *(("the whole format, taken from the 8th edition",) * (edition == 10)))
    return Edition(f"emi-{edition}", edition, "emi", header, "<video>", "<6 intensities>", "not known", remarks=remarks)


def _ah(edition: int) -> Edition:
    if edition == 8:
        located, rows, clips = "<path of the video>/frame-<number from 0>.jpg", 169_479, 280
        return Edition("ah-8", 8, "ah", None, located, "<0 or 1>", "labels", rows, clips, called="trial-1.txt, ...")
    return Edition(
        f"ah-{edition}",
        edition,
        "ah",
        None,
        "<video>",
        "<p0>,<p1>,<0 or 1>",
        "probabilities that add up to 1 and labels",
        rows=152,
        clips=152,
        sample="trial-0.txt",
        called="trial-0.txt .. trial-4.txt",
        remarks=("<video>,<0 or 1> alone seems to be taken too",),
    )


EDITIONS: tuple[Edition, ...] = (
    *_uni_task(5),
    *_uni_task(6),
    _ce(6),
    _emi(6),
    _mtl(7),
    _ce(7),
    *_uni_task(8),
    _ce(8),
    _emi(8),
    _ah(8),
    *_uni_task(10),
    _emi(10),
    _ah(10),
    _mtl(11),
    _ah(11),
)


def rows() -> list[dict[str, Any]]:
    """Every task of every edition as JSON has it, ``name`` first."""
    return [{**asdict(each), "meeting": MEETINGS[each.edition], "summary": each.summary} for each in EDITIONS]
