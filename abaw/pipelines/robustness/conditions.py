"""Under which conditions a run is scored: which modalities are absent, and which disturbances of what strength."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.pipelines.analysis.presence import inputs_of
from abaw.pipelines.robustness.sources import AbsentSource, DroppedSource, Noise, NoisySource

if TYPE_CHECKING:
    from abaw.batches import FeatureSource
    from extract.store.store import Recipe

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the time that is dropped
STRENGTHS = (0.25, 0.5, 1.0, 2.0)  # of noise, in standard deviations
SHIFTS_S = (0.04, 0.08, 0.16, 0.24, 0.32, 0.4)  # of sound, either way

MakeSource = Callable[[], "FeatureSource"]


@dataclass(frozen=True)
class AblationPlan:
    """The features with some modalities unobserved."""

    name: str
    observed: list[str]
    make: MakeSource


@dataclass(frozen=True)
class CurvePlan:
    """The features at growing strengths of a disturbance; of a random one by seed, else a single one without."""

    name: str
    unit: str
    meaning: str
    modalities: list[str]
    points: "list[tuple[float, dict[int | None, MakeSource]]]"


def find_inputs(recipes: "Mapping[str, Recipe]") -> dict[str, str]:
    """Modality -> "face", "picture" or "sound", from the recipes of its features; "" where they do not say.

    Imported features of pictures count as faces, the embedding of a run, made of several modalities, as neither.
    """
    return {name: _input_of(recipe) for name, recipe in recipes.items()}


def _input_of(recipe: "Recipe") -> str:
    if recipe.get("encoder") == "import":
        return {"vision": "face", "audio": "sound", "text": "sound"}.get(str(recipe.get("modality")), "")
    if recipe.get("encoder") == "embedding":
        return ""
    (kind,) = inputs_of([recipe])
    return {"voice": "sound"}.get(kind, kind)


def plan_ablations(source: "FeatureSource") -> list[AblationPlan]:
    """Each modality absent in turn, and each alone; of two modalities that is the same. None of a single one."""
    names = list(source.names())
    kept = {f"{name} alone": [name] for name in names} if len(names) > 1 else {}
    if len(names) > 2:
        kept = {f"without {name}": [each for each in names if each != name] for name in names} | kept
    return [
        AblationPlan(name, observed, partial(AbsentSource, source, set(names) - set(observed)))
        for name, observed in kept.items()
    ]


def plan_curves(
    source: "FeatureSource",
    inputs: Mapping[str, str],
    shifted: "Callable[[Mapping[str, float]], FeatureSource]",
    std: Mapping[str, np.ndarray],
    seeds: Sequence[int],
    stretch_s: float,
    *,
    is_of_stills: bool = False,
) -> list[CurvePlan]:
    """The robustness curves that make sense for these modalities; those of a kind that is not there are left out.

    ``shifted``: the source with tracks moved by seconds. ``std``: of each modality's features, for noise.
    """
    of = {kind: [name for name in source.names() if inputs.get(name) == kind] for kind in ("sound", "face")}
    in_stretches = "whole pictures" if is_of_stills else f"in stretches of {stretch_s:g} s, at times drawn with a seed"
    share = "share of the pictures" if is_of_stills else "share of the time"
    found = []
    for kind, words in (("sound", "sound"), ("face", "faces")):
        if of[kind]:
            points = [
                (each, _by_seed(seeds if each < 1 else seeds[:1], DroppedSource, source, of[kind], each, stretch_s))
                for each in SHARES
            ]
            meaning = f"{', '.join(of[kind])} unobserved for a share of the time of every clip, {in_stretches}"
            found.append(CurvePlan(f"{words} dropped", share, meaning, of[kind], points))
    noisy = [name for name in source.names() if name in std]
    noise = [(each, _by_seed(seeds, _add_noise, source, each, std)) for each in STRENGTHS]
    meaning = (
        "Gaussian noise, independent in every frame and feature, added to the features after alignment; strength 1 is "
        "the standard deviation of each feature. It is no noise in the sound or the picture itself"
    )
    found.append(CurvePlan("noise", "standard deviations", meaning, noisy, noise))
    if of["sound"] and not is_of_stills:
        shifts_s = sorted([*SHIFTS_S, *(-each for each in SHIFTS_S)])
        moved: list[tuple[float, dict[int | None, MakeSource]]] = [
            (each, {None: partial(shifted, dict.fromkeys(of["sound"], each))}) for each in shifts_s
        ]
        meaning = (
            f"the times of {', '.join(of['sound'])} moved against the frame timestamps before alignment: above 0 the "
            "sound comes later than it was recorded, below 0 earlier"
        )
        found.append(CurvePlan("sound shifted", "s", meaning, of["sound"], moved))
    return found


def _by_seed(seeds: Sequence[int], make: Any, *given: Any) -> dict[int | None, MakeSource]:
    """One source for each seed, the last argument of ``make``."""
    return {seed: partial(make, *given, seed) for seed in seeds}


def _add_noise(source: "FeatureSource", strength: float, std: Mapping[str, np.ndarray], seed: int) -> NoisySource:
    return NoisySource(source, Noise(strength, std, seed))
