"""Whether browsers play the media of a clip as they were analysed."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from abaw.dataset.clip import Clip
from abaw.dataset.media_files import Streams
from abaw.pipelines.viewing.media import find_fault, media_of
from extract.synthetic.write_clip import write_clip
from tests.support.extract.clips import make_pictures
from tests.support.views.analysed import write_analysis


def viewed_clip(folder, suffix=".mp4", num_lost=0):
    write_clip(folder / f"clip{suffix}", make_pictures(10), np.arange(10) / 25)
    viewed = write_analysis(folder / "out", Clip("clip", folder / f"clip{suffix}"), np.arange(10) / 25)
    clock = SimpleNamespace(decoded=np.arange(10) >= num_lost)
    return replace(viewed, store=SimpleNamespace(clock=lambda clip_id: clock))


def test_what_browsers_play_has_no_fault_unless_frames_are_damaged(tmp_path):
    assert find_fault(viewed_clip(tmp_path)) == ""
    assert find_fault(viewed_clip(tmp_path, num_lost=1)) == "1 frame cannot be decoded"
    assert find_fault(viewed_clip(tmp_path, num_lost=3)) == "3 frames cannot be decoded"


def test_a_container_that_browsers_do_not_play_is_named(tmp_path):
    assert find_fault(viewed_clip(tmp_path, ".avi")) == "the container is AVI"


def test_the_media_are_read_as_they_were_analysed(tmp_path):
    viewed = viewed_clip(tmp_path)
    clip = replace(viewed.clip, streams=Streams(video=0), start_s=0.1)
    source = media_of(replace(viewed, clip=clip))
    assert (source.streams, source.part) == (clip.streams, clip.part)
    assert source.assume_fps == 25  # of a raw stream, the rate of the table


def test_a_clip_without_media_has_none(tmp_path):
    viewed = viewed_clip(tmp_path)
    without = replace(viewed, clip=Clip("clip"))
    assert media_of(without) is None
    assert find_fault(without) == ""
