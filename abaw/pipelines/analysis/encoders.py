"""The encoders that runs were trained on, and how faces were chosen for them."""

from dataclasses import replace
from typing import TYPE_CHECKING

from abaw.errors import InputError
from abaw.pipelines.rebuilding import WeightPlaces, rebuild
from abaw.results.runs import Run

if TYPE_CHECKING:
    from extract.engine.plan import EncoderSpec
    from extract.faces.target import TargetConfig

TARGET, DETECT_EVERY = "largest", 5  # where neither the user nor a run says


def encoders_of_runs(
    runs: list[Run], device: str, places: WeightPlaces, faces: str | None, target: str | None, download: bool
) -> "tuple[list[EncoderSpec], TargetConfig, bool]":
    """Every encoder the runs were trained on, once, how faces are chosen, and whether missing ones are filled."""
    from abaw.pipelines.extraction import build_detector
    from extract.faces.target import TargetConfig

    recipes = [recipe for run in runs for recipe in run.finished()["recipes"].values()]
    distinct = [recipe for i, recipe in enumerate(recipes) if recipe not in recipes[:i]]
    trusted = all(run.trusted for run in runs)
    rebuilt = [rebuild(recipe, device, trusted=trusted, places=places) for recipe in distinct]
    configs = [config for _, config in rebuilt if config is not None]
    if any(config.recipe() != configs[0].recipe() for config in configs):
        raise InputError("these runs chose faces in different ways: analyze with one run at a time")
    fills = {"fill_missing_faces" in recipe for recipe in distinct if "faces" in recipe}
    if len(fills) > 1:
        raise InputError("these runs filled missing faces in different ways: analyze with one run at a time")
    detector = build_detector(faces or "centerface", download)
    config = configs[0] if configs else TargetConfig(detector, target or TARGET, DETECT_EVERY)
    if configs and faces is not None and detector.recipe() != config.detector.recipe():
        trained = config.detector.recipe()["finder"]
        raise InputError(
            f"--faces {faces} is not how the faces were found that the runs were trained on ({trained}), and their "
            "features would differ: leave --faces out"
        )
    config = config if target is None else replace(config, target=target)
    return [spec for spec, _ in rebuilt], config, fills == {True}
