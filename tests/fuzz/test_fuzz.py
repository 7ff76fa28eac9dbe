"""A fast share of the fuzz harness: no traceback, no hang, no wrong row in silence, every refusal names its file.

``./run.sh fuzz`` tries thousands of inputs; this tries the first of each kind that is not slow.
"""

import random

import pytest

from tests.fuzz import mutations
from tests.fuzz.inputs import INPUTS
from tests.fuzz.oracles import Outcome
from tests.fuzz.worker import Trial, find_faults
from tests.fuzz.world import make_world
from tests.support.extract.real_media import real_media

NUM_TRIED = {"media": 4, "onnx": 2, "configs": 5, "containers": 14, "real_clips": 4}
FAST = [name for name, kind in INPUTS.items() if not kind.slow]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("fuzz") / "world", trained=False)


@pytest.mark.parametrize("name", FAST)
def test_a_damaged_input_is_refused_in_a_sentence_or_read_as_what_it_is(world, name):
    if name == "real_clips" and not any((world / "real").iterdir()):
        pytest.skip(f"no real media at {real_media()}: set ABAW_MEDIA to their folder")
    trial = Trial(world, name)
    found = {seed: list(trial.run(seed)) for seed in range(NUM_TRIED.get(name, 12))}
    assert {seed: faults for seed, faults in found.items() if faults} == {}


def test_a_seed_gives_the_same_input_again(world):
    trial = Trial(world, "labels")
    assert [trial.mutate(seed) for seed in range(9)] == [Trial(world, "labels").mutate(seed) for seed in range(9)]
    assert len({data for _, data, _ in map(trial.mutate, range(9))}) > 5


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        ((70, "", "abaw: this is a bug"), "exit code 70"),
        ((2, "", "abaw: the value is wrong"), "no file is named"),
        ((0, "", "Traceback (most recent call last):\n  ..."), "a traceback"),
        ((0, '{"rows": 3}', ""), "another report"),
        ((-1, "", "no end within 30 s"), "exit code -1"),
    ],
)
def test_planted_faults_are_found(tmp_path, outcome, fault):
    target = tmp_path / "list.txt"
    target.write_text("clip\n")
    before = Outcome("", 0, '{"rows": 4}', "")
    (found, *_) = find_faults(INPUTS["lists"], target, before, Outcome("", *outcome))
    assert fault in found


def test_planted_wrong_labels_are_found(world, monkeypatch):
    from abaw.dataset import annotations

    (target,) = world.glob("data/annotations/VA_*/Validation_Set/clip_gamma.txt")
    right = annotations.read_valence_arousal(target)
    sound = Outcome("", 0, "", "")
    assert INPUTS["labels"].oracle(target, sound, sound) is None
    right.values[3] += 0.1
    monkeypatch.setattr(annotations, "read_valence_arousal", lambda _: right)
    assert "was read as" in INPUTS["labels"].oracle(target, sound, sound)


@pytest.mark.parametrize("mutate", [mutations.by_bytes, mutations.by_text, mutations.by_yaml])
def test_mutations_change_what_they_are_given(mutate):
    sound = b"a: 1\nb: 2\n" * 9
    assert sum(mutate(sound, random.Random(seed)) != sound for seed in range(30)) > 20
