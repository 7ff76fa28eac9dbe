"""Features that are standardised within the groups (speakers, subjects) of a data set, and what is recorded of it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abaw.batches import FeatureSource
    from abaw.configs.sections import FeatureConfig
    from abaw.folds import ByTask
    from abaw.pipelines.prediction import Member


def measured_groups(
    source: "FeatureSource",
    features: "Mapping[str, FeatureConfig]",
    groups: Mapping[str, str],
    labels: "Mapping[str, ByTask]",
) -> "FeatureSource":
    """The source of a training, within the groups of its clips, which are measured here; else the source as it is.

    ``groups``: clip -> group of the whole data set. Raises InputError where no group has enough material.
    """
    from fusion.normalisation.group_source import GroupSource, standardise_groups

    found = standardise_groups(source, features, groups)
    if isinstance(found, GroupSource):
        clips = {split: sorted({c for each in by_task.values() for c in each}) for split, by_task in labels.items()}
        found.prepare([clip_id for each in clips.values() for clip_id in each], clips["train"])
    return found


def within_groups(members: "Sequence[Member]", groups: Mapping[str, str]) -> "list[Member]":
    """The members of a prediction; those trained on features of ``normalise: group`` read them so.

    A group with too little material is standardised by the training split of the run.
    """
    from fusion.normalisation.group_source import standardise_groups

    return [
        (run, module, standardise_groups(source, run.config().features, groups, module.input_stage.statistics()))
        for run, module, source in members
    ]


def group_record(source: "FeatureSource") -> dict[str, Any]:
    """What run.json records of it; {} where nothing is standardised within groups."""
    from fusion.normalisation.group_source import GroupSource

    return {"group_normalisation": source.report()} if isinstance(source, GroupSource) else {}


def group_records(members: "Sequence[Member]") -> dict[str, Any]:
    """What predictions.json records of it: by run; {} where no run has such features."""
    found = {str(run.folder): group_record(source) for run, _, source in members}
    records = {run: record["group_normalisation"] for run, record in found.items() if record}
    return {"group_normalisation": records} if records else {}


def warn_of_groups(members: "Sequence[Member]") -> None:
    """Warn of clips without a group, of groups with too little material, and of clips that were not extracted."""
    from fusion.normalisation.group_source import GroupSource

    for _, _, source in members:
        if isinstance(source, GroupSource):
            source.warn()
