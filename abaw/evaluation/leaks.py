"""Leaks: whether what made prediction tables has seen the videos they are scored on, as predictions.json records it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from abaw.dataset.names import video_of
from abaw.errors import InputError
from abaw.folds import check_apart
from abaw.postprocessing import PostProcessing
from abaw.results import predictions
from abaw.results.provenance import REPORTED
from abaw.results.runs import Run


def check_unseen(
    where: Path, split: str, scored: Iterable[str], about: Mapping[str, Any], post_processing: PostProcessing | None
) -> list[str]:
    """Remarks on what the tables were made from. Raises InputError for a leak; on "train" a leak is a remark."""
    remarks = []
    for what, names, clips, remedy in _sights(scored, about, post_processing):
        seen = {video_of(name) for name in names}  # a file that was made elsewhere may name clips
        if split == "train":
            if seen & {video_of(clip_id) for clip_id in clips}:
                remarks.append(f"scores on what was trained on: {what} has seen these videos")
            continue
        try:
            check_apart(seen, clips, f"{what} ({where})")
        except ValueError as error:
            raise InputError(f"{error}: {remedy}") from None
    if not any(about.get(key) for key in REPORTED):
        remarks.append("provenance unknown: nothing says which run made these tables, so no leak can be ruled out")
    elif not about.get("held_out") and (
        about.get("videos_seen") is None or "videos_seen" in (about.get("incomplete") or ())
    ):
        remarks.append("the training videos are not recorded, so no leak can be ruled out")
    return remarks


def _sights(
    scored: Iterable[str], about: Mapping[str, Any], post_processing: PostProcessing | None
) -> Iterator[tuple[str, Iterable[str], Iterable[str], str]]:
    """What has seen which videos, the clips that it must not have seen, and the remedy."""
    if post_processing is not None:
        remedy = "fit another without them (abaw fit --exclude-split validation), or score with --raw"
        yield "the post-processing", post_processing.fitted_on, scored, remedy
    ensemble = about.get("ensemble") or {}
    yield "the ensemble's fit", ensemble.get("fitted_on") or (), scored, "fit its weights on other clips"
    remedy = "score it on clips that it was not trained on, or ask for --split train"
    if not about.get("held_out") or len(about.get("run") or ()) == 1:
        yield "the training", about.get("videos_seen") or (), scored, remedy
        return
    for runs, clips in made_by(about, scored).items():  # each video was seen by the runs of the other folds
        for run in runs.split(" + "):
            if (Path(run) / "run.json").is_file():
                seen = Run(Path(run)).document().get("videos", {}).get("train", ())
                yield f"the training of {run}", seen, clips, remedy


def made_by(about: Mapping[str, Any], scored: Iterable[str]) -> dict[str, list[str]]:
    """Of the scored clips, those that each run predicted, where several runs made the tables; {} where not recorded."""
    runs: dict[str, list[str]] = {}
    for clip_id in scored:
        if clip_id in (about.get("made_by") or {}):
            runs.setdefault(about["made_by"][clip_id], []).append(clip_id)
    return dict(sorted(runs.items()))


def check_provenance(about: Mapping[str, Any], where: Path) -> None:
    """Raises InputError where an entry that decides on a leak has the wrong type: "13" is no list of videos."""
    ensemble = about.get("ensemble")
    for name, value, fits, expected in (
        ("run", about.get("run"), _is_names, "a list of names"),
        ("videos_seen", about.get("videos_seen"), _is_names, "a list of names"),
        ("held_out", about.get("held_out"), lambda value: isinstance(value, bool), "true or false"),
        ("made_by", about.get("made_by"), _is_words, "the run of each clip"),
        ("ensemble", ensemble, lambda value: isinstance(value, dict), "an object"),
        ("fitted_on", ensemble.get("fitted_on") if isinstance(ensemble, dict) else None, _is_names, "a list of names"),
    ):
        if value is not None and not fits(value):
            raise InputError(f"{where / predictions.METADATA}: {name} is {value!r}, expected {expected}")


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_words(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(word, str) for word in value.values())
