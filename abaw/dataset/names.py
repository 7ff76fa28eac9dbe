"""Names of classes, action units and emotions in the official order, and the headers of the organisers' templates.

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
