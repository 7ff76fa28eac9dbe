"""Metadata of prediction folders, for tests of ensembles."""

from abaw.results import predictions


def recorded(**more):
    known = {"run": ["r"], "commit": "c", "seeds": [0], "label_tasks_seen": ["va"], "videos_seen": ["1"]}
    return {**known, "subject_adapted": False, "held_out": True, "made_by": {"x": "r0", "y": "r1"}, **more}


def about_of(folder):
    return predictions.read_metadata(folder / "va")
