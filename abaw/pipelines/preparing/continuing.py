"""A training that continues another run: what it starts from, what that run has seen, and what run.json says of it."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.configs.file import ConfigFile
from abaw.configs.sections import Config
from abaw.dataset.layout import open_dataset
from abaw.dataset.seen import Seen, groups_in
from abaw.errors import AbawError, InputError
from abaw.evaluation.labels import official_labels
from abaw.files.seals import digest
from abaw.folds import ByTask, check_apart, split_labels
from abaw.pipelines.features import same_features
from abaw.pipelines.persons.groups import within_groups
from abaw.pipelines.prediction import open_member
from abaw.results.run_document import network_weights
from abaw.results.runs import Run, labels_hash
from abaw.results.selection import chosen_on

if TYPE_CHECKING:
    from abaw.pipelines.prediction import Member
    from fusion.continuing.anchors import Anchors, Weights
    from fusion.module import FusionModule

LOG = logging.getLogger("abaw")
FISHER, FIRST = "fisher.safetensors", "first.safetensors"  # beside a run's weights: its own; what its chain began with
SAME = ("features", "model", "hidden")  # sections of the config that decide what the weights mean


@dataclass(frozen=True)
class Continuation:
    """What a continued training takes from its parent; nothing where the config names no run.

    ``state``: buffers and weights at the start. ``seen`` and ``chosen_on``: the videos and groups that the runs of the
    chain were trained on, and those on which their epochs were chosen. ``record``: an entry of run.json for each of
    these runs, the parent first.
    """

    anchors: "Anchors | None" = None
    state: "Mapping[str, Any] | None" = None
    seen: Seen = field(default_factory=Seen)
    chosen_on: Seen = field(default_factory=Seen)
    label_tasks: tuple[str, ...] = ()
    record: tuple[Mapping[str, Any], ...] = ()

    def added_to_facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of run.json that change: what the parent has seen, the run has seen too."""
        if self.anchors is None:
            return {}
        return {**self.seen.added_to_training(facts, self.label_tasks), "continued_from": list(self.record)}

    def warn_of_inner(self, inner: "ByTask") -> None:
        """Warn where the epoch is chosen on clips that the parent was trained on."""
        found = self.seen.find(
            {clip_id: group for clips in inner.values() for clip_id, group in groups_in(clips).items()}
        )
        if found:
            text = "the epoch is chosen on %d clips that the continued run was trained on: a late one looks too good"
            LOG.warning(text, len(found))


def open_parent(
    file: ConfigFile,
    config: Config,
    labels: "Mapping[str, ByTask]",
    recipes: Mapping[str, dict[str, Any]],
    *,
    trust: bool = False,
) -> Continuation:
    """The run that the config continues, opened and checked.

    ``labels``: of the new training and held-out side. ``recipes``: of the new training's features.

    Raises InputError, with file and line, where that run is not complete, has other features, another model or other
    tasks, was trained on what is held out here, or its Fisher information is neither stored nor can be measured.
    """
    if config.continuing.run is None:
        return Continuation()
    with file.at("continuing", "run"):
        run = Run(Path(config.continuing.run), trust)
        document = run.finished()
        run.require_plugins()
        _check_same(run, config, recipes)
        seen = Seen.of_side(document, "train")
        try:
            check_apart(seen, _groups_in(labels["validation"]), f"the continued run {run.folder}")
        except ValueError as error:
            raise InputError(
                f"{error}: continue a run that was not trained on them, or hold nothing out (folds.refit=true)"
            ) from None
        member = open_member(run, None, "cpu")
        anchors = _anchors(run, member, config)
        return Continuation(
            anchors,
            {**member[1].state_dict(), **anchors.start()},
            seen,
            chosen_on(document),
            tuple(document["label_tasks_seen"]),
            (_entry(run, config), *document.get("continued_from", ())),
        )


def save_beside_weights(
    run: Run, continuation: Continuation, config: Config, module: "FusionModule", labels: "ByTask", source: Any
) -> None:
    """Write what later trainings need that continue this run, before ``Run.finish`` records the checksums.

    The weights and Fisher information of the first run of its chain, where it continues one; its own Fisher
    information, where ``continuing.save_fisher`` asks for it.
    """
    from fusion.continuing.anchors import save_parts
    from fusion.continuing.fisher import measure_fisher_of_windows

    weights = run.folder / "weights"
    if continuation.anchors is not None:
        first = continuation.anchors.first
        save_parts(weights / FIRST, {"weights": first.weights, "fisher": first.fisher})
    if config.continuing.save_fisher:
        save_parts(
            weights / FISHER, {"fisher": measure_fisher_of_windows(module, config, module.tasks, labels, source)}
        )


def _anchors(run: Run, member: "Member", config: Config) -> "Anchors":
    from fusion.continuing.anchors import Anchor, Anchors, load_parts, read_parameters

    own = read_parameters(member[1])
    last = Anchor(own, _fisher(run, member, own))
    first = last
    if run.document().get("continued_from"):
        first = Anchor(*load_parts(run.folder / "weights" / FIRST, own, "weights", "fisher"))
    return Anchors(first, last, config.continuing.alpha, config.continuing.penalty)


def _fisher(run: Run, member: "Member", own: "Weights") -> "Weights":
    """The Fisher information of a run, as it is stored, or measured on its training clips."""
    from fusion.continuing.anchors import load_parts
    from fusion.continuing.fisher import measure_fisher_of_windows

    if FISHER in run.document().get("weights", {}):
        (fisher,) = load_parts(run.folder / "weights" / FISHER, own, "fisher")
        return fisher
    LOG.info("measuring the Fisher information of %s on its training clips", run.folder)
    try:
        config, tasks = run.config(), dict(run.tasks())
        dataset = open_dataset(config.data)
        labels = split_labels(official_labels(dataset, tasks), tasks, config.folds)
        ((_, module, source),) = within_groups([member], dataset.groups)
        if labels_hash(labels) != run.document()["labels"]:
            raise InputError(f"the labels of {config.data} are not those that it was trained on")
        return measure_fisher_of_windows(module, config, tasks, labels["train"], source)
    except (AbawError, OSError) as error:
        raise InputError(
            f"{run.folder} does not hold its Fisher information, and it cannot be measured on its training clips "
            f"({error}): restore its data set and store, or train it again with continuing.save_fisher=true"
        ) from error


def _groups_in(labels: ByTask) -> dict[str, str]:
    """Clip -> group, "" for none."""
    return {clip_id: group for clips in labels.values() for clip_id, group in groups_in(clips).items()}


def _entry(run: Run, config: Config) -> dict[str, Any]:
    """What run.json says of the parent; the hash is that of its run.json, which holds those of its weights.

    Posteriors are left out: one that is fitted later changes nothing that is continued.
    """
    document = run.document()
    return {
        "run": str(run.folder),
        "seed": document["seed"],
        "commit": document["commit"],
        "sha256": digest({**document, "weights": network_weights(document)}),
        "alpha": config.continuing.alpha,
        "penalty": config.continuing.penalty,
        **({"teachers": document["teachers"]} if "teachers" in document else {}),
    }


def _check_same(run: Run, config: Config, recipes: Mapping[str, dict[str, Any]]) -> None:
    """Raises InputError where the run was trained with other features, another model or other tasks."""
    before, now = (each.model_dump(mode="json") for each in (run.config(), config))
    differing = [line for key in SAME for line in _differences(before.get(key, {}), now.get(key, {}), key)]
    there, here = (  # the weight of a task in the loss may change
        {name: {key: value for key, value in each.items() if key != "weight"} for name, each in given["tasks"].items()}
        for given in (before, now)
    )
    differing += _differences(there, here, "tasks")
    recorded = run.finished()["recipes"]
    differing += [
        f"the recipe of {name} (another encoder, weights or settings)"
        for name in sorted(recorded.keys() & recipes.keys())
        if not same_features(recorded[name], recipes[name])
    ]
    if differing:
        raise InputError(
            f"{run.folder} cannot be continued with other features, another model or other tasks: "
            f"{'; '.join(differing[:4])}{' and more' if len(differing) > 4 else ''}: take the settings of "
            f"{run.folder / 'config.yaml'}, or train without continuing"
        )


def _differences(before: Any, now: Any, key: str) -> Iterator[str]:
    """What differs, with the dotted key and both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for each in sorted(before.keys() | now.keys()):
            yield from _differences(before.get(each), now.get(each), f"{key}.{each}")
    elif before != now:
        yield f"{key} is {_words(before)} there and {_words(now)} here"


def _words(value: Any) -> str:
    return "not given" if value is None else "given" if isinstance(value, dict) else str(value)
