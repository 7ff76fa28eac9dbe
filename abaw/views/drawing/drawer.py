"""Draws a scene on a picture. The size of everything follows the size of the picture."""

from itertools import pairwise

import cv2
import numpy as np
from PIL import Image, ImageDraw

from abaw.views.drawing.scene import TRAIL_S, PersonScene, Scene
from abaw.views.drawing.sprites import (
    AMBER,
    DARK,
    LIGHT,
    Canvas,
    Colour,
    Sprite,
    bar_sprite,
    chip_sprite,
    draw_text,
    from_image,
    text_font,
    text_sprite,
)

MIN_TEXT_PX = 11
LINES_OF_TEXT = 27  # that would fit into the shorter side of a picture
CIRCUMPLEX_TEXTS = 3.6  # the radius of the circumplex, in heights of text
NUM_STEPS = 32  # of a bar, so that few different ones are drawn
GREEN: Colour = (122, 214, 160)


class Drawer:
    """Draws on pictures of one size, ``height`` by ``width`` pixels."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.text_px = max(MIN_TEXT_PX, round(min(height, width) / LINES_OF_TEXT))
        self.margin_px = round(self.text_px * 0.7)
        self.line_px = max(2, round(self.text_px / 7))
        self.radius_px = min(round(self.text_px * CIRCUMPLEX_TEXTS), min(height, width) // 5)
        self._panel = _circumplex_panel(self.radius_px, self.text_px)

    def draw(self, picture: Canvas, scene: Scene) -> None:
        """Draw a scene on a picture, in place."""
        for person in scene.persons:
            if person.box is not None:
                self._draw_face(picture, person, person.box)
        self._draw_state(picture, scene)
        self._draw_persons_without_face(picture, scene)
        if scene.has_circumplex:
            self._draw_circumplex(picture, scene)

    def _draw_state(self, picture: Canvas, scene: Scene) -> None:
        """Top left: the time, what was seen and heard, and what else must be known."""
        x, y = self.margin_px, self.margin_px
        title = draw_text(scene.title, self.text_px)
        title.draw_on(picture, x, y)
        y += title.height + self.line_px
        flags = [] if scene.face_seen is None else [("face", "no face", scene.face_seen)]
        for yes, no, is_there in [*flags, ("voice", "no voice", scene.voice_heard)]:
            colour = GREEN if is_there else AMBER
            chip = chip_sprite(yes if is_there else no, round(self.text_px * 0.85), colour, is_there)
            chip.draw_on(picture, x, y)
            x += chip.width + self.line_px * 2
        if scene.remark:
            y += round(self.text_px * 1.7)
            chip_sprite(scene.remark, self.text_px, AMBER).draw_on(picture, self.margin_px, y)

    def _draw_face(self, picture: Canvas, person: PersonScene, box: tuple[float, float, float, float]) -> None:
        """The box, the person's name above it, and the predictions below it, or inside where there is no room."""
        x, y, width, height = (round(each) for each in box)
        for colour, line_px in ((DARK, self.line_px + 2), (person.colour, self.line_px)):
            cv2.rectangle(picture, (x, y), (x + width, y + height), colour, line_px)
        name = chip_sprite(person.name, round(self.text_px * 0.85), person.colour)
        above = y - name.height - self.line_px
        name.draw_on(picture, self._within(x - self.line_px, name.width), above if above >= 0 else max(0, y))
        self._draw_below(
            picture, self._predictions(person, max(width, self.text_px * 6)), x, y + height + self.line_px * 2
        )

    def _draw_persons_without_face(self, picture: Canvas, scene: Scene) -> None:
        """Bottom left: predictions from the voice alone, and where a clip has one person, that nothing was observed."""
        y = self.height - self.margin_px
        for person in reversed(scene.persons):
            if person.box is not None or not (person.is_observed or len(scene.persons) == 1):
                continue
            sprites = self._predictions(person, self.text_px * 7)
            if not person.is_observed:
                sprites = [text_sprite("not observed: no prediction", self.text_px, AMBER)]
            sprites.insert(0, chip_sprite(person.name, round(self.text_px * 0.85), person.colour, False))
            y -= sum(each.height for each in sprites)
            self._draw_below(picture, sprites, self.margin_px, y)

    def _predictions(self, person: PersonScene, width: int) -> list[Sprite]:
        """Each class with its probability as a bar, and the other predictions as text."""
        sprites = []
        for name, share, colour in person.classes:
            sprites.append(text_sprite(f"{name} {share:.2f}", self.text_px, LIGHT, True))
            step = round(share * NUM_STEPS) / NUM_STEPS
            width = min(max(self.text_px * 4, width // 8 * 8), self.width // 2)
            sprites.append(bar_sprite(step, width, max(6, round(self.text_px * 0.55)), colour))
        sprites += [text_sprite(text, round(self.text_px * 0.85)) for text in person.texts]
        return sprites

    def _draw_below(self, picture: Canvas, sprites: list[Sprite], x: int, y: int) -> None:
        """Draw sprites below each other from y on, moved up and sideways as far as the picture needs."""
        y = max(0, min(y, self.height - sum(each.height for each in sprites) - self.line_px))
        for sprite in sprites:
            sprite.draw_on(picture, self._within(x, sprite.width), y)
            y += sprite.height

    def _within(self, x: int, width: int) -> int:
        return max(0, min(x, self.width - width))

    def _draw_circumplex(self, picture: Canvas, scene: Scene) -> None:
        """Bottom right: valence to the right and arousal upwards, each person's point with the trail of its last."""
        x = self.width - self._panel.width - self.margin_px
        y = self.height - self._panel.height - self.margin_px
        self._panel.draw_on(picture, x, y)
        centre = np.array([x + self._panel.width / 2, y + self._panel.height / 2])
        for person in scene.persons:
            if not len(person.trail):
                continue
            places = centre + person.trail[:, :2].clip(-1, 1) * (self.radius_px, -self.radius_px)
            for (start, stop), age_s in zip(pairwise(places), person.trail[1:, 2], strict=True):
                if np.isfinite(start).all() and np.isfinite(stop).all():
                    fresh = max(0.15, 1 - age_s / TRAIL_S)
                    colour = tuple(
                        round(each * fresh + dark * (1 - fresh)) for each, dark in zip(person.colour, DARK, strict=True)
                    )
                    cv2.line(picture, _point(start), _point(stop), colour, self.line_px, cv2.LINE_AA)
            if np.isfinite(places[-1]).all():
                self._draw_point(picture, person, _point(places[-1]))

    def _draw_point(self, picture: Canvas, person: PersonScene, at: tuple[int, int]) -> None:
        if person.deviation is not None:
            axes = tuple(max(1, round(min(each, 2) * self.radius_px)) for each in person.deviation)
            cv2.ellipse(picture, at, axes, 0, 0, 360, person.colour, 1, cv2.LINE_AA)
        size = max(3, round(self.text_px / 3.2))
        for colour, radius in ((DARK, size + 2), (LIGHT, size + 1), (person.colour, size - 1)):
            cv2.circle(picture, at, radius, colour, -1, cv2.LINE_AA)


def _point(place: np.ndarray) -> tuple[int, int]:
    return round(float(place[0])), round(float(place[1]))


def _circumplex_panel(radius: int, text_px: int) -> Sprite:
    """A dark ground with a circle and axes, and which way valence and arousal increase."""
    pad, small = round(text_px * 1.05), max(9, round(text_px * 0.68))
    side, scale = 2 * (radius + pad) + 1, 4  # drawn larger and reduced, so that the circle is smooth
    image = Image.new("RGBA", (side * scale, side * scale))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, side * scale - 1, side * scale - 1), pad * scale, (*DARK, 160))
    low, middle, high = pad * scale, side * scale // 2, (side - pad) * scale
    draw.ellipse((low, low, high, high), None, (*LIGHT, 190), scale * max(1, text_px // 12))
    for line in ((low, middle, high, middle), (middle, low, middle, high)):
        draw.line(line, (*LIGHT, 120), scale)
    image = image.resize((side, side), Image.Resampling.BOX)
    pen, font = ImageDraw.Draw(image), text_font(small)
    for text, y in (("\N{UPWARDS ARROW} arousal", pad / 2), ("valence \N{RIGHTWARDS ARROW}", side - pad / 2)):
        pen.text((side / 2, y), text, (*LIGHT, 255), font, anchor="mm")
    return from_image(image)
