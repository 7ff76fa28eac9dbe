"""Where the tables come from: provenance, what was seen, config, versions, features."""

from collections.abc import Iterator, Mapping
from typing import Any

from abaw.evaluation.wording import as_words
from abaw.files.names import first_few
from abaw.numbers import format_count
from abaw.results.selection import chosen_on
from abaw.views.report.content import Folded, Group, Lines, Part, Rows, Section, Text, Verbatim
from abaw.views.report.facts import FolderFacts, ReportFacts, TaskFacts, TrainingFacts

NUM_NAMED = 12  # videos of a list that are named


def build(facts: ReportFacts) -> Section:
    groups: list[Part] = [Group(folder.folder, tuple(_of_folder(folder))) for folder in facts.folders]
    return Section("origin", "Config and provenance", (Text(f"This report was made by {facts.made_with}."), *groups))


def _of_folder(folder: FolderFacts) -> Iterator[Part]:
    for task in folder.tasks:
        yield from _provenance(task, num_tasks=len(folder.tasks))
    if folder.training is None:
        return
    yield from _training(folder.training)


def _provenance(task: TaskFacts, num_tasks: int) -> Iterator[Part]:
    found = dict(task.result.provenance)
    rows = [(key.replace("_", " "), as_words(value)) for key, value in found.items() if value != []]
    about = task.labelled.about
    for key, what in (("videos_seen", "videos seen in training"), ("groups_seen", "groups seen in training")):
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
    if not rows:
        yield Text(f"Nothing says which run made the tables of {task.name}.", is_doubt=True)
        return
    of = f" of {task.name}" if num_tasks > 1 else ""
    yield Rows(f"Provenance of the tables{of}", ("what", "value"), tuple(rows), num_names=2)
    for key, what in (("videos_seen", "videos"), ("groups_seen", "groups")):
        names = about.get(key) or ()
        if len(names) > NUM_NAMED:
            yield Folded(f"All {len(names)} {what} seen in training", (Text(", ".join(map(str, names))),))


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
            ("context", "an output depends on"),
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
    yield Rows("What the run records", ("what", "value"), tuple(rows), num_names=2)
    features = [
        (name, str(recipe.get("encoder", "")), as_words(list(_settings(recipe))), str(recipe.get("weights", "none")))
        for name, recipe in document.get("recipes", {}).items()
    ]
    if features:
        head = ("feature", "encoder", "settings", "SHA-256 of the weights")
        yield Rows("Features and what extracted them", head, tuple(features), num_names=4)
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
