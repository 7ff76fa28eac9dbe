"""What the tracks of a folder in int8 lost and what they take, for ``abaw store info``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abaw.numbers import format_count
from extract.store.eight_bit.fitting import MIN_ROWS, Int8Error

if TYPE_CHECKING:
    from extract.store.track_file import TrackFile


@dataclass(frozen=True)
class Int8Track:
    """One track in int8: its error, whether its columns are standardised, and the bytes of its values."""

    error: Int8Error
    is_standardised: bool
    num_bytes: int
    num_values: int

    @classmethod
    def of(cls, file: "TrackFile") -> "Int8Track":
        """Of a track's file."""
        return cls(file.int8_error(), file.columns is not None, file.num_value_bytes, file.values.size)


@dataclass(frozen=True)
class Int8Summary:
    """The tracks of a folder in int8: ``worst`` has the largest errors of any of them.

    ``num_standardised`` of the ``num_tracks`` tracks have standardised columns; ``num_short`` are too short for the
    error of a column. ``size``: the bytes of the values beside those that they would take in float16.
    """

    num_tracks: int
    num_standardised: int
    num_short: int
    size: float
    worst: Int8Error

    def __str__(self) -> str:
        short = f"; {format_count(self.num_short, 'track')} of fewer than {MIN_ROWS} rows: columns not measured"
        larger = "; larger than in float16, which loses less: keep that"
        return (
            f"int8: {100 * self.size:.1f} % of the size in float16, columns standardised in {self.num_standardised} of "
            f"{self.num_tracks} tracks; largest error of a track {self.worst}, cosine at least "
            f"{self.worst.min_cosine:.5f}, values differ by up to {self.worst.max_difference:.3g}"
            f"{short if self.num_short else ''}{larger if self.size >= 1 else ''}"
        )


def summarise(tracks: Sequence[Int8Track]) -> Int8Summary | None:
    """The tracks together; None where there is none."""
    if not tracks:
        return None
    errors = [each.error for each in tracks]
    of_columns = [each.columns for each in errors if each.columns is not None]
    worst = Int8Error(
        max(each.rows for each in errors),
        max(of_columns, default=None),
        min(each.min_cosine for each in errors),
        max(each.max_difference for each in errors),
    )
    size = sum(each.num_bytes for each in tracks) / max(1, 2 * sum(each.num_values for each in tracks))
    num_standardised = sum(each.is_standardised for each in tracks)
    return Int8Summary(len(tracks), num_standardised, len(errors) - len(of_columns), round(size, 4), worst)
