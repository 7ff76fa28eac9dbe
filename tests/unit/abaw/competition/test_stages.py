"""The stages of a recipe: what each reads and makes, and what a member may set."""

from pathlib import Path

import pytest

from abaw.competition.stages import members_of
from tests.support.recipes import PLACES, config_of, of_kind, planned


def test_fold_0_has_no_part_in_what_weights_and_post_processing_are_fitted_on():
    found = planned("encoders=[face_hog]")
    fitted_on = {path for stage in of_kind(found, "pool") for path in stage.inputs}
    assert fitted_on == {PLACES.held_out(m, fold) for m in ("synthetic-gru", "synthetic-big") for fold in (1, 2)}
    (combine,), (fit,) = of_kind(found, "combine"), of_kind(found, "fit")
    assert set(combine.inputs) == {path for stage in of_kind(found, "pool") for path in stage.outputs}
    assert fit.inputs == combine.outputs
    (validate,) = of_kind(found, "validate")
    assert validate.inputs[:2] == tuple(PLACES.held_out(m, 0) for m in ("synthetic-gru", "synthetic-big"))


def test_every_run_takes_part_in_the_test_predictions():
    weights = {path for stage in of_kind(planned(), "predict") for path in stage.inputs}
    assert weights == {PLACES.weights(m, fold) for m in ("synthetic-gru", "synthetic-big") for fold in range(3)}


def test_the_stage_that_fits_says_which_smoothing_is_tried_and_in_what_its_widths_count():
    settings = "post_processing={smoothers: [box, median], unit: images, widths: [1, 21]}"
    assert of_kind(planned(settings), "fit")[0].why.endswith("(smoothers tried: box, median; widths 1, 21 images)")


def test_every_stage_reads_only_what_an_earlier_one_makes():
    found = planned("encoders=[face_hog]")
    for place, stage in enumerate(found):
        made = {path for earlier in found[:place] for path in earlier.outputs} | {Path("va.txt")}
        assert set(stage.inputs) <= made, stage.name
    assert len({stage.name for stage in found}) == len(found)


def test_without_encoders_nothing_is_extracted_and_without_templates_nothing_predicted():
    assert not of_kind(planned(), "extract")
    assert {stage.kind for stage in planned(templates=())} == {
        "check", "train", "pool", "combine", "fit", "validate", "score",
    }  # fmt: skip


def test_two_templates_of_one_name_become_two_files():
    found = planned(templates=(Path("5th/va.txt"), Path("6th/va.txt"), Path("6th/expr.txt")))
    outs = [stage.outputs[0].name for stage in of_kind(found, "submit")]
    assert outs == ["5th-va.txt", "6th-va.txt", "expr.txt"]


def test_a_members_settings_are_applied_over_the_config_as_the_command_lines_are():
    overrides = "members={a: {model: {name: mfn, dropout: 0.1}, training.learning_rate: 0.00001}, b: {}}"
    file, config = config_of(overrides)
    members = members_of(file, config)
    assert list(members) == ["synthetic-a", "synthetic-b"]
    applied = config_of(overrides, *members["synthetic-a"])[1]
    assert (applied.model.name, applied.model.settings) == ("mfn", {"dropout": 0.1})
    assert applied.training.learning_rate == 0.00001
    assert applied.training.batch_size == config.training.batch_size
    assert members_of(*config_of("members={}")) == {"synthetic": []}


@pytest.mark.parametrize(
    "key", ["name", "data", "store", "folds.num", "folds", "post_processing.bias", "encoders", "plugins", "ensemble"]
)
def test_a_member_cannot_set_what_is_the_same_for_all(key):
    with pytest.raises(ValueError, match=rf"{key} must be the same for all members: set it at the top"):
        members_of(*config_of(f"members={{a: {{{key}: 1}}}}"))
