"""Faces of the synthetic data set: a person's face drawn with OpenCV from a few parameters.

A head is drawn upright on a small canvas, then rotated, scaled and moved into a frame; the organisers' crop is cut out
of that frame by the same similarity. What does not move (skin, hair, nose, shading) is drawn once for each person.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

CANVAS = (160, 220)  # width and height of the drawing in canvas pixels; a face is about 124 high, from hair to chin
EYES = (80.0, 92.0)  # the point between the eyes on the canvas
CROP_PX = 112
CROP_SCALE = 0.81  # eyes 35 px apart and the mouth 41 px below them, as after alignment with RetinaFace
CROP_EYES = (56.0, 51.6)

ACROSS_EYE = np.linspace(-1, 1, 13)
ACROSS_MOUTH = np.linspace(-1, 1, 17)
ALONG_BROW = np.linspace(0, 1, 9)  # from the inner to the outer end
ALONG_FOLD = np.linspace(0, 1, 8)[:, None]

DARK = (38, 26, 24)
SCLERA = (238, 234, 228)
TEETH = (232, 226, 214)


@dataclass(frozen=True)
class Person:
    """What does not change in a face: sizes are factors around 1, positions canvas pixels, colours RGB."""

    aspect: float  # width of the head
    eye_gap: float
    eye_size: float
    brow_px: float  # thickness
    brow_height: float
    mouth_width: float
    mouth_y: float
    nose_length: float
    lip_px: float
    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    iris: tuple[int, int, int]
    fringe: float  # how far the hair comes down, canvas pixels
    clothes: tuple[int, int, int]
    background_seed: int
    rest_smile: float  # added to smile and brow: faces at rest differ
    rest_brow: float


@dataclass(frozen=True)
class FaceState:
    """A face in one frame: ``smile``, ``brow``, ``cheek`` in [-1, 1], ``lids`` 0 (shut) to 1.3, ``jaw`` in [0, 1]."""

    smile: float
    brow: float
    cheek: float
    lids: float
    jaw: float
    gaze: float = 0.0
    hidden: bool = field(default=False, kw_only=True)  # turned away: the back of the head


@dataclass(frozen=True)
class Pose:
    """The point between the eyes in the frame (pixels), the size of a canvas pixel, the roll in radians."""

    x: float
    y: float
    scale: float
    roll: float

    def matrix(self) -> np.ndarray:
        """The similarity (2, 3) from the canvas to the frame."""
        cos, sin = self.scale * np.cos(self.roll), self.scale * np.sin(self.roll)
        turn = np.array([[cos, -sin], [sin, cos]])
        return np.hstack([turn, (np.array([self.x, self.y]) - turn @ np.array(EYES))[:, None]])


def draw_person(rng: np.random.Generator) -> Person:
    """A random person."""
    tone = rng.uniform(0.0, 1.0)
    skin = (1 - tone) * np.array([238, 200, 176]) + tone * np.array([168, 118, 88])
    hairs = [(44, 32, 28), (78, 52, 36), (120, 84, 48), (30, 30, 34), (104, 58, 38)]
    irises = [(70, 48, 34), (58, 84, 110), (66, 92, 66), (46, 36, 30)]
    return Person(
        aspect=rng.uniform(0.93, 1.08),
        eye_gap=rng.uniform(19.5, 22.5),
        eye_size=rng.uniform(0.9, 1.12),
        brow_px=rng.uniform(3.2, 5.4),
        brow_height=rng.uniform(14.5, 17.5),
        mouth_width=rng.uniform(16.5, 20.5),
        mouth_y=rng.uniform(141.0, 145.5),
        nose_length=rng.uniform(28.0, 33.0),
        lip_px=rng.uniform(2.6, 4.2),
        skin=_rgb(skin + rng.uniform(-8, 8, 3)),
        hair=_rgb(np.array(hairs[rng.integers(len(hairs))]) + rng.uniform(-8, 8, 3)),
        iris=irises[rng.integers(len(irises))],
        fringe=rng.uniform(-3.0, 7.0),
        clothes=_rgb(rng.uniform(50, 170, 3)),
        background_seed=int(rng.integers(2**31)),
        rest_smile=float(rng.normal(0.0, 0.05)),
        rest_brow=float(rng.normal(0.0, 0.07)),
    )


class Head:
    """Draws one person's head in any state; keeps the parts that do not move."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.front = _front(person)
        self.back = _back(person)
        self.alpha = _outline(person)
        self.cheeks = _cheeks(person)

    def draw(self, state: FaceState) -> np.ndarray:
        """The head upright on its canvas, uint8 RGB."""
        if state.hidden:
            return self.back
        canvas = self.front.copy()
        self._lift_cheeks(canvas, state.cheek)
        for side in (-1, 1):
            self._draw_eye(canvas, side, state)
            self._draw_brow(canvas, side, state.brow + self.person.rest_brow)
        self._draw_mouth(canvas, state.smile + self.person.rest_smile, state.jaw)
        return cv2.GaussianBlur(canvas, (0, 0), 0.8)

    def _lift_cheeks(self, canvas: np.ndarray, cheek: float) -> None:
        y, patch = self.cheeks
        shift = round(-4 * cheek)  # cheeks rise and get brighter with a smile
        rows = canvas[y + shift : y + shift + len(patch)]
        cv2.add(rows, patch * np.float32(1.0 + 0.7 * cheek), dst=rows, dtype=cv2.CV_8U)

    def _draw_eye(self, canvas: np.ndarray, side: int, state: FaceState) -> None:
        person = self.person
        centre_x, centre_y = EYES[0] + side * person.eye_gap, EYES[1]
        half_w = 10.0 * person.eye_size
        squint = 1.6 * state.cheek
        upper = max(0.4, 5.4 * person.eye_size * state.lids)
        lower = max(0.3, (3.8 * person.eye_size - squint) * min(1.0, state.lids + 0.15))
        lid = 1 - ACROSS_EYE**2
        top = _line(centre_x + half_w * ACROSS_EYE, centre_y - upper * lid)
        bottom = _line(centre_x + half_w * ACROSS_EYE, centre_y + lower * lid)
        # the eyeball is drawn on a separate patch and shows only between the lids
        x0, y0, size = int(centre_x) - 15, int(centre_y) - 12, (24, 30)
        patch = np.full((*size, 3), SCLERA, np.uint8)
        iris = (centre_x - x0 + 2.5 * state.gaze, centre_y - y0 - 0.3)
        _disc(patch, iris, 4.9 * person.eye_size, person.iris)
        _disc(patch, iris, 2.3 * person.eye_size, (16, 12, 12))
        mask = np.zeros(size, np.uint8)
        _polygon(mask, np.concatenate([top, bottom[::-1]]) - (x0, y0), 255)
        weight = mask.astype(np.float32) / 255
        region = canvas[y0 : y0 + size[0], x0 : x0 + size[1]]
        region[:] = cv2.blendLinear(patch, np.ascontiguousarray(region), weight, 1 - weight)
        _band(canvas, top, 2.2, DARK)
        _band(canvas, bottom, 0.9, _shade(person.skin, 0.55))

    def _draw_brow(self, canvas: np.ndarray, side: int, brow: float) -> None:
        person = self.person
        x = ALONG_BROW
        inner, outer = -4.8 * brow, 1.6 * brow  # low values lower the inner ends and bring them together
        y = EYES[1] - person.brow_height + inner * (1 - x) + outer * x - 3.0 * np.sin(np.pi * x**1.3)
        start, stop = 8.0 + 1.8 * brow, 8.0 + 25.0
        line = _line(EYES[0] + side * (start + (stop - start) * x), y)
        _band(canvas, line, person.brow_px * (1.15 - 0.6 * x), _shade(person.hair, 0.8))

    def _draw_mouth(self, canvas: np.ndarray, smile: float, jaw: float) -> None:
        person = self.person
        x = ACROSS_MOUTH
        width = person.mouth_width * (1 + 0.16 * smile - 0.06 * jaw)
        line = person.mouth_y - 8.0 * smile * (x**2 - 0.4)
        lens = 1 - x**2
        across = EYES[0] + width * x
        opening = 9.0 * jaw
        inner_top, inner_bottom = line - 0.3 * opening * lens, line + 0.7 * opening * lens
        outer_top = inner_top - person.lip_px * lens**0.6 * (1 - 0.25 * np.exp(-((x / 0.16) ** 2)))
        outer_bottom = inner_bottom + 1.3 * person.lip_px * lens**0.6
        lips = _rgb(0.62 * np.array(person.skin) + 0.38 * np.array([150, 30, 40]) - 12)
        _polygon(canvas, _closed(across, outer_top, outer_bottom), lips)
        _polygon(canvas, _closed(across, inner_top - 0.6, inner_bottom + 0.6), (62, 22, 26))
        if opening > 2.5:
            teeth = np.minimum(inner_top + 2.6 * lens, inner_bottom)
            _polygon(canvas, _closed(0.85 * (across - EYES[0]) + EYES[0], inner_top, teeth), TEETH)
        for side in (-1, 1):  # the nasolabial fold gets deeper with a smile
            nose = np.array([EYES[0] + side * 11.0, EYES[1] + 31.0])
            corner = np.array([EYES[0] + side * (width + 4.5), person.mouth_y - 4.0 * smile - 3])
            bend = np.array([corner[0] - side * 1.0, 0.5 * (nose[1] + corner[1]) - 3])
            t = ALONG_FOLD
            fold = (1 - t) ** 2 * nose + 2 * t * (1 - t) * bend + t**2 * corner
            _band(canvas, fold, 1.2, _shade(person.skin, float(np.clip(0.9 - 0.08 * smile, 0.8, 0.97))))


def draw_background(person: Person, size: tuple[int, int], shoulders: list[tuple[Person, float]]) -> np.ndarray:
    """A blurred background of ``size`` (width, height) with the shoulders of persons at the given columns."""
    rng = np.random.default_rng(person.background_seed)
    height = size[1]
    coarse = rng.uniform(70, 190, 3) + rng.uniform(-24, 24, (3, 4, 3))
    background = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    background = np.clip(background, 0, 255).astype(np.uint8)
    for sitter, x in shoulders:
        body = [(x - 74, height), (x - 66, height - 18), (x - 26, height - 34), (x + 26, height - 34)]
        _polygon(background, np.array([*body, (x + 66, height - 18), (x + 74, height)]), sitter.clothes)
    return cv2.GaussianBlur(background, (0, 0), 2.0)


def paste_head(frame: np.ndarray, canvas: np.ndarray, alpha: np.ndarray, pose: Pose) -> None:
    """Draw a head into ``frame``, which is changed in place."""
    matrix = pose.matrix()
    height, width = frame.shape[:2]
    corners = matrix @ np.array([[0, CANVAS[0], 0, CANVAS[0]], [0, 0, CANVAS[1], CANVAS[1]], [1, 1, 1, 1]])
    x0, y0 = np.maximum(np.floor(corners.min(1)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(1)).astype(int), (width, height))
    if x1 <= x0 or y1 <= y0:
        return
    matrix = matrix - np.array([[0, 0, x0], [0, 0, y0]])
    size = (int(x1 - x0), int(y1 - y0))
    head = cv2.warpAffine(canvas, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_LINEAR)
    region = frame[y0:y1, x0:x1]
    region[:] = cv2.blendLinear(head, np.ascontiguousarray(region), weight, 1 - weight)


def cut_crop(frame: np.ndarray, pose: Pose) -> np.ndarray:
    """The organisers' crop (112, 112, 3): upright, with eyes and mouth at the same position for everyone."""
    to_canvas = cv2.invertAffineTransform(pose.matrix())
    shift = np.array(CROP_EYES) - CROP_SCALE * np.array(EYES)
    matrix = CROP_SCALE * to_canvas + np.array([[0, 0, shift[0]], [0, 0, shift[1]]])
    return cv2.warpAffine(frame, matrix, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR)


def _front(person: Person) -> np.ndarray:
    """The parts of a face that do not move, seen from the front."""
    canvas = np.full((CANVAS[1], CANVAS[0], 3), person.hair, np.uint8)
    wide = person.aspect
    _polygon(canvas, np.array([(60, 150), (100, 150), (104, 220), (56, 220)]), _shade(person.skin, 0.72))
    for side in (-1, 1):
        _ellipse(canvas, (80 + side * 47.5 * wide, 102), (6, 13), _shade(person.skin, 0.85))
    _polygon(canvas, _face_shape(person), person.skin)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 1.2).astype(np.float32)
    yy, xx = np.mgrid[0 : CANVAS[1], 0 : CANVAS[0]].astype(np.float32)

    def blob(x: float, y: float, sx: float, sy: float) -> np.ndarray:
        return np.exp(-(((xx - x) / sx) ** 2) - ((yy - y) / sy) ** 2)

    light = 1.04 - 0.16 * (np.abs(xx - 80) / 46) ** 3 - 0.10 * np.clip((yy - 140) / 30, 0, 1)
    light += 0.10 * blob(80, 66, 30, 12)  # forehead
    for side in (-1, 1):
        light -= 0.30 * blob(80 + side * person.eye_gap, 90, 15, 9)  # eye sockets
        light -= 0.16 * blob(80 + side * 9, 88, 5, 9)
        light += 0.10 * blob(80 + side * 24, 117, 13, 10)  # cheekbones
        light -= 0.13 * blob(80 + side * 8.5, 92 + person.nose_length - 3, 3, 5)  # wings of the nose
    light += 0.15 * blob(80, 92 + person.nose_length * 0.4, 4.5, 18)  # bridge of the nose
    light += 0.08 * blob(80, 92 + person.nose_length - 4, 6, 5)
    light -= 0.16 * blob(80, 92 + person.nose_length + 4.5, 9, 3)
    light -= 0.12 * blob(80, person.mouth_y + 9, 11, 3.5)
    light += 0.06 * blob(80, person.mouth_y + 18, 9, 6)
    face = np.clip(canvas * light[..., None], 0, 255).astype(np.uint8)
    for side in (-1, 1):
        _ellipse(face, (80 + side * 4.6, 92 + person.nose_length + 1.2), (2.3, 1.5), _shade(person.skin, 0.4))
    left, right, top = 80 - 50 * wide, 80 + 50 * wide, 30
    fall = 58 + person.fringe
    cap = [(left, 108), (left, 70), (left + 14, 40), (80, top), (right - 14, 40), (right, 70), (right, 108)]
    hairline = [(right - 5, 92), (right - 12, fall + 6), (80 + 8, fall - 4), (left + 22, fall), (left + 6, 92)]
    _polygon(face, np.array(cap + hairline), person.hair)
    return cv2.GaussianBlur(face, (0, 0), 0.9)


def _back(person: Person) -> np.ndarray:
    """The back of the head, covered with hair."""
    canvas = np.full((CANVAS[1], CANVAS[0], 3), person.hair, np.uint8)
    _polygon(canvas, np.array([(60, 158), (100, 158), (104, 220), (56, 220)]), _shade(person.skin, 0.7))
    for strand in range(-4, 5):
        line = np.array([(80 + 3.0 * strand, 38), (80 + 9.0 * strand, 90), (80 + 8.0 * strand, 156)])
        _band(canvas, line, 2.0, _shade(person.hair, 1.15))
    return cv2.GaussianBlur(canvas, (0, 0), 2.0)


def _outline(person: Person) -> np.ndarray:
    """The head's mask on the canvas: 1 is head, 0 is background."""
    alpha = np.zeros((CANVAS[1], CANVAS[0]), np.uint8)
    wide = person.aspect
    _polygon(alpha, _face_shape(person), 255)
    _ellipse(alpha, (80, 88), (51 * wide, 58), 255)
    for side in (-1, 1):
        _ellipse(alpha, (80 + side * 47.5 * wide, 102), (6, 13), 255)
    _polygon(alpha, np.array([(60, 150), (100, 150), (104, 214), (56, 214)]), 255)
    return cv2.GaussianBlur(alpha, (0, 0), 1.2).astype(np.float32) / 255


def _cheeks(person: Person) -> tuple[int, np.ndarray]:
    """The first canvas row of the cheeks, and the light to add there (float32)."""
    yy, xx = np.mgrid[0:44, 0 : CANVAS[0]].astype(np.float32)
    light = sum(np.exp(-(((xx - 80 - side * 26) / 10) ** 2) - ((yy - 22) / 7) ** 2) for side in (-1, 1))
    return 98, (light[..., None] * np.array([22, 12, 10], np.float32)).astype(np.float32)


def _face_shape(person: Person) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    x, y = np.cos(angle), np.sin(angle)
    narrow = 1 - 0.14 * np.clip(y, 0, 1) ** 1.5  # the jaw is narrower than the brow
    return np.stack([80 + 46.5 * person.aspect * x * narrow, 106 + 62 * y], 1)


def _closed(across: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.concatenate([_line(across, top), _line(across[::-1], bottom[::-1])])


def _line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    line = np.empty((len(x), 2))
    line[:, 0], line[:, 1] = x, y
    return line


def _band(canvas: np.ndarray, line: np.ndarray, thickness: float | np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draw a line of any thickness as a polygon: OpenCV's own lines have integer thickness."""
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    half = 0.5 * thickness / np.sqrt(along[:, 0] ** 2 + along[:, 1] ** 2)
    across = along[:, ::-1] * (-1.0, 1.0) * np.reshape(half, (-1, 1))
    _polygon(canvas, np.concatenate([line + across, (line - across)[::-1]]), colour)


def _polygon(canvas: np.ndarray, points: np.ndarray, colour: tuple[int, int, int] | int) -> None:
    cv2.fillPoly(canvas, [np.round(points * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)


def _disc(canvas: np.ndarray, centre: tuple[float, float], radius: float, colour: tuple[int, int, int]) -> None:
    cv2.circle(canvas, (round(centre[0] * 16), round(centre[1] * 16)), round(radius * 16), colour, -1, cv2.LINE_AA, 4)


def _ellipse(
    canvas: np.ndarray, centre: tuple[float, float], axes: tuple[float, float], colour: tuple[int, int, int] | int
) -> None:
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    _polygon(canvas, np.stack([centre[0] + axes[0] * np.cos(angle), centre[1] + axes[1] * np.sin(angle)], 1), colour)


def _shade(colour: tuple[int, int, int], factor: float) -> tuple[int, int, int]:
    return _rgb(np.array(colour) * factor)


def _rgb(colour: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = np.clip(np.round(colour), 0, 255).astype(int).tolist()
    return red, green, blue
