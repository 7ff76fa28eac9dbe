"""The persons in clips, whose faces tracking numbers, and a pass over the clips for each of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from abaw.errors import InputError
from abaw.numbers import format_count
from abaw.pipelines.analysis.presence import inputs_of

if TYPE_CHECKING:
    from extract.engine.plan import EncoderSpec
    from extract.faces.target import TargetConfig
    from extract.store.store import FeatureStore

PERSONS = ("target", "all")
MIN_FRAMES = 5  # of a person's face; fewer are mostly false detections


@dataclass
class FoundPersons:
    """By person the clips in which that number is seen, and notes of those left out."""

    clips: dict[int, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def views(
        self, config: "TargetConfig", clip_ids: Sequence[str]
    ) -> "Mapping[int | None, tuple[TargetConfig, Sequence[str]]]":
        """Person -> how its face is chosen, and its clips; the target (None) has the clips without any person."""
        from extract.faces.target import person_target

        seen = {clip_id for clips in self.clips.values() for clip_id in clips}
        found: dict[int | None, tuple[TargetConfig, Sequence[str]]] = {
            person: (replace(config, target=person_target(person)), clips)
            for person, clips in sorted(self.clips.items())
        }
        if rest := [clip_id for clip_id in clip_ids if clip_id not in seen]:
            found[None] = config, rest
        return found


def check_persons(persons: str) -> None:
    """Raises InputError for anything else than "target" and "all"."""
    if persons not in PERSONS:
        raise InputError(f"persons is {persons!r}, expected {' or '.join(PERSONS)}")


def check_takes_face(specs: "Sequence[EncoderSpec]", config: "TargetConfig") -> None:
    """Raises InputError where no encoder takes a face, so that persons cannot be separated."""
    takes = {spec.name: inputs_of([spec.recipe(config)]) for spec in specs}
    if not any("face" in kinds for kinds in takes.values()):
        given = ", ".join(f"{name} takes the {kinds[0]}" for name, kinds in takes.items())
        raise InputError(
            f"--persons all needs a run or recogniser that takes a face, and here none does ({given}): give one with "
            "--run or --recogniser, or leave --persons out"
        )


def note_voice(specs: "Sequence[EncoderSpec]", config: "TargetConfig", found: FoundPersons) -> list[str]:
    """A note where several persons share a clip and an encoder hears the voice: it hears one sound track for all."""
    hear = [spec.name for spec in specs if inputs_of([spec.recipe(config)]) == ("voice",)]
    counts = Counter(clip_id for clips in found.clips.values() for clip_id in clips)
    shared = sum(num > 1 for num in counts.values())
    if not hear or not shared:
        return []
    num = format_count(shared, "clip")
    return [
        f"the voice features ({', '.join(hear)}) are the same for all persons of a clip, whoever speaks: {num} with "
        "several persons"
    ]


def find_persons(store: "FeatureStore", config: "TargetConfig", clip_ids: Sequence[str]) -> FoundPersons:
    """The persons whose faces were tracked in each clip, in at least ``MIN_FRAMES`` frames or half of the clip's."""
    import numpy as np

    from extract.engine.plan import faces_recipe

    found, recipe = FoundPersons(), faces_recipe(config)
    for clip_id in clip_ids:
        if not store.has(recipe, clip_id, store.clock_metadata(clip_id).get("source")):
            continue
        file = store.open(recipe, clip_id)
        table = file.table("persons")
        numbers, counts = np.unique([] if table is None else table[:, 5].astype(int), return_counts=True)
        is_kept = counts >= min(MIN_FRAMES, len(file.times_s) / 2)
        for person in numbers[is_kept].tolist():
            found.clips.setdefault(person, []).append(clip_id)
        if num := int((~is_kept).sum()):
            found.notes.append(
                f"{clip_id}: {format_count(num, 'face')} seen in fewer than {MIN_FRAMES} frames left out"
            )
    return found
