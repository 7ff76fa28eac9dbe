"""Runs and recognisers of one task are averaged where each of them had something to predict from."""

from types import SimpleNamespace

import numpy as np
import pytest

from abaw.pipelines.analysis.answers import Answers, with_target
from abaw.pipelines.analysis.presence import Presence
from abaw.results.predictions import Table
from abaw.tasks import TASKS

VA = TASKS.build("va")
FACE, VOICE = {"crop": {}, "span": 1, "faces": {"target": "largest"}}, {"settings": {}}


def tables_of(value, observed=(1, 1, 1, 1)):
    num = len(observed)
    values = np.full((num, 2), value, np.float32)
    return {"va": Table(np.arange(1, num + 1), np.arange(num) / 25, np.array(observed, bool), values, VA.columns)}


def recogniser(value, recipe):
    return SimpleNamespace(columns={"va": None}, recipe=recipe, tables=lambda clips: (tables_of(value) for _ in clips))


def run_of(recipe):
    return SimpleNamespace(tasks=lambda: {"va": VA}, finished=lambda: {"recipes": {"x": recipe}}), None, None


def values_of(answers, seen=(1, 1, 0, 0), heard=(1, 0, 1, 0)):
    presence = Presence(np.array(seen, bool), np.array(heard, bool))
    ((clip_id, tables),) = answers.tables(["a"], lambda clip_id: presence)
    assert clip_id == "a"
    return tables["va"].values[:, 0].tolist(), tables["va"].observed.tolist()


def test_each_frame_is_the_mean_over_those_that_see_or_hear_something():
    answers = Answers((), (recogniser(0.2, FACE), recogniser(0.6, VOICE)), {"va": VA})
    values, observed = values_of(answers)
    assert values[:3] == pytest.approx([0.4, 0.2, 0.6])
    assert observed == [True, True, True, False]


def test_every_run_counts_as_much_as_a_recogniser(monkeypatch):
    answers = Answers((run_of(FACE), run_of(FACE)), (recogniser(0.9, FACE),), {"va": VA})
    monkeypatch.setattr(Answers, "_run_tables", lambda self, clips: ((each, tables_of(0.3)) for each in clips))
    values, observed = values_of(answers)
    assert values[:2] == pytest.approx([0.5, 0.5])
    assert observed == [True, True, False, False]


def test_features_of_another_persons_face_have_another_recipe():
    config = SimpleNamespace(target="person:2")
    assert with_target(FACE, config)["faces"] == {"target": "person:2"}
    assert with_target(VOICE, config) == VOICE
