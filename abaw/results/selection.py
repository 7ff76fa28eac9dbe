"""How the epoch of a run was chosen, as run.json records it, and what that means for a score."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from abaw.dataset.seen import Seen


def chosen_on(document: Mapping[str, Any]) -> Seen:
    """The videos and groups on which a run's epoch was chosen, from its run.json; none where none was chosen.

    Runs of versions that do not record it chose it on the clips that they held out.
    """
    found = document.get("selection")
    if found is None:
        is_refit = document.get("folds", {}).get("refit", False)
        return Seen() if is_refit else Seen.of_side(document, "validation")
    return Seen(tuple(found["videos"]), tuple(found["groups"]))


def words_of(chosen: Collection[str], scored: Iterable[str]) -> str:
    """What stands beside the score of clips of which some were used to choose the epoch; "" where none was.

    >>> words_of(["a", "b"], ["a", "b"]), words_of(["a"], ["a", "b"]), words_of([], ["a"])
    ('epoch chosen on these clips', 'epoch chosen on 1 of these 2 clips', '')
    """
    clips = set(scored)
    if not (own := clips & set(chosen)):
        return ""
    return "epoch chosen on these clips" if own == clips else f"epoch chosen on {len(own)} of these {len(clips)} clips"


def words_of_each(words: Mapping[str, str]) -> str:
    """What stands beside a line about several systems, from what stands beside the score of each by its name.

    >>> words_of_each(dict.fromkeys("ab", "epoch chosen on these clips"))
    'epoch chosen on these clips'
    >>> words_of_each({"a": "epoch chosen on these clips", "b": ""}), words_of_each({"a": "", "b": ""})
    ('epoch chosen on these clips for a', '')
    """
    by_words: dict[str, list[str]] = {}
    for name, each in words.items():
        by_words.setdefault(each, []).append(name)
    if len(by_words) == 1:
        return next(iter(by_words))
    return "; ".join(f"{each} for {', '.join(names)}" for each, names in by_words.items() if each)


def to_ending(words: str) -> str:
    """The end of a printed line that such words follow.

    >>> to_ending("epoch chosen on these clips"), to_ending("")
    ('; epoch chosen on these clips', '')
    """
    return f"; {words}" if words else ""


def words_of_run(document: Mapping[str, Any]) -> str:
    """What stands beside the score of a run on the clips that it held out; "" where no choice has seen them."""
    held_out = Seen.of_side(document, "validation")
    return words_of(chosen_on(document).videos, held_out.videos)
