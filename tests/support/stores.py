"""Small feature stores for tests of the store's commands."""

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from abaw.tracks import Clock, Track
from extract.store.store import FeatureStore
from extract.store.tensor_file import BODY_SUM, HEADER_SUM, Tensor, write_tensors

FACE = {"name": "hog", "encoder": "face_hog", "settings": {"crop_px": 112}, "version": 1, "crop": {"size_px": 112}}
VOICE = {"name": "mel", "encoder": "voice_mel", "settings": {}, "version": 1, "stored_dtype": "float32"}


def make_clock(num=10, step_s=0.1, start_s=0.0, num_undecoded=0):
    """A clock of ``num`` frames, of which the last ``num_undecoded`` were not decoded."""
    return Clock(np.arange(1, num + 1), start_s + np.arange(num) * step_s, np.arange(num) < num - num_undecoded)


def make_track(num=10, dim=3, step_s=0.1, seed=0, start_s=0.0):
    """A track of values that float16 holds exactly; every fifth row is not observed."""
    values = np.random.default_rng(seed).normal(size=(num, dim)).astype(np.float16).astype(np.float32)
    observed = np.arange(num) % 5 != 3
    return Track(np.where(observed[:, None], values, 0), start_s + np.arange(num) * step_s, observed)


def make_store(root, clips=("a", "b"), seed=0):
    """A store with a face track of 10 rows and a voice track of 40 for each clip."""
    store = FeatureStore(root)
    for clip_id in clips:
        about = {"source": f"of {clip_id}"}
        store.put_clock(clip_id, make_clock(), about | {"num_frames": "10"})
        store.put(FACE, clip_id, make_track(seed=seed), about)
        store.put(VOICE, clip_id, make_track(40, 4, 0.025, seed), about)
    return store


def rewrite(path, metadata=None, **tensors):
    """Replace tensors and metadata of a track's file (None removes one); the checksums are those of the new content.

    ``sha256=None`` writes a file of an earlier version, without checksums; another one stands as it is given.
    """
    with safe_open(path, framework="numpy") as file:
        known = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
        about = dict(file.metadata())
    kept = {name: value for name, value in (known | tensors).items() if value is not None}
    given = {key: text for key, text in (about | (metadata or {})).items() if text is not None}
    others = {key: text for key, text in given.items() if key not in (BODY_SUM, HEADER_SUM)}
    if BODY_SUM in (metadata or {}):
        save_file(kept, path, {key: text for key, text in given.items() if key != HEADER_SUM})
        return
    write_tensors(path, {name: Tensor.of(value) for name, value in kept.items()}, others)


def body(path):
    """The bytes that follow a safetensors file's header."""
    content = path.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


def flip_bit(path, position=0):
    """Change one bit of a safetensors file, ``position`` bytes after its header."""
    content = bytearray(path.read_bytes())
    content[8 + int.from_bytes(content[:8], "little") + position] ^= 1
    path.write_bytes(content)
