"""From the outputs of windows to final predictions: stitching, gap filling, smoothing, calibration, scale and bias."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from abaw.configs.sections import MAX_WIDTHS, Overlap, Smoother, Space, WidthUnit
from abaw.dataset.seen import Seen
from abaw.errors import InputError, NotFoundError
from abaw.files import read_json
from abaw.files.seals import SEAL, is_sealed, seal, without_seal
from abaw.probabilities.contexts import Modalities
from abaw.probabilities.maps import ProbabilityMaps, parse_maps
from abaw.registry import nearest
from abaw.tasks.base import Task

OPTIONAL = ("match_scale", "match_bias", "fitted_on_groups", "calibration")  # left out of a document where empty
AnySmoother = Literal["none", Smoother]
UNIT_WORDS = {"frames": "frames", "seconds": "s", "images": "labelled images"}


def stitch(
    pieces: Iterable[tuple[int, Float[np.ndarray, "_ out"]]], num_steps: int, overlap: Overlap = "mean"
) -> Float[np.ndarray, "{num_steps} out"]:
    """One raw output per step from windows that may overlap: the mean over all windows that cover the step.

    A piece is the first step of a window, counted from 0, and its rows. With ``overlap`` "centre" a row's weight falls
    linearly from the middle of its window to the ends, with "mean" all weights are equal. Raw outputs are averaged, not
    probabilities, and in float64, so that the order of the windows does not matter. Raises InputError where there is no
    piece, one reaches beyond ``num_steps``, or a step is covered by none.
    """
    total: np.ndarray | None = None
    weight = np.zeros(num_steps)
    for first, rows in pieces:
        stop = first + len(rows)
        if first < 0 or stop > num_steps:
            raise InputError(f"a window of steps {first} .. {stop - 1} does not lie in a clip of {num_steps} steps")
        if total is None:
            total = np.zeros((num_steps, rows.shape[1]))
        count = np.ones(len(rows))
        if overlap == "centre":
            count = np.minimum(np.arange(1, len(rows) + 1), np.arange(len(rows), 0, -1)).astype(float)
        total[first:stop] += count[:, None] * rows
        weight[first:stop] += count
    if total is None:
        raise InputError(f"no window at all for a clip of {num_steps} steps: give windows that cover every step")
    if not weight.all():
        raise InputError(
            f"step {int(np.flatnonzero(weight == 0)[0])} of {num_steps} is covered by no window: "
            "give windows with a stride up to their length, the last one ending at the last step"
        )
    return total / weight[:, None]


def fill(values: Float[np.ndarray, "time columns"], observed: Bool[np.ndarray, " time"]) -> np.ndarray:
    """Unobserved steps by linear interpolation between observed ones; at the ends the nearest observed row.

    Where nothing is observed, the values as they are.
    """
    if not observed.any():
        return values
    steps = np.arange(len(values))
    return np.stack([np.interp(steps, steps[observed], column[observed]) for column in values.T], axis=1)


def smooth(values: Float[np.ndarray, "time columns"], smoother: AnySmoother, width: int) -> np.ndarray:
    """Every column smoothed over ``width`` frames (odd, centred); the first and last value are repeated at the ends.

    "gaussian" has a standard deviation of a quarter of the width and is cut off at the width. "savgol" takes the middle
    of a parabola fitted to the window (Savitzky and Golay 1964). Its ends are treated like the others': scipy's
    default, a parabola through the first and the last window, overshoots there and needs clips longer than the window.
    """
    from scipy import ndimage  # late: commands that do not smooth start faster

    if smoother == "none" or width <= 1 or not len(values):
        return values
    if smoother == "box":
        return np.asarray(ndimage.uniform_filter1d(values, width, axis=0, mode="nearest"))
    if smoother == "median":  # column by column: scipy is ten times as fast along the only axis
        columns = [ndimage.median_filter(np.ascontiguousarray(column), width, mode="nearest") for column in values.T]
        return np.stack(columns, axis=1)
    if smoother == "gaussian":
        return np.asarray(ndimage.gaussian_filter1d(values, width / 4, axis=0, mode="nearest", radius=width // 2))
    from scipy import signal  # takes most of a second to import

    return np.asarray(signal.savgol_filter(values, width, min(2, width - 1), axis=0, mode="nearest"))


def num_frames(width_s: int | float, times_s: Float[np.ndarray, " time"]) -> int:
    """The odd number of frames nearest to ``width_s`` seconds, at the median interval of these times; at least 1."""
    if len(times_s) < 2:
        return 1
    return 2 * max(0, round((width_s / float(np.median(np.diff(times_s))) - 1) / 2)) + 1


def smooth_images(
    values: Float[np.ndarray, "time columns"], images: Bool[np.ndarray, " time"], smoother: AnySmoother, width: int
) -> np.ndarray:
    """The rows of ``images`` smoothed over ``width`` of them, one after the other; the rows between are interpolated.

    Rows before the first image and after the last are as these. Without any image, the values as they are.
    """
    if smoother == "none" or width <= 1 or not images.any():
        return values
    found = values.copy()
    found[images] = smooth(values[images], smoother, width)
    return fill(found, images)


@dataclass(frozen=True)
class PostProcessing:
    """What is done to a task's raw tables before they are scored or submitted, the same for validation and test.

    Gaps are filled (``fill_gaps``), then columns are smoothed over ``width`` in ``space``, then the logits of classes
    and units are mapped so that probabilities are calibrated (``calibration``; None: they are not), then every logit
    (for valence and arousal: every value) is multiplied by ``scale`` and ``bias`` is added: class biases and thresholds
    of units are biases. They move decisions and with them the probabilities, so these are calibrated only without
    them. Empty ``scale`` and ``bias``: 1 and 0. Before the maps, ``match_scale`` and ``match_bias`` give logits
    of the mean of several folds' networks the mean and spread of single ones, on which maps, scale and bias were fitted
    (``abaw.calibration.matching``); they have no effect without one of these. ``fitted_on`` names the videos whose
    labels it was fitted on, ``fitted_on_groups`` the groups where the data set has them; scoring one of them with it is
    an error. ``unit`` of the width: "frames", "seconds" or "images" (see ``smoothed``). Raises InputError for a width
    that is no odd number of frames or images, or not above 0 s, and for a number that is not finite.
    """

    fill_gaps: bool = False
    smoother: AnySmoother = "none"
    width: int | float = 1
    space: Space = "probabilities"
    scale: tuple[float, ...] = ()
    bias: tuple[float, ...] = ()
    fitted_on: tuple[str, ...] = ()
    fitted_on_groups: tuple[str, ...] = ()
    unit: WidthUnit = "frames"
    match_scale: tuple[float, ...] = ()
    match_bias: tuple[float, ...] = ()
    calibration: ProbabilityMaps | None = None

    def __post_init__(self) -> None:
        if self.unit == "seconds":
            if not 0 < self.width < np.inf:
                raise InputError(f"post-processing: width is {self.width}, expected seconds above 0")
        elif self.width < 1 or self.width % 2 != 1:
            raise InputError(f"post-processing: width is {self.width}, expected an odd number of {self.unit}")
        if self.width > MAX_WIDTHS[self.unit]:
            raise InputError(
                f"post-processing: width is {self.width}, expected {MAX_WIDTHS[self.unit]} {self.unit} or less"
            )
        for name, numbers in self._numbers():
            if not np.isfinite(numbers).all():
                raise InputError(f"post-processing: {name} is {list(numbers)}, expected finite numbers")

    def apply(
        self,
        task: Task,
        values: Float[np.ndarray, "time columns"],
        observed: Bool[np.ndarray, " time"],
        times_s: Float[np.ndarray, " time"] | None = None,
        images: Bool[np.ndarray, " image"] | None = None,
        modalities: Modalities | None = None,
    ) -> Float[np.ndarray, "time columns"]:
        """One clip's table after post-processing; float32. See ``smoothed``.

        ``modalities``: which of them were observed in each frame, for a calibration that depends on it. Raises what
        ``check`` and ``ProbabilityMaps.apply`` raise.
        """
        self.check(task)
        smoothed = self.smoothed(task, values, observed, times_s, images)
        if not self.is_fitted_to_logits:
            return smoothed
        logits = task.logits(smoothed) * np.array(self.match_scale or [1.0]) + np.array(self.match_bias or [0.0])
        if self.calibration is not None:
            logits = self.calibration.apply(task, logits, modalities)
        return task.probabilities(logits * np.array(self.scale or [1.0]) + np.array(self.bias or [0.0]))

    def _numbers(self) -> tuple[tuple[str, tuple[float, ...]], ...]:
        return tuple((name, getattr(self, name)) for name in ("scale", "bias", "match_scale", "match_bias"))

    def check(self, task: Task) -> None:
        """Raises InputError where scale or bias do not have one number for each logit of the task, and where the
        calibration is of another task or of other classes."""
        if self.calibration is not None:
            self.calibration.check(task)
        for name, numbers in self._numbers():
            if numbers and len(numbers) != task.out_dim:
                raise InputError(
                    f"post-processing: {name} has {len(numbers)} numbers, {task.name} has {task.out_dim} logits"
                )

    def smoothed(
        self,
        task: Task,
        values: Float[np.ndarray, "time columns"],
        observed: Bool[np.ndarray, " time"],
        times_s: Float[np.ndarray, " time"] | None = None,
        images: Bool[np.ndarray, " image"] | None = None,
    ) -> Float[np.ndarray, "time columns"]:
        """The table with its gaps filled and its columns smoothed, before scale and bias; float32.

        ``times_s`` of the frames turn a width in seconds into frames. ``images``: whether each frame, from frame 1 on,
        is one of the images that a width in images counts: the frames with a label, or those that a challenge file asks
        for; without it, and for a clip-level task, the observed frames. Raises InputError where a width in seconds
        comes without times.
        """
        columns = (fill(values, observed) if self.fill_gaps else values).astype(np.float64)
        if self.smoother == "none":
            return columns.astype(np.float32)
        if self.space == "logits":
            columns = task.logits(columns)
        if self.unit == "images":
            counted = observed.copy()
            if images is not None and task.resolution == "frame":
                counted = np.zeros(len(values), bool)
                counted[: len(images)] = images[: len(values)]
            columns = smooth_images(columns, counted, self.smoother, int(self.width))
        else:
            columns = smooth(columns, self.smoother, self._num_frames(times_s))
        return task.probabilities(columns) if self.space == "logits" else columns.astype(np.float32)

    def _num_frames(self, times_s: np.ndarray | None) -> int:
        if self.unit == "frames":
            return int(self.width)
        if times_s is None:
            raise InputError("post-processing: a width in seconds needs the times of the frames (times_s)")
        return num_frames(self.width, times_s)

    def __str__(self) -> str:
        width = f"{self.width:g} {UNIT_WORDS[self.unit]}"
        smoothed = f"{self.smoother} over {width}{' of logits' if self.space == 'logits' else ''}"
        parts = ["gaps filled" if self.fill_gaps else "", smoothed if self.smoother != "none" else "not smoothed"]
        for name, numbers in (("scale", self.scale), ("bias", self.bias)):
            parts.append(f"{name} {' '.join(f'{number:.3g}' for number in numbers)}" if numbers else "")
        parts.insert(2, str(self.calibration) if self.calibration else "")
        parts.append("matched to single folds" if self.match_scale and self.is_fitted_to_logits else "")
        return ", ".join(part for part in parts if part)

    @property
    def seen(self) -> Seen:
        """The videos and groups whose labels it was fitted on."""
        return Seen(self.fitted_on, self.fitted_on_groups)

    @property
    def is_fitted_to_logits(self) -> bool:
        """Whether it has a calibration, a scale or a bias, which are of the predictor that they were fitted on."""
        return bool(self.calibration or self.scale or self.bias)

    def without_shift(self) -> "PostProcessing":
        """The same without scale and bias: what the calibration makes of the probabilities."""
        return replace(self, scale=(), bias=())

    def shrunk(self, strength: float) -> "PostProcessing":
        """The same with only this share (0 to 1) of what scale and bias change."""
        scale = tuple(1 + strength * (number - 1) for number in self.scale)
        return replace(self, scale=scale, bias=tuple(strength * number for number in self.bias))

    def document(self) -> dict[str, Any]:
        """The settings as they are written to JSON; some only where there are such."""
        document = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        if self.calibration is not None:
            document["calibration"] = self.calibration.document()
        return {key: value for key, value in document.items() if value or key not in OPTIONAL}


def parse_post_processing(document: Any, place: str, task: Task | None = None) -> PostProcessing:
    """The inverse of ``document``. Raises InputError, naming ``place``, for wrong settings or those of another task."""
    known = {key: field.default for key, field in PostProcessing.__dataclass_fields__.items()}
    if not isinstance(document, dict):
        raise InputError(
            f"{place}: post-processing is {document!r}, expected an object with keys of {', '.join(known)}"
        )
    given: dict[str, Any] = {}
    for key, value in without_seal(document).items():
        if key not in known:
            raise InputError(
                f"{place}: unknown key {key!r} in post-processing{nearest(key, known)} known: {', '.join(known)}"
            )
        given[key] = value if key == "calibration" else _typed(place, key, value, known[key])
    try:
        if "calibration" in given:
            given["calibration"] = parse_maps(given["calibration"])
        post_processing = PostProcessing(**given)
        if task is not None:
            post_processing.check(task)
        return post_processing
    except ValueError as error:
        raise InputError(f"{place}: {error}") from error


def _typed(place: str, key: str, value: Any, default: Any) -> Any:
    """A value of a JSON document, checked against the type of the key's default; lists hold numbers or names."""
    words = {"smoother": get_args(AnySmoother), "space": get_args(Space), "unit": get_args(WidthUnit)}.get(key)
    if words and value not in words:
        raise InputError(f"{place}: post-processing: {key} is {value!r}, expected one of {', '.join(words)}")
    if not isinstance(default, tuple):
        if type(value) is not type(default) and not (key == "width" and isinstance(value, float)):  # True is no width
            raise InputError(f"{place}: post-processing: {key} is {value!r}, expected {type(default).__name__}")
        return value
    kinds = (str,) if key.startswith("fitted_on") else (int, float)
    if not isinstance(value, list) or any(isinstance(item, bool) or not isinstance(item, kinds) for item in value):
        raise InputError(
            f"{place}: post-processing: {key} is {value!r}, expected a list of {'names' if str in kinds else 'numbers'}"
        )
    try:
        return tuple(item if str in kinds else float(item) for item in value)
    except OverflowError:  # an integer of hundreds of digits
        raise InputError(f"{place}: post-processing: {key} has a number beyond 1e308: give a smaller one") from None


def fitted_document(fitted: Mapping[str, PostProcessing]) -> dict[str, Any]:
    """The JSON document of a file of fitted post-processing by task, each sealed with its checksum."""
    return {name: seal(each.document(), task=name) for name, each in fitted.items()}


def check_unchanged(documents: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The documents of a file of post-processing by task, without their checksums; those written by hand have none.

    Raises InputError where one has changed since it was fitted.
    """
    for name, document in documents.items():
        if isinstance(document, dict) and SEAL in document and not is_sealed(document, task=name):
            raise InputError(
                f"{path}, {name}: the post-processing has changed since it was fitted: fit it again with abaw fit, or, "
                f'if you changed it on purpose, remove its key "{SEAL}"'
            )
    return {name: without_seal(each) if isinstance(each, dict) else each for name, each in documents.items()}


def read_post_processing(path: Path, tasks: Mapping[str, Task]) -> dict[str, PostProcessing]:
    """The post-processing that `abaw fit` wrote for these tasks, of which at least one must have some.

    Raises NotFoundError where there is no file, InputError, naming it, where it is not what `abaw fit` writes.
    """
    if not path.is_file():
        raise NotFoundError(f"no post-processing at {path}: fit one with abaw fit")
    documents = read_json(path)
    if not isinstance(documents, dict):
        raise InputError(f"{path}: expected a JSON object, task -> post-processing, as abaw fit writes it")
    documents = check_unchanged(documents, path)
    known = {name: documents[name] for name in tasks if name in documents}
    if not known:
        raise InputError(
            f"{path} has no post-processing for {', '.join(tasks)}; it has {', '.join(documents) or 'none at all'}"
        )
    return {name: parse_post_processing(document, f"{path}, {name}", tasks[name]) for name, document in known.items()}
