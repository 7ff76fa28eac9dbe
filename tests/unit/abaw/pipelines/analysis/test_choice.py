"""Which recognisers are taken where the user names none."""

import pytest

from abaw.errors import NotFoundError
from abaw.pipelines.analysis import choice
from abaw.pipelines.analysis.choice import PREFERRED, choose_recognisers
from extract.networks import package_weights
from extract.networks.tiny.onnx import write_face_net
from extract.recognisers import RECOGNISERS


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine without any weights."""
    monkeypatch.setenv("ABAW_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(package_weights, "_installed", lambda weights: None)
    return tmp_path


def test_the_candidates_exist_and_all_of_a_kind_have_words_on_how_to_get_them():
    names = {part.name for part in RECOGNISERS.parts()}
    for candidates in PREFERRED.values():
        assert all(each.name in names and each.how for each in candidates)


def test_the_best_whose_weights_are_here_is_taken_once(bare):
    (bare / "found").mkdir()
    write_face_net(bare / "found/enet_b0_8_va_mtl.onnx", num_outputs=10)
    found = choose_recognisers(folders=[bare / "found"])
    assert [each.name for each, _ in found.chosen] == ["emotieffnet_b0_va_mtl"]
    assert [line.split(" (")[0] for line in found.better] == ["audeering_dim"]


def test_without_any_weights_the_error_says_how_to_get_them(bare):
    with pytest.raises(NotFoundError, match="no recogniser is on this machine: .*fer_mini_xception.*--download"):
        choose_recognisers()


def test_for_commercial_use_only_licences_that_allow_it_count(bare, monkeypatch):
    opened = []
    monkeypatch.setattr(choice, "_open", lambda candidate, *_: opened.append(candidate.name) or (candidate, None))
    choose_recognisers(commercial=True)
    assert opened == ["fer_mini_xception"]
