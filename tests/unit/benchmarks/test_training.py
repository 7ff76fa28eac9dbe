"""The benchmark of training: sparse stores that take no disk space, and the memory of a process tree."""

import os
import subprocess
import sys

import numpy as np

from abaw.configs.sections import FeatureConfig
from benchmarks import training
from benchmarks.machine.load import process_tree
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore


def test_a_sparse_store_is_read_like_a_real_one_and_takes_no_disk_space(tmp_path):
    num_bytes = 10 * training.FRAME_BYTES * training.NUM_FRAMES
    training.make_store(tmp_path, num_bytes)
    source = AlignedSource(FeatureStore(tmp_path), {name: FeatureConfig() for name in training.NAMES})
    track = source.read("voice", "clip-00009", 1.0, 2.0)
    assert (source.dim("voice"), len(track)) == (training.DIM, 26)
    assert track.observed.all()
    assert not track.values.any()
    np.testing.assert_array_equal(track.times_s, np.arange(25, 51) / training.FPS)
    files = [path.stat() for path in tmp_path.rglob("*.safetensors")]
    assert num_bytes < sum(file.st_size for file in files) < 1.02 * num_bytes
    assert sum(file.st_blocks * 512 for file in files) < 0.05 * num_bytes


def test_memory_is_that_of_a_process_and_its_descendants():
    hold = "import sys; held = bytearray(80_000_000); print('x', flush=True); sys.stdin.read()"
    before = training.memory_mb(os.getpid())
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert child.pid in process_tree(os.getpid())
        now = training.memory_mb(os.getpid())
        child.stdin.close()
    assert all(60 < now[kind] - before[kind] < 200 for kind in now)


def test_the_report_has_the_growth_of_memory_and_the_speedup_of_two_processes():
    peaks = {"1": {"Anonymous": 1000.0, "Pss_Anon": 400.0}, "20": {"Anonymous": 1100.0, "Pss_Anon": 390.0}}
    seconds = {"1": [10.0, 12.0, 9.0], "2": [6.0, 5.0, 7.0]}
    about = {"commit": "abc", "machine": "a box"}
    times = {**about, "seconds": seconds, "verification_s": [0.2, 0.3, 0.1]}
    text = training.report({"memory": {**about, "memory_mb": peaks}, "processes": times})
    assert "| 1000 MB | 1100 MB | +100 MB |" in text
    assert "| 400 MB | 390 MB | -10 MB |" in text
    assert "take 0.60 of the time" in text
    assert "takes 0.20 s of CPU time: 2.0% of that epoch" in text
    assert "a box, load not recorded" in text
    assert "MB" not in training.report({"processes": times}), "one part alone"
