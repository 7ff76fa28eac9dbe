"""Colours that are distinct for any colour vision, on light and on dark ground: one a class and one a person.

No view distinguishes things by colour alone: each colour goes with a name, a line style or a place.
"""

from collections.abc import Sequence

# Okabe and Ito 2008, "Color Universal Design", without black and yellow, which vanish on one of the two grounds
OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7")
GREY = "#888888"  # of Neutral, and of what nobody predicts
DASHES = ("solid", "dashed", "dotted", "dashdot")  # once the colours are used up
CLASSES = {
    "neutral": GREY,
    "anger": "#D55E00",
    "disgust": "#009E73",
    "fear": "#8C6BB1",
    "happiness": "#E69F00",
    "sadness": "#0072B2",
    "surprise": "#56B4E9",
    "other": "#CC79A7",
}
VALENCE, AROUSAL = "#0072B2", "#D55E00"


def class_colours(names: Sequence[str]) -> dict[str, str]:
    """Class -> colour: those of the challenge always have the same; others take what is left, in their order."""
    found = {name: CLASSES[name.lower()] for name in names if name.lower() in CLASSES}
    left = [colour for colour in OKABE_ITO if colour not in found.values()] or list(OKABE_ITO)
    others = [name for name in names if name not in found]
    return found | {name: left[i % len(left)] for i, name in enumerate(others)}


def person_style(place: int) -> tuple[str, str]:
    """Colour and line style of the person at this place among the persons of a clip, from 0."""
    return OKABE_ITO[place % len(OKABE_ITO)], DASHES[place // len(OKABE_ITO) % len(DASHES)]
