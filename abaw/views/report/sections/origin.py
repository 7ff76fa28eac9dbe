"""Where the tables come from: provenance, what was seen, config, versions, features."""

from collections.abc import Iterator, Mapping
from typing import Any

from abaw.evaluation.wording import as_words
from abaw.files.names import first_few
from abaw.numbers import format_count
from abaw.results.selection import chosen_on
from abaw.views.report.content import Folded, Group, Lines, Part, Rows, Section, Text, Verbatim
from abaw.views.report.facts import FolderFacts, ReportFacts, TaskFacts, TrainingFacts

SEEN = {"videos_seen": "videos seen in training", "groups_seen": "groups seen in training"}
NUM_NAMED = 12  # videos of a list that are named


def build(facts: ReportFacts) -> Section:
    groups = [Group(folder.folder, tuple(_of_folder(folder))) for folder in facts.folders]
    parts = groups if len(groups) > 1 else groups[0].parts
    return Section("origin", "Config and provenance", (Text(f"This report was made by {facts.made_with}."), *parts))


def _of_folder(folder: FolderFacts) -> Iterator[Part]:
    of_tasks = [[*_provenance(task, task.name)] for task in folder.tasks]
    if len({str(_provenance_rows(task)) for task in folder.tasks}) == 1:
        of_tasks = [[*_provenance(folder.tasks[0], ", ".join(task.name for task in folder.tasks))]]
    for parts in of_tasks:
        yield from parts
    if folder.training is None:
        return
    yield from _training(folder.training)


def _provenance(task: TaskFacts, names: str) -> Iterator[Part]:
    rows = _provenance_rows(task)
    if not rows:
        yield Text(f"Nothing says which run made the tables of {names}.", is_doubt=True)
        return
    yield Rows(f"Provenance of the tables of {names}", ("what", "value"), tuple(rows))
    for key, what in SEEN.items():
        videos = task.labelled.about.get(key) or ()
        if len(videos) > NUM_NAMED:
            yield Folded(f"All {len(videos)} {what}", (Text(", ".join(map(str, videos))),))


def _provenance_rows(task: TaskFacts) -> list[tuple[str, str]]:
    about, found = task.labelled.about, task.result.provenance
    rows = [(key.replace("_", " "), as_words(value)) for key, value in found.items() if value != []]
    for key, what in SEEN.items():
        if about.get(key) is not None:
            rows.append((what, f"{len(about[key])}: {first_few(about[key], NUM_NAMED)}" if about[key] else "none"))
    ensemble = about.get("ensemble") or {}
    if ensemble:
        rows.append(("ensemble", as_words([f"{key} {as_words(value)}" for key, value in _short(ensemble).items()])))
    kept = task.labelled.post_processing
    if kept is not None:
        fitted = kept.fitted_on_groups or kept.fitted_on
        what = "groups" if kept.fitted_on_groups else "videos"
        words = f"{len(fitted)} {what}: {first_few(fitted, NUM_NAMED)}" if fitted else "not recorded"
        rows.append(("post-processing fitted on", words))
    return rows


def _short(ensemble: Mapping[str, Any]) -> dict[str, Any]:
    """An ensemble without the lists of what it was fitted on, which leaks are checked with."""
    return {key: value for key, value in ensemble.items() if not key.startswith("fitted_on")}


def _training(training: TrainingFacts) -> Iterator[Part]:
    document = training.document
    rows = [
        (what, as_words(document[key]))
        for key, what in (
            ("name", "name"),
            ("commit", "commit of the training"),
            ("seed", "seed"),
            ("began_at", "began"),
            ("ended_at", "ended"),
            ("context", "each output depends on"),
            ("labels", "hash of the labels"),
        )
        if document.get(key) not in (None, "")
    ]
    rows += [("data", as_words(list(document.get("data", {}).values())))] if document.get("data") else []
    rows += [(f"SHA-256 of {name}", value) for name, value in document.get("weights", {}).items()]
    chosen = chosen_on(document)
    if chosen.videos or chosen.groups:
        names = chosen.groups or chosen.videos
        what = "group" if chosen.groups else "video"
        rows.append(("epoch chosen on", f"{format_count(len(names), what)}: {first_few(names, NUM_NAMED)}"))
    yield Rows("What the run records", ("what", "value"), tuple(rows))
    features = [
        (name, str(recipe.get("encoder", "")), as_words(list(_settings(recipe))), str(recipe.get("weights", "none")))
        for name, recipe in document.get("recipes", {}).items()
    ]
    if features:
        head = ("feature", "encoder", "settings", "SHA-256 of the weights")
        yield Rows("Features and what extracted them", head, tuple(features))
    versions = tuple(f"{name} {number}" for name, number in document.get("versions", {}).items())
    if versions:
        yield Folded("Versions of the packages", (Lines(versions),))
    plugins = [" ".join(map(str, each.values())) for each in document.get("plugins", ())]
    if plugins:
        yield Folded("Plug-ins", (Lines(tuple(plugins)),))
    yield Folded("Config", (Verbatim(training.config_text),))


def _settings(recipe: Mapping[str, Any]) -> Iterator[str]:
    settings = recipe.get("settings")
    for key, value in (settings if isinstance(settings, dict) else {}).items():
        yield f"{key} {as_words(value)}"
