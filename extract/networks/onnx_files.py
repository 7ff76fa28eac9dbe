"""The files that an ONNX network consists of: its own, and those in which it keeps weights outside it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from abaw.errors import InputError
from abaw.files import sha256

# where tensors are in an ONNX file: the kind of a message -> the number of a field -> the kind of its messages
MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
VARINT, EIGHT_BYTES, TEXT, FOUR_BYTES = 0, 1, 2, 5  # how the value of a field is written


def hash_network(file: Path) -> dict[str, str]:
    """SHA-256 of an ONNX file and of every file whose weights it reads, by their names as the network gives them.

    Raises InputError where it reads files outside its folder.
    """
    hashes = {file.name: sha256(file)}
    for location in sorted(external_locations(file)):
        place = PurePosixPath(location)
        if place.is_absolute() or ".." in place.parts:
            raise InputError(
                f"{file} reads weights from {location!r}, expected a file in its own folder: save it again"
            )
        if (file.parent / place).is_file():  # else the network cannot be loaded, which is reported then
            hashes[str(place)] = sha256(file.parent / place)
    return hashes


def external_locations(file: Path) -> set[str]:
    """The files, relative to the folder of an ONNX file, in which it keeps weights.

    The package onnx is not needed. Of a file that is no ONNX network the answer means nothing.
    """
    if not file.stat().st_size:
        return set()
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return set(_locations(data))
        except (ValueError, IndexError):
            return set()


def _locations(data: mmap.mmap) -> Iterator[str]:
    waiting = [("model", 0, len(data))]
    while waiting:
        kind, start, stop = waiting.pop()
        if kind == "entry":
            texts = {number: data[first:last] for number, first, last in _fields(data, start, stop)}
            if texts.get(1) == b"location":
                yield texts.get(2, b"").decode()
            continue
        for number, first, last in _fields(data, start, stop):
            if number in MESSAGES[kind]:
                waiting.append((MESSAGES[kind][number], first, last))


def _fields(data: mmap.mmap, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and stop of every field of a message that is a text or a message itself."""
    while start < stop:
        key, start = _varint(data, start)
        form = key & 7
        if form == TEXT:
            size, start = _varint(data, start)
            if start + size > stop:
                raise ValueError("a field reaches beyond its message")
            yield key >> 3, start, start + size
            start += size
        elif form == VARINT:
            _, start = _varint(data, start)
        elif form in (EIGHT_BYTES, FOUR_BYTES):
            start += 8 if form == EIGHT_BYTES else 4
        else:
            raise ValueError(f"no form {form} of fields is known")


def _varint(data: mmap.mmap, start: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[start]
        start += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, start
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than 64 bits")
