"""What a live analysis cannot use, because its answer for a frame depends on what comes later: each with its reason."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from abaw.configs.sections import OWN_RATE
from abaw.errors import InputError

if TYPE_CHECKING:
    from abaw.configs.sections import FeatureConfig
    from abaw.pipelines.analysis.answers import Answers
    from abaw.postprocessing import PostProcessing
    from abaw.results.runs import Run
    from extract.encoders.base import Encoder
    from extract.engine.plan import EncoderSpec
    from extract.faces.target import TargetConfig
    from extract.recognisers.base import Recogniser

PAST_MODELS = "concat, gated_sum, graph_mfn, mamba, mfm, mmim, or tcn with causal: true"


def check_causal(
    answers: "Answers",
    encoders: "Mapping[str, Sequence[EncoderSpec]]",
    config: "TargetConfig",
    kept: "Mapping[str, PostProcessing]",
    fill: bool,
    max_delay_s: float,
) -> None:
    """Raises InputError that names everything that depends on what comes after a frame, and what to use instead.

    ``encoders``: by the run or recogniser that uses them. ``kept``: post-processing by task. ``max_delay_s``: how long
    after a frame its sound may be waited for.
    """
    found = [line for run, _, _ in answers.runs for line in _of_run(run)]
    for owner, specs in encoders.items():
        found += [f"{owner}: {reason}" for spec in specs for reason in _of_encoder(spec, max_delay_s)]
    for member in answers.recognisers:
        name = member.recogniser.name
        found += [f"{name}: {line}" for spec in encoders[name] for line in _of_aligner(member.recogniser, spec.encoder)]
    if not config.is_online:
        found.append(
            f"the target is {config.target!r}, who is chosen from the whole clip: choose largest, leftmost, rightmost "
            "or central with --target"
        )
    if fill:
        found.append("missing face images are filled from the video, and a live source has no face images: retrain")
    for name, each in kept.items():
        if each.smoother != "none":
            found.append(
                f"the post-processing of {name} ({each}) smooths over frames after the frame: leave the smoothing out "
                "with --unsmoothed"
            )
    if found:
        raise InputError(f"nothing after a frame is known live, but {'; and '.join(dict.fromkeys(found))}")


def causal_recognisers(
    chosen: "Sequence[tuple[Recogniser, EncoderSpec]]", max_delay_s: float
) -> "tuple[list[tuple[Recogniser, EncoderSpec]], list[str]]":
    """Those of recognisers that nobody named which can be used live, and a line for each that is left out.

    Raises InputError where none is left.
    """
    found, lines = [], []
    for recogniser, spec in chosen:
        reasons = [*_of_encoder(spec, max_delay_s), *_of_aligner(recogniser, spec.encoder)]
        if reasons:
            lines.append(f"{recogniser.name} is left out: {reasons[0]}")
        else:
            found.append((recogniser, spec))
    if not found:
        raise InputError(f"no recogniser on this machine can be used live: {'; '.join(lines)}")
    return found, lines


def _of_run(run: "Run") -> Iterator[str]:
    from fusion.checkpoint import find_context

    config = run.config()
    if find_context(config) == "window":
        name = config.model.name
        what = f"the model {name}" if config.hidden.frequency_attention == "none" else "hidden.frequency_attention"
        yield f"{run.folder}: {what} depends on later frames of a window: train one of {PAST_MODELS}"
    for task in run.tasks().values():
        if task.resolution != "frame":
            yield f"{run.folder}: {task.name} is one answer for a whole clip: use a task with an answer for each frame"
    recipes = run.finished()["recipes"]
    for name, feature in config.features.items():
        yield from (f"{run.folder}: {reason}" for reason in _of_feature(name, feature, recipes[name]))


def _of_feature(name: str, feature: "FeatureConfig", recipe: Mapping[str, object]) -> Iterator[str]:
    place = f"features.{name}"
    if feature.align == OWN_RATE:
        yield f"{place}.align is {OWN_RATE}, a convolution over rows around a frame: train with align: hold_last"
    elif not is_aligned_causally(feature.align, is_of_each_picture(recipe) and not feature.settings):
        yield f"{place}.align is {feature.align}, which takes rows after a frame: train with align: hold_last"
    if feature.fill_gap_s:
        yield f"{place}.fill_gap_s fills gaps from the row after them: train with fill_gap_s: 0"
    if feature.normalise == "group":
        yield f"{place}.normalise is group, by the statistics of the whole clip: train with normalise: split"
    if str(recipe.get("stored_dtype", "")).startswith("int8"):
        yield f"{place} is rounded to 8 bits by the columns of the whole clip: train on float16"


def is_aligned_causally(aligner: str, has_own_rows: bool) -> bool:
    """Whether a frame depends on no row after it. Where each frame has a row of its own, every aligner takes that."""
    from extract.align import CAUSAL

    return has_own_rows or aligner in CAUSAL


def is_of_each_picture(recipe: Mapping[str, object]) -> bool:
    """Whether an encoder makes a row of each picture by itself."""
    return recipe.get("span") == 1 and recipe.get("stride") == 1


def _of_aligner(recogniser: "Recogniser", encoder: "Encoder") -> Iterator[str]:
    has_own_rows = (getattr(encoder, "span", 0), getattr(encoder, "stride", 0)) == (1, 1)
    if not is_aligned_causally(recogniser.align, has_own_rows):
        yield (
            f"its answers are aligned by {recogniser.align}, which takes rows after a frame: use one of "
            "faces, such as fer_mini_xception"
        )


def _of_encoder(spec: "EncoderSpec", max_delay_s: float) -> Iterator[str]:
    from extract.encoders.base import PictureEncoder, SoundEncoder

    encoder = spec.encoder
    if isinstance(encoder, PictureEncoder):
        if encoder.span > 1:
            yield (
                f"{spec.name} makes a row of {encoder.span} pictures, half of which come after its time: use an "
                "encoder of single pictures"
            )
        return
    if not isinstance(encoder, SoundEncoder) or encoder.look_ahead_s is None:
        kind = "text" if not isinstance(encoder, SoundEncoder) else "sound"
        yield (
            f"{spec.name} takes the whole {kind}: use an encoder of sound that knows how far it looks ahead, such as "
            "voice_mel:means=past or vad"
        )
    elif encoder.look_ahead_s > max_delay_s:
        instead = "voice_mel:means=past looks 0.03 s ahead; " if "voice_mel" in spec.name else ""
        yield (
            f"{spec.name} needs {encoder.look_ahead_s:.2g} s of sound after a frame, and {max_delay_s:g} s are "
            f"allowed: {instead}with --max-delay-s {encoder.look_ahead_s + 0.01:.2f} each row comes so much later"
        )
