"""A trained module adapted to one person, by a few labelled frames or clips: the vector that is kept of it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from abaw.configs.optional_sections import AdaptationConfig
from abaw.errors import InputError

if TYPE_CHECKING:
    from abaw.batches import FeatureSource
    from fusion.adaptation.inner_loop import Adapted
    from fusion.module import FusionModule
    from fusion.targets import LabelsByTask


def adapt_to_person(
    module: "FusionModule", source: "FeatureSource", labels: "LabelsByTask", settings: AdaptationConfig
) -> "Adapted":
    """Adapt a trained module to a person; its own parameters stay as they are.

    ``labels``: task -> clip -> the labels that are the support, of clips of this person alone. The windows are those of
    a prediction, so that a frame in two of them counts twice. Raises InputError where a labelled frame has no observed
    feature, where a cut-off is above half the frame rate of a clip, and where the adaptation does not stay finite.
    """
    import torch

    from abaw.batches import collate
    from fusion.adaptation.inner_loop import AdaptiveModel, Episode
    from fusion.data import WindowDataset
    from fusion.layers.heads.hidden_stage import check_cutoffs
    from fusion.targets import list_clips, make_training_targets

    assert isinstance(module.model, AdaptiveModel)
    tasks = {name: module.tasks[name] for name in labels}
    targets = make_training_targets(labels, source, tasks, module.config.training.label_shift)
    # what describes a person needs all windows of his clips
    only_scored = not module.model.has_description
    cutoffs = module.model.cutoff_hz, module.hidden_stage.cutoff_hz
    check_cutoffs(*cutoffs, source, list_clips(targets), module.config.window.length)
    dataset = WindowDataset(
        source, list_clips(targets), targets, module.config.window, only_scored=only_scored, keep=False
    )
    if not len(dataset):
        raise InputError(
            "no labelled frame is left after training.label_shift of "
            f"{module.config.training.label_shift} frames: label frames that are further from the beginning"
        )
    batch = collate([dataset[i] for i in range(len(dataset))]).to(module.device)
    module.eval()
    module.config = module.config.model_copy(update={"adaptation": settings})
    with torch.no_grad():
        inputs = replace(module.input_stage(batch), wants_losses=False)
    observed = torch.stack(list(inputs.observed.values())).any(0)
    for name, scored in batch.scored.items():
        unseen = (
            scored & ~observed if tasks[name].resolution == "frame" else (scored.any(1) & ~observed.any(1))[:, None]
        )
        if unseen.any():
            row, step = (int(each) for each in unseen.nonzero()[0])
            frame = int(batch.first_step[row]) + step + 1 + module.config.training.label_shift
            where = f", frame {frame}" if tasks[name].resolution == "frame" else ""
            raise InputError(
                f"clip {batch.clip_ids[row]!r}{where}: nothing was observed there, so that its label shows nothing "
                "about the person: take another one"
            )
    persons = torch.zeros(len(batch.clip_ids), dtype=torch.long, device=module.device)
    found = module.adapt(inputs, batch, Episode(persons, batch.scored, {}), is_training=False)
    if not found.vectors.isfinite().all():
        raise InputError(f"the adaptation diverged at a rate of {settings.rate:g}: give a lower rate, or fewer steps")
    return found
