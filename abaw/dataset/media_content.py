"""Whether a file holds pictures or sound, by its first bytes: for names whose suffix does not say so.

Containers and streams are recognised by the signatures of their formats, as FFmpeg and ``file`` do. A single picture is
no media: of GIF and PNG only animations count.
"""

from pathlib import Path

NUM_BYTES = 64 * 1024  # MXF may begin with as many bytes of something else
NUM_FIRST_BYTES = 4096

# files with these suffixes are not opened: a data set may hold hundreds of thousands of them
OTHER_SUFFIXES = frozenset(
    ".jpg .jpeg .png .bmp .webp .tif .tiff .svg .pdf .txt .csv .tsv .json .jsonl .yaml .yml .xml .html .md .rst .log "
    ".srt .vtt .ass .py .ipynb .sh .m .r .c .h .cpp .npy .npz .mat .pkl .pickle .pt .pth .ckpt .safetensors .onnx "
    ".parquet .arrow .feather .h5 .hdf5 .xlsx .xls .doc .docx .ppt .pptx .zip .gz .bz2 .xz .zst .tar .tgz .rar .7z "
    ".lock .part .tmp .bak .ini .cfg .toml .lnk .db .sqlite .align .textgrid .eaf .rttm".split()
)

SIGNATURES = (  # (offset, bytes)
    (0, b"\x1aE\xdf\xa3"),  # Matroska, WebM
    (0, b"FLV\x01"),
    (0, b"OggS\x00"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF: WMV, WMA
    (0, b"\xb7\xd8\x00\x20\x37\x49\xda\x11"),  # WTV
    (0, b"\x00\x00\x01\xba"),  # MPEG program stream: MPG, VOB
    (0, b"\x00\x00\x01\xb3"),  # MPEG-1 or MPEG-2 video
    (0, b"\x00\x00\x01\xb0"),  # MPEG-4 part 2 video
    (0, b"\x00\x00\x00\x00\x01\xbc"),  # GXF
    (0, b"\x12\x00\x0a"),  # raw AV1
    (0, b".RMF\x00"),
    (0, b"DKIF\x00\x00"),  # IVF: VP8, VP9, AV1
    (0, b"nut/multimedia container\x00"),
    (0, b"YUV4MPEG2 "),
    (0, b"fLaC"),
    *((0, b"ID3" + bytes([version, 0])) for version in (2, 3, 4)),
    (0, b"#!AMR"),
    (0, b"caff\x00"),
    (0, b".snd\x00\x00\x00"),
    (0, b"wvpk"),
    (0, b"DSD \x1c\x00\x00\x00"),
    (0, b"TTA1\x01\x00"),
    (0, b"MPCKSH"),
    (0, b"riff\x2e\x91\xcf\x11"),  # Wave64
    (0, b"\x7f\xfe\x80\x01"),  # DTS
)
RIFF = {b"RIFF": (b"AVI ", b"WAVE"), b"RIFX": (b"WAVE",), b"RF64": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}
STILL_BRANDS = (b"heic", b"heix", b"mif1", b"avif", b"crx ")  # pictures in the container of MP4
MP4_BOXES = (b"moov", b"mdat", b"wide", b"pnot", b"skip", b"free", b"moof", b"styp")
MXF_KEY = b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02"
TS_PACKETS = ((188, 0), (192, 4), (204, 0))  # (bytes of a packet, where its sync byte is): TS, M2TS, with error code


def is_media_content(path: Path) -> bool:
    """Whether a regular file holds moving pictures or sound; False where it cannot be read."""
    if path.suffix.lower() in OTHER_SUFFIXES:
        return False
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            data = file.read(NUM_FIRST_BYTES)
            if data.startswith((b"GIF87a", b"GIF89a")):
                return _is_animated(data + file.read())
            if data.startswith(b"\x89PNG"):
                return b"acTL" in data  # of an animation
            return _is_media(data) or MXF_KEY in data + file.read(NUM_BYTES - NUM_FIRST_BYTES)
    except OSError:
        return False


def _is_media(data: bytes) -> bool:
    return (
        any(data.startswith(signature, offset) for offset, signature in SIGNATURES)
        or data[8:12] in RIFF.get(data[:4], ())
        or _is_mp4(data)
        or any(_has_sync_bytes(data, size, first) for size, first in TS_PACKETS)
        or _is_h26x(data)
        or _is_dv(data)
        or _is_framed_audio(data)
    )


def _is_mp4(data: bytes) -> bool:
    size, box = int.from_bytes(data[:4], "big"), data[4:8]
    if box == b"ftyp":
        return data[8:12] not in STILL_BRANDS or b"msf1" in data[8:64]
    return box in MP4_BOXES and (size in (0, 1) or 8 <= size < 1 << 29)  # a larger size would be text


def _has_sync_bytes(data: bytes, size: int, first: int) -> bool:
    found = data[first::size]
    return len(found) >= 5 and set(found[:10]) == {0x47}


def _is_h26x(data: bytes) -> bool:
    """Raw H.264 or H.265: a start code, then a delimiter, parameter set or message, which come before pictures."""
    start = 4 if data.startswith(b"\x00\x00\x00\x01") else 3 if data.startswith(b"\x00\x00\x01") else 0
    if not start or len(data) < start + 2:
        return False
    first, second = data[start], data[start + 1]
    is_h264 = first in (0x67, 0x27, 0x47, 0x09, 0x06)
    return is_h264 or (first in (0x40, 0x42, 0x44, 0x46, 0x4E) and second == 1)


def _is_dv(data: bytes) -> bool:
    """The blocks of 80 bytes that begin a DV frame: one of the header, two of subcode, three of video, one of audio."""
    blocks = [data[i * 80] >> 5 if i * 80 < len(data) else None for i in range(7)]
    return data[:1] == b"\x1f" and blocks == [0, 1, 1, 2, 2, 2, 3]


def _is_framed_audio(data: bytes) -> bool:
    """MPEG audio, AAC or AC-3 without a container: three frames, each where the one before says."""
    for size_of in (_mpeg_audio_bytes, _adts_bytes, _ac3_bytes):
        position, num = 0, 0
        while num < 3 and (size := size_of(data[position : position + 10])):
            position, num = position + size, num + 1
        if num == 3:
            return True
    return False


BITRATES = {  # kbit/s by (MPEG-1 or not, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def _mpeg_audio_bytes(header: bytes) -> int:
    """The size of the MPEG audio frame that begins with these bytes; 0 where none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return 0
    is_mpeg1 = version == 3
    rate_hz = (44100, 48000, 32000)[rate] // {3: 1, 2: 2, 0: 4}[version]
    num_bits, padding = BITRATES[is_mpeg1, layer][bitrate - 1] * 1000, header[2] >> 1 & 1
    if layer == 1:
        return (12 * num_bits // rate_hz + padding) * 4
    return (144 if is_mpeg1 or layer == 2 else 72) * num_bits // rate_hz + padding


def _adts_bytes(header: bytes) -> int:
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return 0
    return (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5


def _ac3_bytes(header: bytes) -> int:
    if len(header) < 6 or header[:2] != b"\x0b\x77":
        return 0
    if header[5] >> 3 > 10:  # E-AC-3
        return 2 * ((header[2] & 7) << 8 | header[3]) + 2
    rate, code = header[4] >> 6, header[4] & 63
    if rate == 3 or code > 37:
        return 0
    num_bits = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)[code >> 1]
    words = num_bits * 1000 * 1536 // (48000, 44100, 32000)[rate] // 16
    return 2 * (words + (code & 1 if rate == 1 else 0))


def _is_animated(data: bytes) -> bool:
    """Whether a GIF has more than one picture."""
    position = 13 + (3 * 2 << (data[10] & 7) if len(data) > 10 and data[10] & 0x80 else 0)
    num_pictures = 0
    while position < len(data):
        block = data[position]
        if block == 0x2C:
            num_pictures += 1
            if num_pictures > 1:
                return True
            flags = data[position + 9] if position + 9 < len(data) else 0
            position += 11 + (3 * 2 << (flags & 7) if flags & 0x80 else 0)
        elif block == 0x21:
            position += 2
        else:
            return False
        while position < len(data) and data[position]:  # sub-blocks
            position += data[position] + 1
        position += 1
    return False
