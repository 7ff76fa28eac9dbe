"""Feature extraction: from media files to tracks in a store.

The registries of parts that share one file are here, so that listing them imports neither numpy nor OpenCV.
"""

from abaw.registry import Registry

ALIGNERS = Registry("aligner", "extract.align", given=("times_s", "observed", "goal_s", "max_gap_s"), symbol="ALIGNERS")
DETECTORS = Registry("face detector", "extract.faces.detectors", given=("download",), symbol="DETECTORS")
