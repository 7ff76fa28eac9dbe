"""The check of a data set: what it holds, and what in it leads to lost or wrong rows."""

from pathlib import Path
from typing import TYPE_CHECKING

from abaw.dataset.layout import open_dataset
from abaw.dataset.media_files import Streams
from abaw.files import as_path
from abaw.progress import ProgressCallback, as_progress, silent

if TYPE_CHECKING:
    from extract.dataset_check.check import CheckReport


def check(
    data: str | Path,
    *,
    video_stream: int | None = None,
    audio_stream: int | None = None,
    progress: ProgressCallback = silent,
) -> "CheckReport":
    """Look at every clip and label file of a data set, a media file or a folder of media.

    The report has facts for every clip and split, and findings: what would lose rows or shift them, each with advice.
    ``video_stream`` and ``audio_stream``: the streams to look at, as in ``extract``. Raises NotFoundError where
    ``data`` does not exist. Files that cannot be read are findings, not errors.
    """
    from extract.dataset_check.check import check as check_dataset

    dataset = open_dataset(data).with_streams(Streams(video_stream, audio_stream))
    return check_dataset(dataset, progress=as_progress(progress))


def synthesize(
    out: str | Path, *, clips: int = 36, seconds: float = 12.0, seed: int = 0, progress: ProgressCallback = silent
) -> Path:
    """Make a small data set in Aff-Wild2's layout whose answers are known; the same seed gives the same bytes."""
    from extract.synthetic.dataset import make_dataset

    def report(done: int, total: int) -> None:
        progress("video", done, total)

    folder = as_path(out, "out")
    as_progress(progress)
    make_dataset(folder, num_clips=clips, seconds=seconds, seed=seed, progress=report)
    return folder
