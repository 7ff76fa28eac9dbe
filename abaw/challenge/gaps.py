"""Rows of a challenge file that repeat or fill in values: how many there are, where, and how many are allowed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from abaw.errors import InputError
from abaw.results.observed import describe_clips

MAX_HELD = 0.01
MAX_FILLED = 0.5
NUM_ALWAYS_HELD = 5


@dataclass(frozen=True)
class ClipRows:
    """A clip's rows in a challenge file: of observed frames, of other frames of the clip, and after its last frame.

    ``num_unused``: predicted frames after the last one that the template asks for.
    """

    clip_id: str
    num_observed: int
    num_filled: int
    num_held: int
    num_unused: int = 0

    @property
    def num_rows(self) -> int:
        return self.num_observed + self.num_filled + self.num_held


@dataclass(frozen=True)
class GapLimits:
    """The shares of rows, of each clip and of all clips together, that may be held or filled.

    ``max_held``: rows after the clip's last predicted frame, which repeat its last value. Templates ask for a frame or
    two more than a video has, but 1 % of a median clip of Aff-Wild2 are 40 frames: more is a table of another video, or
    one that was cut. Unless it is 0, ``NUM_ALWAYS_HELD`` rows of a clip are allowed, for short clips. ``max_filled``:
    rows of frames in which nothing was observed, whose values are the network's guess or, with gap filling, lie between
    those of its neighbours. Faces are hidden or turned away for long in videos of everyday life; where it is most of a
    clip, the person was not found. Raises InputError for other numbers than 0 to 1.
    """

    max_held: float = MAX_HELD
    max_filled: float = MAX_FILLED

    def __post_init__(self) -> None:
        for name in ("max_held", "max_filled"):
            share = getattr(self, name)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise InputError(f"{name} is {share!r}, expected a share of the rows from 0 to 1")

    def check(self, rows: Sequence[ClipRows], place: str) -> None:
        """Raises InputError, naming ``place``, clips and counts, where more rows are held or filled than is allowed."""
        held, filled = _of(rows, "num_held"), _of(rows, "num_filled")
        slack = NUM_ALWAYS_HELD if self.max_held else 0
        for key, share, few, counts, words in (
            ("max_held", self.max_held, slack, held, "are beyond the clip's last prediction: its last value is held"),
            ("max_filled", self.max_filled, 0, filled, "are of frames in which nothing was observed"),
        ):
            many = {clip: each for clip, each in counts.items() if each[0] > max(few, share * each[1])}
            num, total = sum(each[0] for each in counts.values()), sum(each.num_rows for each in rows)
            if not many and num > max(few, share * total):
                many = counts
            if many:
                raise InputError(
                    f"{place}: {describe_clips(many)} {words}, more than the allowed {share:.3g} of the rows: "
                    f"predict these clips again, or allow it with --{key.replace('_', '-')} SHARE (in a recipe: "
                    f"submission.{key}=SHARE)"
                )


def gap_lines(rows: Sequence[ClipRows]) -> Iterator[str]:
    """A line for the held rows, one for the filled rows, and one for many unused frames, each with its clips."""
    for words, name in (("last value held", "num_held"), ("nothing observed", "num_filled")):
        if counts := _of(rows, name):
            yield f"{words}: {describe_clips(counts)}"
    unused = {each.clip_id: (each.num_unused, each.num_unused + each.num_rows) for each in rows}
    if many := {clip: each for clip, each in unused.items() if each[0] > max(NUM_ALWAYS_HELD, MAX_HELD * each[1])}:
        yield f"predicted, but not asked for: {describe_clips(many, 'frame')} after the template's last row of the clip"


def _of(rows: Sequence[ClipRows], name: str) -> dict[str, tuple[int, int]]:
    """How many of a clip's rows are so, and how many it has, by clip; only clips that have some."""
    return {each.clip_id: (getattr(each, name), each.num_rows) for each in rows if getattr(each, name)}
