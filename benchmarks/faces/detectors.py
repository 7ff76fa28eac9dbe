"""The face detectors compared on real clips: faces found, false faces, CPU time a picture.

    python -m benchmarks.faces.detectors /path/to/shared/media --out benchmarks/results/faces [--busy]

Every picture of ``clips/`` shows one face: the box of YuNet, which finds it in all of them, is the reference. Pictures
that a face fills, tilted, dark and small ones, and crowds are made from them; pictures without a face are those of
``nasty/no_face.mp4`` and the same pictures with the face blurred away.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from abaw.results.runs import commit
from benchmarks.machine.load import QuietMachine, add_busy, describe_load
from extract import DETECTORS
from extract.faces.detector import FaceDetector
from extract.faces.geometry import Box
from extract.media import Rgb, pictures

SUFFIXES = (".flv", ".mp4", ".mpg")
CROWD = (8, 5)  # pictures beside and above each other in 1280 x 720
DETECTORS_COMPARED = {
    "centerface": ("centerface", {}),
    "centerface:max_side_px=320": ("centerface", {"max_side_px": 320}),
    "yunet": ("yunet", {}),
    "mtcnn": ("mtcnn", {}),
    "haar": ("haar", {}),
    "haar:border=0": ("haar", {"border": 0.0}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("media", type=Path, help="folder with clips/, nasty/ and weights/")
    parser.add_argument("--out", type=Path, help="folder for detectors.md; default: only print")
    parser.add_argument("--every", type=int, default=8, help="use every N-th picture of a clip")
    add_busy(parser)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    yunet = arguments.media / "weights" / "yunet_n_640_640.onnx"
    reference = DETECTORS.build("yunet", file=str(yunet))
    singles = list(single_faces(arguments.media, reference, arguments.every))
    cases, without = make_cases(singles), list(pictures_without_faces(arguments.media, singles, arguments.every))
    names = [*cases, "false faces", "ms a picture"]
    lines = ["| detector | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    with QuietMachine(busy=arguments.busy) as machine:
        for label, (name, settings) in DETECTORS_COMPARED.items():
            detector = DETECTORS.build(name, **settings, **({"file": str(yunet)} if name == "yunet" else {}))
            cells = [f"{share_found(detector, shown):.2f}" for shown in cases.values()]
            cells.append(str(sum(len(detector.detect(rgb)) for rgb in without)))
            cells.append(f"{cpu_ms(detector, [rgb for rgb, _ in singles]):.0f}")
            lines.append(f"| `{label}` | " + " | ".join(cells) + " |")
    counts = ", ".join(f"{sum(num for _, num in shown)} {case}" for case, shown in cases.items())
    text = "\n".join(
        [
            "# Face detectors on real clips",
            "",
            f"Share of the faces found, of {counts}; false faces in {len(without)} pictures without a face;",
            f"CPU time of one thread for a picture of the clips ({describe_load(machine.record)}).",
            f"Written by `python -m benchmarks.faces.detectors --every {arguments.every}` at commit {commit()}.",
            "",
            *lines,
            "",
        ]
    )
    print(text)
    if arguments.out:
        (arguments.out / "detectors.md").write_text(text, encoding="utf-8")


def single_faces(media: Path, reference: FaceDetector, every: int) -> Iterator[tuple[Rgb, Box]]:
    """Pictures with one face, and its box."""
    for path in sorted(path for path in (media / "clips").iterdir() if path.suffix in SUFFIXES):
        for picture in list(pictures(path))[::every]:
            rgb = picture.rgb()
            (face,) = reference.detect(rgb)
            yield rgb, face.box


def make_cases(singles: list[tuple[Rgb, Box]]) -> dict[str, list[tuple[Rgb, int]]]:
    """Pictures of each case, and how many faces each shows."""
    shown = [rgb for rgb, _ in singles]
    small = [cv2.copyMakeBorder(cv2.resize(rgb, (128, 72)), 144, 144, 256, 256, cv2.BORDER_CONSTANT) for rgb in shown]
    cases = {
        "single": shown,
        "filled": [fill(rgb, box, margin) for rgb, box in singles for margin in (0.0, 0.1)],
        "tilted by 40 degrees": [turn(rgb, 40) for rgb in shown],
        "dark": [(rgb * 0.15).astype(np.uint8) for rgb in shown],
        "small": small,
    }
    found = {case: [(rgb, 1) for rgb in each] for case, each in cases.items()}
    rng, num = np.random.default_rng(0), CROWD[0] * CROWD[1]
    return found | {
        "in crowds": [(crowd([shown[i] for i in rng.integers(len(shown), size=num)]), num) for _ in range(3)]
    }


def fill(rgb: Rgb, box: Box, margin: float) -> Rgb:
    """A picture of 224 px of the face alone."""
    left, top = (max(0, round(low - margin * side)) for low, side in ((box.x, box.width), (box.y, box.height)))
    right, bottom = round(box.x + (1 + margin) * box.width), round(box.y + (1 + margin) * box.height)
    return cv2.resize(rgb[top:bottom, left:right], (224, 224), interpolation=cv2.INTER_AREA)


def turn(rgb: Rgb, degrees: float) -> Rgb:
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(rgb, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def crowd(shown: list[Rgb]) -> Rgb:
    across, down = CROWD
    tiles = [cv2.resize(rgb, (1280 // across, 720 // down), interpolation=cv2.INTER_AREA) for rgb in shown]
    return np.vstack([np.hstack(tiles[row * across : (row + 1) * across]) for row in range(down)])


def pictures_without_faces(media: Path, singles: list[tuple[Rgb, Box]], every: int) -> Iterator[Rgb]:
    yield from (picture.rgb() for picture in list(pictures(media / "nasty/no_face.mp4"))[::every])
    for rgb, box in singles:
        blurred = rgb.copy()
        part = np.s_[
            max(0, round(box.y - 0.5 * box.height)) : round(box.y + 1.3 * box.height),
            max(0, round(box.x - 0.3 * box.width)) : round(box.x + 1.3 * box.width),
        ]
        blurred[part] = cv2.GaussianBlur(blurred[part], (0, 0), box.width / 3)
        yield blurred


def share_found(detector: FaceDetector, shown: list[tuple[Rgb, int]]) -> float:
    """Of the faces; more faces than there are do not count."""
    return sum(min(len(detector.detect(rgb)), num) for rgb, num in shown) / sum(num for _, num in shown)


def cpu_ms(detector: FaceDetector, shown: list[Rgb]) -> float:
    start_s = time.process_time()
    for rgb in shown:
        detector.detect(rgb)
    return 1000 * (time.process_time() - start_s) / len(shown)


if __name__ == "__main__":
    main()
