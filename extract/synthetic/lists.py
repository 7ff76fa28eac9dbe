"""Files of the synthetic data set that name many clips: test lists, templates, and MTL's annotations."""

from pathlib import Path

from abaw.dataset.names import ACTION_UNITS, AU_HEADER, EXPR_HEADER, MTL_HEADER, MTL_HEADER_START, VA_HEADER
from extract.synthetic.labels import Images, write_lines
from extract.synthetic.scenes import CASES, Scene

TEST_LISTS = (
    "Valence_Arousal_Estimation_Challenge",
    "Expression_Recognition_Challenge",
    "Action_Unit_Detection_Challenge",
)
NUM_REPEATED = 3
REPEATED_CLIP, LEAKING_CLIP = CASES["mtl_repeated_rows"], CASES["mtl_trains_on_validation_video"]


def write_test_set(folder: Path, scenes: list[Scene], num_frames: dict[str, int]) -> None:
    """Write the lists of test clips and the templates, one with empty values and two with dummy values."""
    va, expr = [VA_HEADER], [EXPR_HEADER]
    au = [AU_HEADER]
    clips = []
    for scene in scenes:
        if scene.split == "test":
            for clip in scene.clips:
                clips.append(clip)
                num = num_frames[clip]
                va += [f"{clip}/{frame:05d}.jpg," for frame in range(1, num + scene.extra_rows + 1)]
                expr += [f"{clip}/{frame:05d}.jpg,0" for frame in range(1, num + 1)]
                au += [f"{clip}/{frame:05d}.jpg{',0' * len(ACTION_UNITS)}" for frame in range(1, num + 1)]
    for name in TEST_LISTS:
        write_lines(folder / f"{name}_test_set_release.txt", clips)
    for name, rows in {"VA": va, "EXPR": expr, "AU": au}.items():
        write_lines(folder / f"ABAW_{name}_test_set_sample.txt", rows)


def split_images(scenes: list[Scene], images: Images) -> dict[str, Images]:
    """MTL's clips by split. A validation clip of the single tasks is in the training split, as in s-Aff-Wild2."""
    splits: dict[str, Images] = {"train": {}, "validation": {}, "test": {}}
    for scene in scenes:
        for clip in scene.clips:
            if images[clip]:
                splits["train" if clip == LEAKING_CLIP else scene.split][clip] = images[clip]
    return splits


def write_multitask(root: Path, splits: dict[str, Images]) -> None:
    """Write MTL's annotation files to ``multitask/``, and its list of images and template to ``test_set/``."""
    for split, name in (("train", "training"), ("validation", "validation")):
        rows = [row for clip in splits[split].values() for row in clip]
        if split == "train":
            rows += splits[split][REPEATED_CLIP][:NUM_REPEATED]
        header = MTL_HEADER_START + ",".join(ACTION_UNITS)
        write_lines(root / "multitask" / f"{name}_set_annotations.txt", [header, *rows])
    locations = [location for clip in splits["test"].values() for location in clip]
    write_lines(root / "test_set" / "MTL_Challenge_test_set_release.txt", ["image", *locations])
    template = [MTL_HEADER, *(f"{location}," for location in locations)]
    write_lines(root / "test_set" / "ABAW_MTL_test_set_sample.txt", template)
