"""Pictures and sound of a media file at their true times.

Times are container times in seconds, shared by pictures and sound and never reset to zero for a stream. From a damaged
file everything decodable is returned, and losses are counted. Besides ``synthetic/write_clip.py`` only this folder
imports PyAV.
"""

from extract.media.audio import Sound, is_audible, look_for_sound, sound, sounds
from extract.media.audio_buffer import Samples
from extract.media.container import DecodeCounts, MediaError
from extract.media.info import MediaInfo, MediaSize, measure_size, num_streams, probe
from extract.media.video import Picture, Rgb, pictures, pictures_of_series

__all__ = [
    "DecodeCounts",
    "MediaError",
    "MediaInfo",
    "MediaSize",
    "Picture",
    "Rgb",
    "Samples",
    "Sound",
    "is_audible",
    "look_for_sound",
    "measure_size",
    "num_streams",
    "pictures",
    "pictures_of_series",
    "probe",
    "sound",
    "sounds",
]
