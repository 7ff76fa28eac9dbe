"""Names of classes, action units and emotions in the official order, the headers of the organisers' templates, and what
the name of a clip says.

Imports nothing, so that listings of them are fast.
"""

EXPRESSIONS = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other")
COMPOUND_EXPRESSIONS = (
    "Fearfully_Surprised",
    "Happily_Surprised",
    "Sadly_Surprised",
    "Disgustedly_Surprised",
    "Angrily_Surprised",
    "Sadly_Fearful",
    "Sadly_Angry",
)
ACTION_UNITS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26")
EMOTIONS = ("Admiration", "Amusement", "Determination", "Empathic Pain", "Excitement", "Joy")

# the first lines of the templates, and of files that a whole split's labels are in
VA_HEADER = "image_location,valence,arousal"
EXPR_HEADER = "image_location," + ",".join(EXPRESSIONS)
CE_HEADER = "image_location," + ",".join(COMPOUND_EXPRESSIONS)
AU_HEADER = "image_location," + ",".join(ACTION_UNITS)
EMI_HEADER = "Filename," + ",".join(EMOTIONS)
MTL_HEADER_START = "image,valence,arousal,expression,"  # labels go on with the units' names, templates with "aus"
MTL_HEADER = MTL_HEADER_START + "aus"

SIDES = ("left", "right")  # of the two persons of one video


def video_of(clip_id: str) -> str:
    """The video that a clip is from. ``_left`` and ``_right`` are two persons of one video, which stay in one split.

    >>> video_of("130-25_left")
    '130-25'
    """
    return split_side(clip_id)[0]


def split_side(clip_id: str) -> tuple[str, str | None]:
    """The video that a clip is from, and its side ("left", "right" or None): what the end of its name says.

    >>> split_side("left_video_right")
    ('left_video', 'right')
    """
    for side in SIDES:
        if clip_id.endswith(f"_{side}"):
            return clip_id.removesuffix(f"_{side}"), side
    return clip_id, None
