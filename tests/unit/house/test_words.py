"""Words that were replaced do not come back."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.house import ROOT, tracked

# The words that were replaced, and what stands in their place. Each is looked for in every text file, in prose and as a
# part of a name: "finder" is found in face_finder and in FaceFinder.
REPLACED = {
    "crew": "selector",
    "desk": "batcher",
    "finder": "detector",
    "finders": "detectors",
    "follower": "tracker",
    "followers": "trackers",
    "holdings": "listing",
    "hurt": "warning, error",
    "hurts": "warning, error",
    "intake": "import",
    "judged": "scored, labelled predictions",
    "leavings": "stale temporary files",
    "ledger": "stage state",
    "litter": "stale temporary files",
    "personalised": "subject-adapted",
    "reckon": "compute",
    "reckoned": "computed",
    "rescorer": "bootstrap",
    "stir": "mouth motion",
    "tape": "audio buffer",
    "tell": "report",
    "telling": "report",
    "tells": "reports",
    "told": "reported",
    "verb": "command",
    "verbs": "commands",
    "watch": "target",
    "watcher": "target selector",
    "watches": "targets",
}


# Words of which prose has need: no class, function or constant is named so, alone or as a part of the name.
REPLACED_NAMES = {
    "asked": "encoder spec",
    "aside": "temporary file",
    "audit": "verify",
    "claimed": "leased",
    "claims": "leases",
    "decoded": "post-processed",
    "decoding": "post-processing",
    "ears": "audio stream",
    "eyes": "face stream",
    "following": "tracking",
    "fused": "fusion output",
    "hear": "transcribe",
    "kinds": "classes, strata",
    "lane": "frame stream",
    "lay": "append",
    "looks": "appearance",
    "mixture": "ensemble weights",
    "movement": "optical flow",
    "say": "report",
    "speaking": "active speaker",
    "spots": "keypoints",
    "strike": "invalidate",
    "sums": "sufficient statistics",
    "undecoded": "raw",
    "unlike": "appearance",
}


# Whole names that say too little, or the wrong thing.
REPLACED_WHOLE_NAMES = {
    "Batches": "Batcher",
    "Fills": "gap filling",
    "Front": "InputStage",
    "Fused": "FusionOutput",
    "HeldOut": "LabelledPredictions",
    "Order": "ReadRequest",
    "Read": "ReadResult",
    "Scored": "PredictionPair",
    "Steps": "FusionInput",
    "bring_in": "import",
    "came_back": "Batcher",
    "note": "record",
    "numbers": "torch_dtype",
    "whole": "atomic_write",
}


REPLACED_PHRASES = {
    "all the same": "the same",
    "embedded encoder": "built-in encoder",
    "find a face": "detect a face",
    "finds a face": "detects a face",
    "label kinds": "label tasks",
    "on two sides": "in both training and validation",
    "the seed's": "Wen et al. 2024",
    "will hurt": "warnings",
}


# Kept on purpose, and why: (word, file or folder).
KEPT = {
    ("verb", "CONTRIBUTING.md"): "the grammatical term: subject, verb, object",
    ("verbs", "CONTRIBUTING.md"): "the grammatical term: functions are verbs",
    ("tell", "abaw/tuning/study.py"): "a method of Optuna",
    ("eyes", "extract/synthetic/"): "those of a drawn face",
    ("finder", "extract/"): "a key of stored recipes, whose hash names the store's folders",
    ("finder", "abaw/pipelines/analysis/"): "the same key",
    ("finder", "tests/"): "the same key",
}


def words_of(text):
    """The words of a text in lower case; names are split at underscores and at capitals."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)}


def names_defined(text):
    """The names of the classes, functions and module constants that a source file defines."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def replaced_words(place, text):
    """What a file has of the words that were replaced: "place: word (write ...)"."""
    found = {word: right for word, right in REPLACED.items() if word in words_of(text)}
    found |= {phrase: right for phrase, right in REPLACED_PHRASES.items() if phrase in " ".join(text.lower().split())}
    if place.endswith(".py") and not Path(place).name.startswith(("test_", "conftest")):
        for name in names_defined(text):
            found |= {word: right for word, right in REPLACED_NAMES.items() if word in words_of(name)}
            if name in REPLACED_WHOLE_NAMES:
                found[name] = REPLACED_WHOLE_NAMES[name]
    return [
        f"{place}: {word} (write: {right})"
        for word, right in found.items()
        if not any(word == kept and place.startswith(where) for kept, where in KEPT)
    ]


def texts():
    # LOG.md and CHANGELOG.md are history; this file has the list
    skipped = ("LOG.md", "CHANGELOG.md", "tests/unit/house/test_words.py")
    suffixes = (".py", ".md", ".yaml", ".sh", ".toml", ".cff")
    for place in tracked():
        if place.endswith(suffixes) and place not in skipped:
            yield place, (ROOT / place).read_text(encoding="utf-8")


def test_no_file_has_a_word_that_was_replaced():
    found = [each for place, text in texts() for each in replaced_words(place, text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        '"""A face finder."""',
        "class FaceFinder: ...",
        "def told(): ...",
        "# what will\n# hurt",
        "class Steps: ...",
        "LANE = 1",
    ],
)
def test_a_planted_word_is_seen(text):
    assert replaced_words("abaw/x.py", text)


def test_every_word_that_is_kept_is_there():
    has = {
        (word, where)
        for word, where in KEPT
        for place, text in texts()
        if place.startswith(where) and word in words_of(text)
    }
    assert has == set(KEPT)
