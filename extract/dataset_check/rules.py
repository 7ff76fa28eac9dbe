"""The rules of ``abaw check`` about files, labels, times and names."""

import re
from collections.abc import Iterator

from abaw.numbers import format_count
from extract.dataset_check.facts import ClipFacts
from extract.dataset_check.rule import rule

NAME_FPS = re.compile(r"\d+-(\d+)-\d+x\d+(?!\d)", re.ASCII)
MAX_FPS_DIFFERENCE = 0.5  # 29.97 is called 30
MAX_SOUND_OFFSET_S = 0.5


@rule(
    advice="extraction reports the clip as failed and continues with the others",
    fine={},
    found={"problem": "its name cannot name a file", "media": None, "images": None},
)
def unusable_clip(clip: ClipFacts) -> Iterator[str]:
    if clip.problem:
        yield clip.problem


@rule(
    advice="get the file again; extraction reports the clip as failed and continues with the others",
    fine={},
    found={"media_error": "it is empty", "has_video": False, "has_sound": False},
)
def unreadable_media(clip: ClipFacts) -> Iterator[str]:
    if clip.media_error:
        yield clip.media_error


@rule(
    advice="correct the folder of images; extraction reports the clip as failed and continues with the others",
    fine={},
    found={"image_error": "00002.jpg is a folder, expected a file"},
)
def unreadable_images(clip: ClipFacts) -> Iterator[str]:
    if clip.image_error:
        yield clip.image_error


@rule(
    advice="add the video or the images, or remove the name from the list",
    fine={"media": None, "has_video": False, "has_sound": False},
    found={"media": None, "images": None, "has_video": False, "has_sound": False},
)
def no_files(clip: ClipFacts) -> Iterator[str]:
    if clip.media is None and clip.images is None and not clip.problem:
        yield "named by labels or a test list, but there is neither a video nor a folder of images"


@rule(
    advice="extraction needs --assume-fps for its frame timestamps",
    fine={},
    found={"media": None, "has_video": False, "has_sound": False},
)
def no_media(clip: ClipFacts) -> Iterator[str]:
    if clip.media is None and clip.images is not None and not clip.is_own:
        yield "images only: without a video there are no times and no sound"


@rule(
    advice="extraction needs --assume-fps for its frame timestamps; only the sound is used",
    fine={},
    found={"has_video": False, "num_frames": None},
)
def no_video(clip: ClipFacts) -> Iterator[str]:
    if clip.media and not clip.media_error and not clip.has_video and not clip.is_own:
        yield f"{clip.media} has sound, but no video"


@rule(
    advice="faces are detected in the video; clips named _left or _right take the person on that side",
    fine={},
    found={"images": None},
)
def no_images(clip: ClipFacts) -> Iterator[str]:
    if clip.has_video and clip.images is None and not clip.is_own:
        yield "a video without a folder of face images"


@rule(
    advice="row i is frame i; every frame, label row and image gets a time, and frames without a label are not scored",
    fine={"label_rows": {"va": 100}},
    found={"label_rows": {"va": 99}},
)
def label_rows(clip: ClipFacts) -> Iterator[str]:
    for task, num_rows in clip.label_rows.items():
        last = clip.last_image or 0
        if (clip.num_frames is not None and num_rows != clip.num_frames) or num_rows < last:
            video = "no video" if clip.num_frames is None else f"{clip.num_frames} frames in the video"
            yield f"{num_rows} label rows for {task}, {video}, last image {last or 'none'}"


@rule(
    advice="frames after the video's end get times at the median interval",
    fine={"last_image": 100},
    found={"last_image": 101},
)
def images_after_end(clip: ClipFacts) -> Iterator[str]:
    if clip.num_frames is not None and clip.last_image is not None and clip.last_image > clip.num_frames:
        yield f"last image {clip.last_image}, {clip.num_frames} frames in the video"


@rule(
    advice="they count in the score, and are predicted from neighbouring frames",
    fine={"scored_without_image": {"va": 0}},
    found={"scored_without_image": {"va": 1}},
)
def labelled_without_image(clip: ClipFacts) -> Iterator[str]:
    for task, num in clip.scored_without_image.items():
        if num:
            yield f"{format_count(num, 'scored frame')} for {task} without an image"


@rule(
    advice="times are never computed from names here; do not compute them from names yourself",
    fine={"fps": 23.976},
    found={"fps": 23.4},
)
def fps_in_name(clip: ClipFacts) -> Iterator[str]:
    match = NAME_FPS.match(clip.clip)
    if match and clip.fps is not None and abs(clip.fps - int(match[1])) > MAX_FPS_DIFFERENCE:
        yield f"{match[1]} fps in the name, {clip.fps:.2f} fps in the file"


@rule(
    advice="use seconds, not frame counts, wherever you compute times yourself",
    fine={"is_variable": False},
    found={"is_variable": True},
)
def variable_rate(clip: ClipFacts) -> Iterator[str]:
    if clip.is_variable and clip.fps is not None:
        yield f"frames are not evenly spaced (mostly {clip.fps:.2f} fps)"


@rule(
    advice="if the pictures are not evenly spaced, get the file in its container, such as MP4",
    fine={"counted_fps": None},
    found={"counted_fps": 25.0},
)
def no_time_stamps(clip: ClipFacts) -> Iterator[str]:
    if clip.counted_fps is not None:
        yield f"{clip.media} has no timestamps: pictures are counted at {clip.counted_fps:.2f} fps, which it states"


@rule(advice="features of sound are marked as not observed", fine={}, found={"has_sound": False})
def no_sound(clip: ClipFacts) -> Iterator[str]:
    if clip.has_video and not clip.has_sound and not clip.is_still:
        yield "the video has no sound"


@rule(
    advice="features of sound are marked as not observed before",
    fine={"sound_late_s": 0.5},
    found={"sound_late_s": 0.51},
)
def sound_late(clip: ClipFacts) -> Iterator[str]:
    if clip.sound_late_s is not None and clip.sound_late_s > MAX_SOUND_OFFSET_S:
        yield f"sound starts {clip.sound_late_s:.2f} s after the first frame"


@rule(
    advice="features of sound are marked as not observed after",
    fine={"sound_short_s": 0.5},
    found={"sound_short_s": 0.51},
)
def sound_short(clip: ClipFacts) -> Iterator[str]:
    if clip.sound_short_s is not None and clip.sound_short_s > MAX_SOUND_OFFSET_S:
        yield f"sound ends {clip.sound_short_s:.2f} s before the last frame"


@rule(
    advice="frames are turned upright when they are decoded; other programs may not do so",
    fine={"rotation_deg": 0},
    found={"rotation_deg": -90},
)
def rotated(clip: ClipFacts) -> Iterator[str]:
    if clip.rotation_deg:
        yield f"the file is to be shown rotated by {clip.rotation_deg} degrees"


@rule(
    advice="choose another with --video-stream or --audio-stream, counted from 0, if this is the wrong one",
    fine={"num_video_streams": 1, "num_audio_streams": 1, "video_stream": 0, "audio_stream": 0},
    found={"num_video_streams": 2, "num_audio_streams": 1, "video_stream": 1, "audio_stream": 0},
)
def several_streams(clip: ClipFacts) -> Iterator[str]:
    if clip.num_video_streams > 1:
        yield f"{clip.num_video_streams} video streams: stream {clip.video_stream} is read, {clip.width}x{clip.height}"
    if clip.num_audio_streams > 1:
        yield f"{clip.num_audio_streams} audio streams: stream {clip.audio_stream} is read"


@rule(
    advice="they are widened or narrowed when they are decoded, so that faces have their true proportions",
    fine={"pixel_aspect": 1.0},
    found={"pixel_aspect": 1.422},
)
def pixel_aspect(clip: ClipFacts) -> Iterator[str]:
    if clip.pixel_aspect != 1:
        yield f"pixels are stored {clip.pixel_aspect:.3f} times as wide as high"


@rule(
    advice="it is mapped to the range of common screens; encoders are trained on such pictures",
    fine={"hdr": ""},
    found={"hdr": "HLG"},
)
def hdr(clip: ClipFacts) -> Iterator[str]:
    if clip.hdr:
        yield f"the video is HDR ({clip.hdr})"


@rule(
    advice="the sound of the video itself is used; to use the other, put it into the video file with ffmpeg",
    fine={"unused": ()},
    found={"unused": ("12-24-1920x1080.wav",)},
)
def unused_files(clip: ClipFacts) -> Iterator[str]:
    if clip.unused:
        yield f"{', '.join(clip.unused)} has the same name as {clip.media} and is not read"


@rule(
    advice="labels and lists need this name; rename the files if their names are to stay as they are",
    fine={"is_renamed": False},
    found={"is_renamed": True},
)
def same_name(clip: ClipFacts) -> Iterator[str]:
    if clip.is_renamed:
        yield f"other files have the name of {clip.media} too: this clip is named after its folder or with its suffix"


@rule(
    advice="keep clips of one video in one fold; they have the same sound",
    fine={"has_video_name": True},
    found={"others_in_video": ("a_left", "a_right")},
)
def two_subjects(clip: ClipFacts) -> Iterator[str]:
    if clip.others_in_video and not clip.is_own:
        yield f"shares {clip.media} with {', '.join(clip.others_in_video)}"


@rule(
    advice="the clip without _left or _right is one person, not the whole video",
    fine={"others_in_video": ("12-24_right",)},
    found={"others_in_video": ("12-24_right",), "has_video_name": True},
)
def one_side_only(clip: ClipFacts) -> Iterator[str]:
    if clip.has_video_name and not clip.is_own and len(clip.others_in_video) == 1:
        yield f"has the video's own name, beside {clip.others_in_video[0]}; there is no clip of the other side"
