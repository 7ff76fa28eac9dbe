"""A long clip takes no more memory than a short one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.extract.many_clips import FPS, write

ROOT = Path(__file__).resolve().parents[3]

MEMORY = """
import sys, threading, time
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from tests.support.extract.many_clips import Brightness, Corner
from abaw.dataset.layout import open_dataset
from extract.encoders import ENCODERS
from extract.faces.target import TargetConfig
from extract.engine.run import extract
from extract.engine.plan import EncoderSpec
from extract.store.store import FeatureStore

class Wide(Brightness):
    def __init__(self):
        super().__init__()
        self.dim = 8192
    def forward(self, batch):
        return np.repeat(batch[:, :1], self.dim, axis=1)

def anonymous_mb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1024

peak, ended = 0.0, threading.Event()
def look():
    global peak
    while not ended.wait(0.005):
        peak = max(peak, anonymous_mb())
encoders = [EncoderSpec("wide", Wide()), EncoderSpec("voice", ENCODERS.build("voice_mel"))]
target = TargetConfig(Corner(), detect_every=1)
extract(open_dataset(Path(sys.argv[2])), FeatureStore(Path(sys.argv[4])), encoders, target)  # warm up
thread = threading.Thread(target=look)
thread.start()
report = extract(open_dataset(Path(sys.argv[3])), FeatureStore(Path(sys.argv[4])), encoders, target)
ended.set()
thread.join()
assert len(report.made) == 1, report
print(peak)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="anonymous memory is read from Linux's /proc")
def test_a_long_clip_takes_no_more_memory_than_a_short_one(tmp_path):
    peaks_mb = {}
    (tmp_path / "warm").mkdir()
    write(tmp_path / "warm/w.mp4", [80] * 50, 2.0)
    for name, seconds in (("short", 20), ("long", 300)):
        (tmp_path / name).mkdir()
        write(tmp_path / f"{name}/{name}.mp4", [80] * (seconds * FPS), float(seconds))
        words = [
            str(ROOT),
            str(tmp_path / "warm"),
            str(tmp_path / name),
            str(tmp_path / f"store_{name}"),
        ]
        done = subprocess.run([sys.executable, "-c", MEMORY, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peaks_mb[name] = float(done.stdout)
    # held in memory, the rows alone would be 246 MB and the samples 19 MB
    assert peaks_mb["long"] - peaks_mb["short"] < 60
