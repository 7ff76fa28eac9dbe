"""Pictures and sound of a media file at their true times.

Times are container times in seconds, shared by pictures and sound and never reset to zero for a stream. From a damaged
file everything decodable is returned, and losses are counted. Besides ``synthetic/write_clip.py`` only this folder
imports PyAV.
"""

from extract.media.audio import MAX_GAP_S, Sound, sound, sounds
from extract.media.container import DecodeCounts, MediaError
from extract.media.info import MediaInfo, probe
from extract.media.video import Picture, Rgb, has_pictures, pictures

__all__ = [
    "MAX_GAP_S",
    "DecodeCounts",
    "MediaError",
    "MediaInfo",
    "Picture",
    "Rgb",
    "Sound",
    "has_pictures",
    "pictures",
    "probe",
    "sound",
    "sounds",
]
