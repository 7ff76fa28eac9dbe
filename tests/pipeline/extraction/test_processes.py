"""Several processes, shards and machines, and continuing after a kill."""

import os
import re
import subprocess
import sys

import pytest

from abaw.dataset.layout import open_dataset
from tests.support.extract.many_clips import abaw, files_of, write


def test_four_processes_on_one_store_extract_each_clip_once(six, tmp_path):
    words = ("extract", six, "--store", tmp_path / "store", "--encoder", "face_hog", "--encoder", "voice_mel")
    four = [abaw(*words) for _ in range(4)]
    said = [each.communicate()[0] for each in four]
    assert [each.returncode for each in four] == [0, 0, 0, 0]
    made, present = (
        sum(int(re.search(rf"(\d+) {what}", text)[1]) for text in said) for what in ("clips extracted", "done")
    )
    assert (made, present) == (6, 18)
    alone = abaw("extract", six, "--store", tmp_path / "alone", "--encoder", "face_hog", "--encoder", "voice_mel")
    assert alone.wait() == 0
    alone.stdout.close()
    assert files_of(tmp_path / "store") == files_of(tmp_path / "alone")


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
from abaw.dataset.layout import open_dataset
from abaw.pipelines.extraction import build_detector
from extract.encoders import ENCODERS
from extract.faces.target import TargetConfig
from extract.engine.run import extract
from extract.engine.plan import EncoderSpec
from extract.store.store import FeatureStore
import torch

data, root = Path(sys.argv[1]), Path(sys.argv[2])

def work():
    encoders = [EncoderSpec(name, ENCODERS.build(name)) for name in ("face_hog", "voice_mel")]
    target = TargetConfig(build_detector("haar"))
    return extract(open_dataset(data), FeatureStore(root), encoders, target, num_readers=2)

def done():
    return {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors") if not path.name.startswith(".")}

rng, num_kills, again = random.Random(7), 0, 0
while num_kills < 20:
    before = done()
    pid = os.fork()  # everything is imported: the child is at work at once
    if pid == 0:
        work()
        os._exit(0)
    time.sleep(rng.uniform(0.02, 0.5))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    now = done()
    again += sum(now[path] != then for path, then in before.items())
    if os.WIFSIGNALED(status):
        num_kills += 1
    else:  # it was done before the kill: begin anew, for kills in the middle
        for path in now:
            path.unlink()
report = work()
print(num_kills, again, len(report.failed))
"""


def test_after_twenty_kills_the_store_is_identical_and_nothing_was_extracted_twice(tmp_path):
    for i in range(8):
        write(tmp_path / f"data/c{i}.mp4", [80 + 10 * i] * 60, 2.4)
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path / "data"), str(tmp_path / "store")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "20 0 0\n"
    words = ("extract", tmp_path / "data", "--store", tmp_path / "whole", "--faces", "haar", "--encoder", "face_hog")
    with_cli = abaw(*words, "--encoder", "voice_mel")
    assert with_cli.wait() == 0
    with_cli.stdout.close()
    assert files_of(tmp_path / "store") == files_of(tmp_path / "whole")


def test_shards_are_disjoint_and_complete_and_keep_both_subjects_of_a_video_together(tmp_path):
    from abaw.pipelines.extraction import shard_of

    (tmp_path / "videos").mkdir()
    labels = tmp_path / "notes/VA_Estimation_Challenge/Train_Set"
    labels.mkdir(parents=True)
    for i in range(7):
        (tmp_path / f"videos/v{i}.mp4").touch()
        for side in ("_left", "_right") if i % 2 else ("",):
            (labels / f"v{i}{side}.txt").write_text("valence,arousal\n0,0\n")
    dataset = open_dataset(tmp_path)
    shards = [shard_of(dataset, f"{part}/3") for part in (1, 2, 3)]
    assert sorted(clip for shard in shards for clip in shard) == sorted(dataset.clips)
    assert all(shards)
    for shard in shards:
        assert all(clip.replace("_left", "_right") in shard for clip in shard if clip.endswith("_left"))
    assert shard_of(dataset, None) == list(dataset.clips)
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0", "-1/2"):
        with pytest.raises(ValueError, match="expected I/N with I from 1 to N, as 3/8"):
            shard_of(dataset, wrong)


RAY = """
import sys, threading, time
from functools import partial
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from abaw.dataset.layout import open_dataset
from abaw.pipelines.extraction import build
from extract.engine.ray import extract_on_ray
from extract.store.store import FeatureStore

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
killed = threading.Event()

def progress(clip_id, done, total):
    if not killed.is_set():  # the first clips are done: the other worker is in the middle of its own
        killed.set()
        cluster.remove_node(nodes[0], allow_graceful=False)

report = extract_on_ray(
    open_dataset(Path(sys.argv[1])), FeatureStore(Path(sys.argv[2])),
    partial(build, ["face_hog", "voice_mel"], "haar", "largest", 5, "cpu", False),
    list(open_dataset(Path(sys.argv[1])).clips), address=cluster.address, num_workers=2, progress=progress,
)
done = sorted({*report.made, *report.present})
print(killed.is_set(), done == sorted(open_dataset(Path(sys.argv[1])).clips), len(report.failed))
"""


@pytest.mark.timeout(600)
def test_no_clip_is_lost_when_a_ray_node_is_killed(six, tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    data = tmp_path / "data"
    data.mkdir()
    for i in range(24):
        (data / f"c{i:02d}.mp4").symlink_to(six / f"c{i % 6}.mp4")
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", RAY, str(data), str(tmp_path / "store")], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "True True 0" in done.stdout.splitlines(), done.stdout  # Ray may say more
    words = ["extract", data, "--store", tmp_path / "alone", "--faces", "haar"]
    alone = abaw(*words, "--encoder", "face_hog", "--encoder", "voice_mel")
    assert alone.wait() == 0
    alone.stdout.close()
    store, whole = files_of(tmp_path / "store"), files_of(tmp_path / "alone")
    assert {name: content for name, content in store.items() if ".leases" not in name} == whole
