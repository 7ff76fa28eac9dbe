"""The face columns of the tables that an analysis writes."""

import numpy as np
from pyarrow import parquet

from abaw.pipelines.analysis.presence import Presence
from abaw.pipelines.analysis.tables import PersonTables, write_frames
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from abaw.tracks import Track
from extract.store.store import FeatureStore

VA = TASKS.build("va")


def test_a_table_for_readers_says_whose_face_it_is_and_who_else_is_there(tmp_path):
    store, recipe = FeatureStore(tmp_path), {"name": "faces", "stored_dtype": "float32"}
    given = Table(np.arange(1, 6), np.arange(5) / 25, np.ones(5, bool), np.zeros((5, 2)), VA.columns)
    boxes = np.array([[10, 10, 50, 50, 3, 1]] * 5, np.float32)
    observed = np.array([True, True, False, False, True])
    persons = np.array([(1, *boxes[0]), (1, 99, 10, 20, 20, 0, 1), (2, *boxes[1]), (3, 99, 10, 20, 20, 0, 1)], "f4")
    store.put(recipe, "1", Track(boxes, given.times_s, observed), {}, {"persons": persons})
    presence = Presence(observed, np.ones(5, bool), store.open(recipe, "1"))
    write_frames(tmp_path, "1", {"va": VA}, [PersonTables(None, {"va": given}, presence)])
    found = parquet.read_table(tmp_path / "1.parquet")
    assert found["face_seen"].to_pylist() == observed.tolist()
    assert found["person"].to_pylist() == [3, 3, None, None, 3]
    assert found["other_persons"].to_pylist() == ["0", "", "0", "", ""]
    assert found["face_x_px"].to_pylist() == [10, 10, None, None, 10]
