"""Small pictures with transparency that are drawn on others: text with a dark outline, chips and bars."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

Canvas = np.ndarray  # uint8 RGB (height, width, 3)
Colour = tuple[int, int, int]

DARK: Colour = (16, 18, 22)
LIGHT: Colour = (245, 245, 245)
AMBER: Colour = (255, 196, 84)  # of what the viewer must notice


@dataclass(frozen=True)
class Sprite:
    """Colours multiplied by their opacity, and how much of the picture below remains visible: uint8 (h, w, 3) each."""

    colours: np.ndarray
    remaining: np.ndarray

    @property
    def height(self) -> int:
        return int(self.colours.shape[0])

    @property
    def width(self) -> int:
        return int(self.colours.shape[1])

    def draw_on(self, picture: Canvas, x: int, y: int) -> None:
        """Draw it on a picture with its top left corner at (x, y); what is outside of the picture is cut off."""
        height, width, _ = picture.shape
        left, top, right, bottom = max(0, x), max(0, y), min(width, x + self.width), min(height, y + self.height)
        if left >= right or top >= bottom:
            return
        place = np.s_[top - y : bottom - y, left - x : right - x]
        below = np.ascontiguousarray(picture[top:bottom, left:right])
        shaded = cv2.multiply(below, np.ascontiguousarray(self.remaining[place]), scale=1 / 255)
        picture[top:bottom, left:right] = cv2.add(shaded, np.ascontiguousarray(self.colours[place]))


def from_image(image: Image.Image) -> Sprite:
    """A sprite of a Pillow image with transparency."""
    pixels = np.asarray(image.convert("RGBA"), np.uint16)
    alpha = pixels[..., 3:]
    colours = ((pixels[..., :3] * alpha + 127) // 255).astype(np.uint8)
    return Sprite(colours, np.repeat(255 - alpha, 3, axis=2).astype(np.uint8))


def rgb_of(colour: str) -> Colour:
    """The red, green and blue of a colour such as ``#E69F00``."""
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return red, green, blue


def text_colour_on(colour: Colour) -> Colour:
    """Black or white, whichever is easier to read on a colour (by its luminance, ITU-R BT.709)."""
    linear = [(each / 255) ** 2.2 for each in colour]
    return DARK if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.18 else LIGHT


@lru_cache(maxsize=8)
def text_font(size_px: int, bold: bool = False) -> Any:
    """DejaVu Sans, which comes with matplotlib and has most alphabets."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf" / name, size_px)


def draw_text(text: str, size_px: int, colour: Colour = LIGHT, bold: bool = False) -> Sprite:
    """A line of text with a dark outline, which is legible on any picture."""
    text = " ".join(text.split())
    font, outline_px = text_font(size_px, bold), max(1, round(size_px / 9))
    ascent, descent = font.getmetrics()
    width = round(font.getlength(text)) + 2 * outline_px + 1
    image = Image.new("RGBA", (width, ascent + descent + 2 * outline_px))
    draw = ImageDraw.Draw(image)
    draw.text((outline_px, outline_px), text, (*colour, 255), font, stroke_width=outline_px, stroke_fill=(*DARK, 255))
    return from_image(image)


text_sprite = lru_cache(maxsize=256)(draw_text)  # for texts that come again; other ones would only fill the memory


@lru_cache(maxsize=256)
def chip_sprite(text: str, size_px: int, colour: Colour, filled: bool = True) -> Sprite:
    """Text on a rounded ground of a colour; where it is not ``filled``, on a dark one with a border of the colour."""
    text = " ".join(text.split())
    font, pad_px, line_px = text_font(size_px, True), max(3, round(size_px / 2.2)), max(1, round(size_px / 10))
    ascent, descent = font.getmetrics()
    size = round(font.getlength(text)) + 2 * pad_px, ascent + descent + 2 * line_px
    image = Image.new("RGBA", size)
    draw = ImageDraw.Draw(image)
    ground, ink = (colour, text_colour_on(colour)) if filled else (DARK, colour)
    draw.rounded_rectangle(
        (0, 0, size[0] - 1, size[1] - 1), size[1] // 4, (*ground, 235 if filled else 190), (*DARK, 255), line_px
    )
    if not filled:
        draw.rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), size[1] // 4, None, (*colour, 255), line_px)
    draw.text((pad_px, line_px), text, (*ink, 255), font)
    return from_image(image)


@lru_cache(maxsize=256)
def bar_sprite(share: float, width: int, height: int, colour: Colour) -> Sprite:
    """A bar that is filled with a colour from the left by a share from 0 to 1, on a dark ground."""
    image = Image.new("RGBA", (width, height), (*DARK, 200))
    draw = ImageDraw.Draw(image)
    inner = width - 2
    filled = round(inner * min(1.0, max(0.0, share)))
    if filled:
        draw.rectangle((1, 1, filled, height - 2), (*colour, 255))
    draw.rectangle((0, 0, width - 1, height - 1), None, (*LIGHT, 150))
    return from_image(image)
