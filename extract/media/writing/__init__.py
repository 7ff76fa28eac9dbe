"""Videos that are written: H.264 and AAC in .mp4, every picture and sound at the time it has in its source.

``find_playback_fault`` says why browsers cannot play a file, and ``write_proxy`` writes one that they play.
"""

from extract.media.writing.mp4 import WrittenVideo, write_mp4
from extract.media.writing.playback import find_playback_fault
from extract.media.writing.proxy import VideoSource, write_proxy
from extract.media.writing.sound import SoundSource

__all__ = ["SoundSource", "VideoSource", "WrittenVideo", "find_playback_fault", "write_mp4", "write_proxy"]
