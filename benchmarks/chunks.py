"""How close a track encoded in chunks is to a single pass over the whole sound, by overlap, and how visible its seams.

The networks have the sizes of wav2vec2-base, WavLM-base and Whisper-base, but fewer layers and random weights. The
sound is real speech if ABAW_MEDIA (or ../shared/media) has clips, else a synthetic voice. Writes results/chunks.json
and the tables of docs/measurements/chunks.md. About 3 minutes on one CPU core.

    OMP_NUM_THREADS=1 python -m benchmarks.chunks      (as a file, benchmarks/extract.py would hide the package)
"""

import argparse
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from abaw.files import write_json
from abaw.results.runs import commit, versions
from extract.encoders import ENCODERS
from extract.encoders.base import joined
from extract.encoders.hf_audio import HfAudio
from extract.media import Sound, sound
from extract.networks.chunks import pieces
from extract.synthetic.voice import VOICE_HZ, draw_voice, synthesize_voice

ROOT = Path(__file__).resolve().parent.parent
MEDIA = Path(os.environ.get("ABAW_MEDIA", ROOT.parent / "shared" / "media"))
SECONDS, CHUNK_S, OVERLAPS_S = 66.0, 20.0, (0.0, 1.0, 2.0, 4.0, 8.0)
COLUMNS = {
    "overlap_s": "overlap (s)",
    "cosine": "cosine, mean",
    "cosine_1%": "cosine, lowest 1 %",
    "distance": "distance / spread",
    "seam": "step at a seam / steps beside",
    "cut": "the same without fading",
}


def load_voice() -> tuple[np.ndarray, str]:
    """Speech, one sentence after the other, and where it comes from."""
    clips = sorted([*MEDIA.glob("clips/*.mpg"), *MEDIA.glob("clips/*.flv")])
    num = round(SECONDS * VOICE_HZ)
    if clips:
        said = np.concatenate([sound(path, VOICE_HZ).samples for path in clips])
        return np.resize(said, num), f"{len(clips)} clips of speech, end to end"
    rng = np.random.default_rng(0)
    arousal = np.sin(np.arange(num) * (2 * np.pi / 20 / VOICE_HZ))
    return synthesize_voice(draw_voice(rng), arousal, np.zeros(num), VOICE_HZ, rng), "a synthetic voice"


def save_models(folder: Path, num_layers: int) -> dict[str, Path]:
    """Save three networks of the base sizes with ``num_layers`` layers."""
    import torch
    import transformers as tf

    tf.utils.logging.disable_progress_bar()
    heads = {"encoder_attention_heads": 8, "decoder_attention_heads": 8, "encoder_ffn_dim": 2048}
    whisper = tf.WhisperConfig(d_model=512, encoder_layers=num_layers, decoder_layers=1, **heads)
    kinds = {
        "wav2vec2": (lambda: tf.Wav2Vec2Model(tf.Wav2Vec2Config(num_hidden_layers=num_layers)), True),
        "wavlm": (lambda: tf.WavLMModel(tf.WavLMConfig(num_hidden_layers=num_layers)), False),
        "whisper": (lambda: tf.WhisperModel(whisper), None),
    }
    for name, (build, do_normalize) in kinds.items():
        torch.manual_seed(0)
        build().save_pretrained(folder / name)
        extractor = (
            tf.WhisperFeatureExtractor()
            if do_normalize is None
            else tf.Wav2Vec2FeatureExtractor(do_normalize=do_normalize)
        )
        extractor.save_pretrained(folder / name)
    return {name: folder / name for name in kinds}


def compare(encoder: HfAudio, whole: np.ndarray | None, said: Sound) -> dict[str, float]:
    """One row of a table: the track in chunks compared with that of a single pass, if the network allows one."""
    chunks, run, made = encoder._chunks, encoder._rows, {}

    def rows(inputs: Mapping[str, Any]) -> np.ndarray:
        key = b"".join(value.numpy().tobytes() for value in inputs.values())  # both ways of joining use the same passes
        made[key] = made[key] if key in made else run(inputs)
        return made[key]

    encoder._rows = rows
    faded = joined(encoder.encode(said), encoder.dim).values
    encoder._chunks = replace(chunks, fade=0)
    cut = joined(encoder.encode(said), encoder.dim).values
    seams = [keep for _, keep, _, _ in pieces(len(faded), chunks.chunk, chunks.margin)][1:]
    row = {"seam": step(faded, seams), "cut": step(cut, seams)}
    if whole is not None:
        centred, reference = faded - whole.mean(0), whole - whole.mean(0)
        cosine = (centred * reference).sum(1) / np.linalg.norm(centred, axis=1) / np.linalg.norm(reference, axis=1)
        row |= {"cosine": float(cosine.mean()), "cosine_1%": float(np.quantile(cosine, 0.01))}
        row["distance"] = float(np.linalg.norm(faded - whole, axis=1).mean() / np.linalg.norm(reference, axis=1).mean())
    return row


def step(values: np.ndarray, seams: list[int]) -> float:
    """Mean over the seams: the change across, divided by the mean of the ten changes on either side."""
    steps = np.linalg.norm(np.diff(values, axis=0), axis=1)
    beside = [np.concatenate([steps[at - 11 : at - 1], steps[at : at + 10]]).mean() for at in seams]
    return float((steps[np.array(seams) - 1] / beside).mean())


def make_table(rows: list[dict[str, float]]) -> str:
    columns = {key: text for key, text in COLUMNS.items() if key in rows[0]}
    lines = [f"| {' | '.join(columns.values())} |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = [f"{row[key]:.{5 if 'cosine' in key else 3}f}" for key in columns if key != "overlap_s"]
        lines.append(f"| {row['overlap_s']:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measure(name: str, path: Path, said: Sound) -> list[dict[str, float]]:
    """One table: a row for each overlap."""
    reference = None
    if name != "whisper":  # it accepts 30 s at most
        whole = ENCODERS.build("hf_audio", model=str(path), chunk_s=SECONDS)
        reference = joined(whole.encode(said), whole.dim).values
    rows = []
    for overlap_s in OVERLAPS_S:
        encoder = ENCODERS.build("hf_audio", model=str(path), chunk_s=CHUNK_S, overlap_s=overlap_s)
        rows.append({"overlap_s": overlap_s, **compare(encoder, reference, said)})
        print(name, rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layers", type=int, default=4)
    layers = parser.parse_args().layers
    made_by, (samples, origin) = commit(), load_voice()
    said = Sound(samples, VOICE_HZ, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        results = {name: measure(name, path, said) for name, path in save_models(Path(folder), layers).items()}
    about = {"voice": origin, "seconds": SECONDS, "chunk_s": CHUNK_S, "layers": layers}
    document = {"commit": made_by, "versions": versions(), **about, "results": results}
    write_json(Path(__file__).resolve().parent / "results/chunks.json", document)
    write_page(results, about, made_by)


def write_page(results: dict[str, list[dict[str, float]]], about: dict[str, Any], made_by: str) -> None:
    """Write the tables of docs/measurements/chunks.md; the text above them is kept."""
    page, marker = ROOT / "docs" / "chunks.md", "<!-- benchmarks/chunks.py writes what follows -->"
    words = page.read_text().split(marker)[0] if page.exists() else ""
    tables = "\n\n".join(f"{name}:\n\n{make_table(rows)}" for name, rows in results.items())
    about_text = (
        f"Commit {made_by}: {about['voice']}, {about['seconds']:g} s, in chunks of {about['chunk_s']:g} s; networks of "
        f"base size with {about['layers']} layers and random weights."
    )
    page.parent.mkdir(exist_ok=True)
    page.write_text(f"{words}{marker}\n\n{about_text}\n\n{tables}\n")


if __name__ == "__main__":
    main()
