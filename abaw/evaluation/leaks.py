"""Leaks: whether what made prediction tables has seen the videos or groups that they are scored on.

predictions.json and run.json record what was seen.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from abaw.dataset.seen import Seen, unit_of
from abaw.errors import InputError
from abaw.folds import check_apart
from abaw.postprocessing import PostProcessing
from abaw.results import predictions
from abaw.results.observed import are_counts
from abaw.results.provenance import REPORTED, TAUGHT_KEYS
from abaw.results.runs import Run
from abaw.results.selection import chosen_on, words_of
from abaw.results.subjects import check_no_subjects


def check_unseen(
    where: Path, split: str, scored: Mapping[str, str], about: Mapping[str, Any], post_processing: PostProcessing | None
) -> list[str]:
    """Remarks on what the tables were made from; ``scored`` maps clips to groups, "" for none.

    Raises InputError for a leak; on "train" a leak is a remark.
    """
    remarks = []
    for what, seen, clips, remedy in _sights(scored, about, post_processing):
        if split == "train":
            if seen.find(clips):
                unit = unit_of(clips.values())
                remarks.append(f"scores on what was trained on: {what} has seen these {unit}s")
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
    scored: Mapping[str, str], about: Mapping[str, Any], post_processing: PostProcessing | None
) -> Iterator[tuple[str, Seen, Mapping[str, str], str]]:
    """What has seen which videos and groups, the clips that it must not have seen, and the remedy."""
    if post_processing is not None:
        remedy = "fit another without them (abaw fit --exclude-split validation), or score with --raw"
        yield "the post-processing", post_processing.seen, scored, remedy
    fitted_on = fitted_on_of(about.get("ensemble") or {})
    yield "the ensemble's fit", fitted_on, scored, "fit its weights, or choose its members, on other clips"
    remedy = "score it on clips that it was not trained on, or ask for --split train"
    if not about.get("held_out") or (len(about.get("run") or ()) == 1 and not about.get("probes")):
        seen = Seen(tuple(about.get("videos_seen") or ()), tuple(about.get("groups_seen") or ()))
        yield "the training", seen, scored, remedy
        return
    for runs, clips in made_by(about, scored).items():  # each video was seen by the runs of the other folds
        for run in runs.split(" + "):
            if (Path(run) / "run.json").is_file():
                seen = Seen.of_side(Run(Path(run)).document(), "train")
                yield f"the training of {run}", seen, {clip_id: scored[clip_id] for clip_id in clips}, remedy


def check_held_out(where: Path, trust: bool) -> None:
    """Raises InputError where the runs that made the tables were trained on these videos, or that is not recorded."""
    check_no_subjects(where, "a fit")
    held_out = predictions.read_metadata(where).get("held_out")
    remedy = "give held-out predictions (abaw predict RUN ... --held-out)"
    if held_out is False:
        raise InputError(f"{where} has predictions by runs that were trained on these videos: {remedy}")
    if held_out is not True and not trust:
        raise InputError(
            f"{where} does not say whether its runs were trained on these videos: {remedy}, or --trust it if you know "
            "that they were not"
        )


def fitted_on_of(ensemble: Mapping[str, Any]) -> Seen:
    """The videos and groups that the weights of an ensemble, as predictions.json has it, were fitted on."""
    return Seen(tuple(ensemble.get("fitted_on") or ()), tuple(ensemble.get("fitted_on_groups") or ()))


def made_by(about: Mapping[str, Any], scored: Iterable[str]) -> dict[str, list[str]]:
    """Of the scored clips, those that each run predicted, where several runs made the tables; {} where not recorded."""
    runs: dict[str, list[str]] = {}
    for clip_id in scored:
        if clip_id in (about.get("made_by") or {}):
            runs.setdefault(about["made_by"][clip_id], []).append(clip_id)
    return dict(sorted(runs.items()))


def selection_words(about: Mapping[str, Any], scored: Mapping[str, str]) -> str:
    """Whether epochs were chosen on the clips that are scored, in words; "" where none was, or nothing says it.

    Tables of older versions do not record it: where their runs are there, run.json says it.
    """
    found = about.get("epoch_chosen_on")
    if found is None:
        makers = made_by(about, scored) or {" + ".join(about.get("run") or ()): list(scored)}
        found = [
            clip_id
            for runs, clips in makers.items()
            for run in runs.split(" + ")
            if run and (Path(run) / "run.json").is_file()
            for clip_id in chosen_on(Run(Path(run)).document()).find({clip: scored[clip] for clip in clips})
        ]
    return words_of(found, scored)


def check_provenance(about: Mapping[str, Any], where: Path) -> None:
    """Raises InputError where an entry that decides on a leak has the wrong type: "13" is no list of videos."""
    ensemble = about.get("ensemble")
    for name, value, fits, expected in (
        ("run", about.get("run"), _is_names, "a list of names"),
        ("videos_seen", about.get("videos_seen"), _is_names, "a list of names"),
        ("groups_seen", about.get("groups_seen"), _is_names, "a list of names"),
        ("held_out", about.get("held_out"), lambda value: isinstance(value, bool), "true or false"),
        ("epoch_chosen_on", about.get("epoch_chosen_on"), _is_names, "a list of names"),
        ("made_by", about.get("made_by"), _is_words, "the run of each clip"),
        ("observed", about.get("observed"), _is_observed, "counts of frames for each feature"),
        ("continued_from", about.get("continued_from"), _is_names, "a list of names"),
        ("taught_by", about.get("taught_by"), _is_taught, "a list of what describes each training by teachers"),
        ("probes", about.get("probes"), _is_objects, "a list of what describes each probe"),
        ("ensemble", ensemble, lambda value: isinstance(value, dict), "an object"),
        *(
            (key, ensemble.get(key) if isinstance(ensemble, dict) else None, _is_names, "a list of names")
            for key in ("fitted_on", "fitted_on_groups")
        ),
    ):
        if value is not None and not fits(value):
            raise InputError(f"{where / predictions.METADATA}: {name} is {value!r}, expected {expected}")


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _is_taught(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) and not TAUGHT_KEYS - each.keys() for each in value)


def _is_observed(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, dict) and are_counts(each) for each in value.values())


def _is_words(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(word, str) for word in value.values())
