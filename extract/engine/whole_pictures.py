"""Whole pictures among face images: frames of a video that were saved under the names of face crops."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from abaw.dataset.clip import Clip
from abaw.dataset.face_images import FaceImages
from abaw.errors import InputError
from extract import media
from extract.encoders.base import PictureEncoder
from extract.engine.requests import ReadRequest, stage
from extract.faces.detector import FaceDetector
from extract.media import Rgb
from extract.media.stills.image_files import read_image

NUM_SAMPLES = 5
CROP_SHAPES = (0.6, 1.3)  # width by height: outside these it is no crop of a face; 4:3 is 1.33, 9:16 is 0.56
SURE_SHAPES, SURE_PX = (0.7, 1.2), 256  # what crops nearly always are: of these nothing else is looked at
MAX_SMALL_PX = 128  # no video is as small as that
MIN_FACE_SHARE = 0.15  # of the picture's area: crops with a wide margin have a quarter, aligned ones a half
MIN_SERIES_SHARE = 0.45  # of a series, in which close-ups are common: faces are found again in crops with a margin


def count_whole_pictures(request: ReadRequest, num_streams: Callable[[], tuple[int, int]]) -> int:
    """The number of face images to be read if they are whole pictures, else 0.

    ``num_streams``: how many video and audio streams the clip has. Raises ClipError where they are whole pictures,
    there is no video in which faces can be detected, and the clip is no series of pictures.
    """
    images, encoders = request.images, request.encoders.values()
    if not images.numbers or not any(isinstance(each, PictureEncoder) and each.crop is not None for each in encoders):
        return 0
    with stage("read images"):
        size = find_whole_pictures(request.clip, images, request.target.detector)
        if size is not None and not request.clip.is_series and not num_streams()[0]:
            raise InputError(
                f"the {len(images.numbers)} images in {images.folder} are whole pictures of {size[0]} x {size[1]} "
                "pixels, not crops of faces: give the video that they come from, or crop the faces first, or use "
                "encoders with crop=none"
            )
    return 0 if size is None else len(images.numbers)


def find_whole_pictures(clip: Clip, images: FaceImages, detector: FaceDetector) -> tuple[int, int] | None:
    """Width and height of the images of a clip where they are whole pictures, None where they are crops of faces.

    They are whole pictures where a sample of them has one size (most of it, in a series), and that size is too wide or
    too high for a face, or that of the video, or the largest face in them covers less than ``MIN_FACE_SHARE``. Pictures
    of a series are whole in more cases: below ``MIN_SERIES_SHARE``, without any face, or of a shape that crops seldom
    have. Crops of up to ``SURE_PX`` of a usual shape, and all of up to ``MAX_SMALL_PX``, are known without opening the
    video. Raises MissingWeights where only the detector could decide.
    """
    shown = _sample(images)
    sizes = Counter((each.shape[1], each.shape[0]) for each in shown)
    if not sizes:
        return None
    ((width, height), num) = sizes.most_common(1)[0]
    if num < len(shown) and not (clip.is_series and num > len(shown) / 2):
        return None  # they were cut to the size of each face
    shape = width / height
    is_usual = max(width, height) <= SURE_PX and SURE_SHAPES[0] <= shape <= SURE_SHAPES[1]
    if is_usual or max(width, height) <= MAX_SMALL_PX:
        return None
    low, high = SURE_SHAPES if clip.is_series else CROP_SHAPES
    is_whole = not low <= shape <= high or (width, height) == _size_of_video(clip)
    return (width, height) if is_whole or _are_faces_small(shown, detector.clone(), clip.is_series) else None


def _sample(images: FaceImages) -> list[Rgb]:
    """A few images that can be read, from the first to the last."""
    places = np.linspace(0, len(images.numbers) - 1, min(NUM_SAMPLES, len(images.numbers))).astype(int)
    read = [read_image(images.path(images.numbers[place])) for place in places]
    return [each for each in read if not isinstance(each, str)]


def _size_of_video(clip: Clip) -> tuple[int, int] | None:
    if clip.media is None:
        return None
    pictures = media.pictures(clip.media, video_stream=clip.streams.video, assume_fps=1.0)  # times are not used
    first = next((picture.rgb() for picture in pictures if picture.is_decodable), None)
    return None if first is None else (first.shape[1], first.shape[0])


def _are_faces_small(shown: list[Rgb], detector: FaceDetector, is_series: bool) -> bool:
    shares = [
        max((face.box.area for face in faces), default=0.0) / (picture.shape[0] * picture.shape[1])
        for picture in shown
        if (faces := detector.detect(picture))
    ]
    if is_series and not shares:  # the clip may show nobody for a while
        return True
    return bool(shares) and float(np.median(shares)) < (MIN_SERIES_SHARE if is_series else MIN_FACE_SHARE)
