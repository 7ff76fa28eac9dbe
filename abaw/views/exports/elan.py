"""ELAN annotation files (.eaf, format 2.8) by pympi-ling."""

import mimetypes
import os
from pathlib import Path
from typing import Any

from abaw.files import atomic_write
from abaw.views.exports.annotations import Tier, all_tiers, joined, lost_remark, time_remark
from abaw.views.text import plain_text
from abaw.views.timeline import Timeline

LANGUAGE = "eng"
TYPE_OF_TIERS = "abaw"


def write_eaf(timeline: Timeline, media: Path | None, path: Path) -> str:
    """Write the tiers of a clip as an ELAN file with a link to its media; what its reader must know, or "".

    Tiers: of each person the most probable class, the third of its range in which each value is (valence: negative,
    neutral, positive; others: low, medium, high), active units and whether a face was seen; then whether a voice was
    heard. A gap has no annotation. Each tier has a controlled vocabulary with the meaning of its words. What predicted
    is in the properties of the file.
    """
    import pympi

    tiers = list(all_tiers(timeline))
    eaf = pympi.Eaf(author="abaw")
    eaf.remove_tier("default")
    eaf.remove_linguistic_type("default-lt")
    eaf.header = {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"}
    eaf.add_language(LANGUAGE, "http://cdb.iso.org/lg/CDB-00138502-001", "English (eng)")
    link = _link(eaf, media, path)
    for number, tier in enumerate(tiers):
        _add_tier(eaf, number, tier)
    _order_time_slots(eaf)
    properties = [*timeline.sources, *timeline.remarks]
    eaf.properties = [("lastUsedAnnotationId", eaf.maxaid)]
    eaf.properties += [(f"abaw:{i + 1}", plain_text(line)) for i, line in enumerate(properties)]
    with atomic_write(path) as temporary:
        temporary.write_text(
            '<?xml version="1.0" encoding="UTF-8"?>\n' + pympi.Elan.to_string(eaf) + "\n", encoding="utf-8"
        )
    return joined(link, lost_remark(tiers), time_remark(timeline))


def _link(eaf: Any, media: Path | None, path: Path) -> str:
    """Link the media by its place relative to the file, and by its absolute place, which ELAN looks at first."""
    if media is None:
        return "no media file is linked, because the clip has none"
    absolute = os.path.abspath(media)
    if plain_text(absolute) != absolute:
        return "no media file is linked, because an XML file cannot hold the characters of its name"
    relative = Path(os.path.relpath(absolute, os.path.abspath(path.parent))).as_posix()
    relative = relative if relative.startswith("../") else f"./{relative}"
    kind = mimetypes.guess_type(media.name)[0] or "unknown"
    eaf.add_linked_file(f"file://{Path(absolute).as_posix()}", relative, kind)
    return ""


def _add_tier(eaf: Any, number: int, tier: Tier) -> None:
    """A tier with a type of its own, whose vocabulary is what its annotations can be."""
    vocabulary, kind = f"vocabulary {number + 1}", f"{TYPE_OF_TIERS} {number + 1}"
    eaf.add_controlled_vocabulary(vocabulary)
    eaf.add_cv_description(vocabulary, LANGUAGE, tier.name)
    for i, (word, meaning) in enumerate(tier.vocabulary):
        eaf.add_cv_entry(vocabulary, f"v{number + 1}_{i + 1}", [(word, LANGUAGE, meaning)])
    eaf.add_linguistic_type(kind)
    eaf.linguistic_types[kind]["CONTROLLED_VOCABULARY_REF"] = vocabulary
    person = None if tier.person is None else f"person {tier.person}"
    eaf.add_tier(tier.name, kind, part=person, ann="abaw")
    for each in tier.annotations:
        eaf.add_annotation(tier.name, each.start_ms, each.stop_ms, each.text)


def _order_time_slots(eaf: Any) -> None:
    """Number the time slots in the order of their times, over all tiers, as ELAN does."""
    places = sorted(eaf.timeslots, key=lambda name: (eaf.timeslots[name], int(name[2:])))
    names = {name: f"ts{i + 1}" for i, name in enumerate(places)}
    eaf.timeslots = {names[name]: eaf.timeslots[name] for name in places}
    for annotations, *_ in eaf.tiers.values():
        for key, (start, stop, *rest) in annotations.items():
            annotations[key] = (names[start], names[stop], *rest)
