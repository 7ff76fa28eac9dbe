"""Safetensors files: written in blocks, so that memory does not grow with a clip; mapped and verified when read.

A file's metadata hold two checksums: ``sha256`` of what follows the header, and ``header_sha256`` of the header with
zeros in its own place. So every changed bit is found. Files of earlier versions have only the first, or none.
"""

import hashlib
import json
import logging
import math
import mmap
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize, safe_open

from abaw.errors import InputError
from abaw.files import atomic_write
from extract.store.packs.index import read_packed

BLOCK_BYTES = 4 << 20
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "I32": "int32", "I8": "int8", "BOOL": "bool"}
DTYPE_NAMES = {numpy_name: name for name, numpy_name in DTYPES.items()} | {"uint8": "U8"}  # of packs
EXTRACT_AGAIN = "abaw extract again"
BODY_SUM, HEADER_SUM = "sha256", "header_sha256"
ZEROS = "0" * 64
TRUST = "ABAW_TRUST_STORE"  # an environment variable: 1 means that only headers are verified
MIN_AGE_S = 1.0  # of a file before its check is remembered: a later change must change its time of change

LOG = logging.getLogger("abaw")

Version = tuple[int, int, int, int, int]
_CHECKED: set[Version] = set()  # files whose content this process has verified


@dataclass(frozen=True)
class Tensor:
    """A tensor to write, in blocks of bytes because it may be larger than memory."""

    dtype: np.dtype
    shape: tuple[int, ...]
    blocks: Iterable[bytes]

    @classmethod
    def of(cls, array: np.ndarray) -> "Tensor":
        """An array in memory as one block."""
        return cls(array.dtype, array.shape, [array.tobytes()])

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, sync: bool = True) -> None:
    """Write a safetensors file, complete or absent; its checksums are added to its metadata. ``sync``: to the disk.

    The library's own writer needs all tensors in memory and writes metadata in an order that differs between runs.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))  # widest type first: aligned
    about = dict(sorted({**metadata, BODY_SUM: ZEROS, HEADER_SUM: ZEROS}.items()))
    header: dict[str, Any] = {"__metadata__": about}
    offset = 0
    for name in order:
        tensor = tensors[name]
        stop = offset + tensor.num_bytes
        header[name] = {
            "dtype": DTYPE_NAMES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [offset, stop],
        }
        offset = stop
    digest = hashlib.sha256()
    with atomic_write(path, sync=sync) as temporary, temporary.open("wb") as file:
        file.write(pack_header(header))
        for name in order:
            for block in tensors[name].blocks:
                file.write(block)
                digest.update(block)
        about[BODY_SUM] = digest.hexdigest()  # as long as the zeros that it replaces
        about[HEADER_SUM] = hashlib.sha256(pack_header(header)).hexdigest()
        file.seek(0)
        file.write(pack_header(header))


def pack_header(header: Mapping[str, Any]) -> bytes:
    """How a safetensors file begins: the header's length in 8 bytes, then the header as JSON, padded to 8 bytes."""
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class TensorFile:
    """A safetensors file mapped into memory: ``file[name]`` is a tensor of which only what is used is read.

    Copies would grow with the store in every process that reads from it; the pages of a mapped file are shared.
    Raises InputError where the header is damaged; the message says to run ``command``.
    """

    def __init__(self, path: Path, command: str = EXTRACT_AGAIN) -> None:
        self.path, self._command = path, command
        self._bytes: mmap.mmap | bytes
        try:
            if (packed := read_packed(path)) is not None:
                self._bytes, self._version = packed.content, packed.version
                self.metadata = _packed_metadata(packed.content)
            else:
                with safe_open(path, framework="numpy") as file:  # checks the header and the file's length
                    self.metadata = file.metadata() or {}
                with path.open("rb") as file:
                    self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                    self._version = _version(file.fileno())
        except SafetensorError as error:
            raise self.damage(str(error)) from error
        self._start = 8 + int.from_bytes(self._bytes[:8], "little")
        begin = self._bytes[: self._start]
        if fault := _header_fault(begin, self.metadata):
            raise self.damage(fault)
        self._header = json.loads(begin[8:])

    def __contains__(self, name: str) -> bool:
        return name in self._header

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._header:
            names = ", ".join(sorted(self._header.keys() - {"__metadata__"})) or "none"
            raise InputError(f"{self.path} has no tensor {name!r}; it has {names}")
        entry = self._header[name]
        if entry["dtype"] not in DTYPES:
            raise InputError(f"{self.path}: {name} is of type {entry['dtype']}, expected one of {', '.join(DTYPES)}")
        start = self._start + entry["data_offsets"][0]
        return np.ndarray(tuple(entry["shape"]), DTYPES[entry["dtype"]], self._bytes, start)

    def damage(self, fault: str) -> InputError:
        """The error that says what is wrong with this file and what to do."""
        return InputError(f"{self.path} is damaged ({fault}): delete it and run {self._command}")

    def check_content(self) -> None:
        """Compare the content with its checksum, once in a process for each version of the file.

        Nothing is compared where the file has no checksum, or the environment variable ABAW_TRUST_STORE is 1. Raises
        InputError where they differ.
        """
        if self._version in _CHECKED or BODY_SUM not in self.metadata or os.environ.get(TRUST) == "1":
            return
        if self.body_sha256() != self.metadata[BODY_SUM]:
            raise self.damage("its content is not what was written, SHA-256 differs")
        if time.time() - max(self._version[-2:]) / 1e9 > MIN_AGE_S:
            _CHECKED.add(self._version)

    def body_sha256(self) -> str:
        """The SHA-256 of what follows the header, in hexadecimal."""
        digest = hashlib.sha256()
        with memoryview(self._bytes) as view:  # nothing is copied
            for first in range(self._start, len(view), BLOCK_BYTES):
                digest.update(view[first : first + BLOCK_BYTES])
        return digest.hexdigest()


def read_metadata(path: Path) -> dict[str, str]:
    """A file's metadata without its tensors; {} where it is damaged or missing, so that it is extracted again."""
    try:
        if (packed := read_packed(path)) is not None:
            metadata = _packed_metadata(packed.content)
            begin = packed.content[: 8 + int.from_bytes(packed.content[:8], "little")]
            return {} if _header_fault(begin, metadata) else metadata
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        with path.open("rb") as file:
            begin = file.read(8)
            begin += file.read(int.from_bytes(begin, "little"))
    except (SafetensorError, OSError):
        return {}
    return {} if _header_fault(begin, metadata) else metadata


def _packed_metadata(content: bytes) -> dict[str, str]:
    """The metadata of a file in a pack. Raises SafetensorError where its header or length is damaged."""
    deserialize(content)  # checks them
    about: dict[str, str] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
    return about


def checked_files() -> frozenset[Version]:
    """The files whose content this process has verified, for processes that it starts (``trust_files``)."""
    return frozenset(_CHECKED)


def trust_files(versions: Iterable[Version]) -> None:
    """Take for verified what another process has verified."""
    _CHECKED.update(versions)


def _version(file: int) -> Version:
    status = os.fstat(file)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _header_fault(begin: bytes, metadata: Mapping[str, str]) -> str:
    """What is wrong with the beginning of a file, up to the end of its header; "" where nothing is."""
    if HEADER_SUM not in metadata:
        # a file of an earlier version, unless a checksum stands under a name that was changed
        strange = [name for name, text in metadata.items() if name != BODY_SUM and re.fullmatch("[0-9a-f]{64}", text)]
        return f"its header has a checksum under the name {strange[0]!r}" if strange else ""
    zeroed = begin.replace(f'"{HEADER_SUM}":"{metadata[HEADER_SUM]}"'.encode(), f'"{HEADER_SUM}":"{ZEROS}"'.encode())
    is_same = hashlib.sha256(zeroed).hexdigest() == metadata[HEADER_SUM]
    return "" if is_same else "its header is not what was written, SHA-256 differs"
