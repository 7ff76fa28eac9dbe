"""Raw outputs of a trained module frame by frame, while a clip goes on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from abaw.batches import Window, collate
from abaw.configs.sections import WindowConfig
from abaw.errors import InputError
from abaw.postprocessing import stitch
from abaw.tracks import Track
from fusion.module import FusionModule
from fusion.predict import outputs_of_batch
from fusion.validation import Raw, state_key


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread of PyTorch's: a step is little work, and faces of the next picture are searched meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class FramePredictor:
    """A module's outputs of a clip frame by frame, for a module whose outputs depend on no later step.

    Windows begin at every multiple of the stride, as in ``predict``, except that no window is moved so that it ends
    with the clip: where clips end is not known. Outputs of a frame are averaged over the windows that hold it and
    shifted as in validation. ``context``: as ``find_context`` gives it. Raises InputError for "window".
    """

    def __init__(
        self, module: FusionModule, window: WindowConfig, context: str, *, states_of: Sequence[str] = ()
    ) -> None:
        if context not in ("step", "past"):
            raise InputError(f"outputs depend on the {context}, expected those that depend on no later step")
        self._module, self._states_of, self._window = module.eval(), states_of, window
        self._config = module.config.model_copy(update={"window": window})
        self._tasks = {**module.tasks, **{state_key(name): module.tasks[name] for name in states_of}}
        self._num_back = 1 if context == "step" else window.length
        self._shift = module.config.training.label_shift
        self._num_kept = self._num_back + self._shift
        self._times_s = np.zeros(2 * self._num_kept)  # of the steps from ``first`` on
        self._values = {
            name: np.zeros((2 * self._num_kept, dim), np.float32) for name, dim in self._module.dims.items()
        }
        self._observed = {name: np.zeros(2 * self._num_kept, bool) for name in self._module.dims}
        self._first = self._num_steps = 0

    def add(self, time_s: float, rows: Mapping[str, Track]) -> None:
        """Add the next step: the aligned row of every modality."""
        place = self._num_steps - self._first
        if place == len(self._times_s):  # full: the second half moves to the front
            arrays: list[np.ndarray] = [self._times_s, *self._values.values(), *self._observed.values()]
            for array in arrays:
                array[: self._num_kept] = array[self._num_kept :].copy()
            self._first, place = self._first + self._num_kept, self._num_kept
        self._times_s[place] = time_s
        for name in self._module.dims:
            self._values[name][place], self._observed[name][place] = rows[name].values[0], rows[name].observed[0]
        self._num_steps += 1

    def predict(self) -> tuple[Raw, dict[str, np.ndarray]]:
        """The last step's outputs by task (1 out), with states, and which modalities were observed (1)."""
        goal = max(0, self._num_steps - 1 - self._shift)
        if self._num_back == 1:
            starts = [goal]
        else:
            first = -(-max(0, goal - self._window.length + 1) // self._window.stride)
            starts = list(range(first * self._window.stride, goal + 1, self._window.stride))
        batch = collate([self._make_window(start, goal + 1) for start in starts])
        with _one_thread():
            found = outputs_of_batch(self._module, batch, self._states_of)
        observed = {name: np.any([seen[name][-1:] for _, _, seen in found], axis=0) for name in self._module.dims}
        return {name: self._mean(name, goal, found) for name in self._tasks}, observed

    def _mean(self, name: str, goal: int, found: Sequence[tuple[int, Raw, dict[str, np.ndarray]]]) -> np.ndarray:
        """The mean over windows, by the weights that they have when they are complete."""
        if self._num_back == 1:
            return found[0][1][name].astype(np.float64)
        length = self._window.length
        pieces = []
        for first, raw, _ in found:
            rows = np.zeros((length, raw[name].shape[1]))
            rows[goal - first] = raw[name][-1]
            pieces.append((first - found[0][0], rows))
        return stitch(pieces, pieces[-1][0] + length, self._config.window.overlap)[[goal - found[0][0]]]

    def _make_window(self, start: int, stop: int) -> Window:
        place = slice(start - self._first, stop - self._first)
        times_s = self._times_s[place]
        signals = {
            name: Track(self._values[name][place], times_s, self._observed[name][place]) for name in self._module.dims
        }
        return Window("live", start, torch.tensor(times_s), signals, {}, {})
