"""One line of losses a clip, and the summary of many clips."""

import pytest

from extract.losses import ClipLosses, FaceLosses, PictureLosses, SoundLosses, summarize

LINES = {
    "": ClipLosses(PictureLosses(100), SoundLosses(clip_s=4.0), {"video": FaceLosses("video", 100, 100)}),
    "only 36.0 of 60.0 s announced can be read": ClipLosses(PictureLosses(900, announced_s=60.0, readable_s=36.0)),
    "only 23 of 25 pictures announced can be read: later ones may have moved": ClipLosses(
        PictureLosses(23, num_announced=25)
    ),
    "27 pictures, although 25 are announced: later ones may have moved": ClipLosses(
        PictureLosses(27, num_announced=25)
    ),
    "only 1.24 of 1.45 s announced can be read": ClipLosses(PictureLosses(31, announced_s=1.45, readable_s=1.24)),
    "3 of 98 pictures cannot be decoded": ClipLosses(PictureLosses(98, num_undecodable=3)),
    "1 of 67 pictures at estimated times (wrong or missing timestamps)": ClipLosses(PictureLosses(67, num_mended=1)),
    "timestamps start anew at 2 places": ClipLosses(PictureLosses(67, num_joins=2)),
    "2 frames of labels or images after the last of 98 pictures": ClipLosses(PictureLosses(98, num_after_end=2)),
    "1 corrupt packet": ClipLosses(PictureLosses(98, num_corrupt_packets=1)),
    "1 other video stream not used": ClipLosses(PictureLosses(98, num_unused_streams=1)),
    "no sound": ClipLosses(sound=SoundLosses("missing", clip_s=3.0)),
    "the sound is silent": ClipLosses(sound=SoundLosses("silent", clip_s=3.0)),
    "the channels of the sound cancel each other out: FL alone was taken": ClipLosses(sound=SoundLosses(channel="FL")),
    "0.50 of 4.00 s of the sound missing, filled with silence": ClipLosses(sound=SoundLosses(clip_s=4.0, gaps_s=0.5)),
    "2.42 of 6.39 s without sound at the beginning or end": ClipLosses(sound=SoundLosses(clip_s=6.39, short_s=2.42)),
    "3 timestamps of the sound wrong, replaced by estimates": ClipLosses(sound=SoundLosses(num_mended=3)),
    "2 corrupt packets of sound": ClipLosses(sound=SoundLosses(num_corrupt_packets=2)),
    "2 other audio streams not used": ClipLosses(sound=SoundLosses(num_unused_streams=2)),
    "no face in any of 95 frames": ClipLosses(faces={"video": FaceLosses("video", 95, 0)}),
    "a face in only 45 of 75 frames (60.0 %)": ClipLosses(faces={"video": FaceLosses("video", 75, 45)}),
    "a face image in only 9464 of 9866 frames (95.9 %)": ClipLosses(faces={"images": FaceLosses("images", 9866, 9464)}),
    "no face image in any of 4 frames; 4 face images empty (0 bytes)": ClipLosses(
        faces={"images": FaceLosses("images", 4, 0, num_empty=4)}
    ),
    "1 face image cut off or no image": ClipLosses(faces={"images": FaceLosses("images", 4, 4, num_damaged=1)}),
    "in 50 frames the person is absent, but others are there": ClipLosses(
        faces={"video": FaceLosses("video", 100, 100, num_others=50)}
    ),
    "1 face image not read: its name gives no frame, or one that has another image": ClipLosses(
        faces={"images": FaceLosses("images", 4, 4, num_unread=1)}
    ),
    "face images are numbered from 0: image 0 is frame 1": ClipLosses(
        faces={"images": FaceLosses("images", 4, 4, from_0=True)}
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_the_line_names_each_loss_with_its_numbers(line):
    assert str(LINES[line]) == line
    assert bool(LINES[line]) is bool(line)


@pytest.mark.parametrize("line", LINES)
def test_losses_are_the_same_after_json(line):
    document = LINES[line].to_json()
    assert str(ClipLosses.from_json(document)) == line
    assert (document == {}) is (line == "")


def test_the_parts_of_a_line_are_in_one_order():
    lost = ClipLosses(
        PictureLosses(75, num_corrupt_packets=1), SoundLosses("silent"), {"video": FaceLosses("video", 75, 0)}
    )
    assert str(lost) == "1 corrupt packet; the sound is silent; no face in any of 75 frames"
    assert (lost.has_no_face, lost.has_no_sound, lost.share) == (True, True, 1.0)


def test_later_parts_replace_earlier_ones_and_others_stay():
    earlier = ClipLosses(PictureLosses(75, num_corrupt_packets=1), SoundLosses("silent"))
    later = ClipLosses(PictureLosses(75), faces={"images": FaceLosses("images", 75, 74)})
    assert str(earlier.merged(later)) == "the sound is silent; a face image in only 74 of 75 frames (98.7 %)"


def test_a_summary_counts_kinds_and_names_the_worst_first():
    losses = {f"c{i:02d}": ClipLosses(faces={"video": FaceLosses("video", 100, 80 + i)}) for i in range(12)}
    losses |= {"silent": ClipLosses(sound=SoundLosses("silent")), "sound": ClipLosses()}
    lines = summarize(losses, 400, "abaw store info S --losses")
    assert lines[0] == "13 of 400 clips have losses: frames without a face 12, silent sound 1"
    assert lines[1:3] == ["  silent: the sound is silent", "  c00: a face in only 80 of 100 frames (80.0 %)"]
    assert lines[-1] == "  and 3 more: abaw store info S --losses lists all"
    assert len(lines) == 12
    assert summarize({"a": ClipLosses()}, 1) == []
