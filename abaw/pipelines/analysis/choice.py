"""The best recognisers whose weights are on this machine, where the user names neither a run nor a recogniser."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from abaw.errors import InputError, NotFoundError
from abaw.pipelines.recognition import build_encoder_of, open_recogniser
from abaw.registry import REQUIRED

if TYPE_CHECKING:
    from extract.engine.plan import EncoderSpec
    from extract.recognisers.base import Recogniser


@dataclass(frozen=True)
class Candidate:
    """A recogniser that may be chosen. ``files``: names of its weights where a user must get them himself.

    ``model``: where they are at a hub. ``how``: how to get them, in words.
    """

    name: str
    how: str
    files: tuple[str, ...] = ()
    model: str = ""


EMOTIEFFLIB = "https://github.com/sb-ai-lab/EmotiEffLib/tree/main/models/affectnet_emotions/onnx"
FACE_ALL = Candidate(
    "emotieffnet_b0_va_mtl",
    f"download enet_b0_8_va_mtl.onnx from {EMOTIEFFLIB}, and give its folder with --weights FOLDER",
    ("enet_b0_8_va_mtl.onnx",),
)
FACE_CLASSES = Candidate(
    "emotieffnet_b0_8",
    f"download enet_b0_8_best_vgaf.onnx from {EMOTIEFFLIB}, and give its folder with --weights FOLDER",
    ("enet_b0_8_best_vgaf.onnx", "enet_b0_8_best_afew.onnx"),
)
PREFERRED = {  # for each kind of answer the candidates, best first
    "valence and arousal in the face": (FACE_ALL,),
    "expression of the face": (
        FACE_ALL,
        FACE_CLASSES,
        Candidate("fer_mini_xception", "give --download (1 MB)"),
    ),
    "valence and arousal in the voice": (
        Candidate(
            "audeering_dim",
            "give --download (661 MB)",
            model="audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim",
        ),
    ),
}


@dataclass(frozen=True)
class Choice:
    """The recognisers chosen, each with its encoder, and a line for each kind of answer that could be better."""

    chosen: "tuple[tuple[Recogniser, EncoderSpec], ...]"
    better: tuple[str, ...]


def choose_recognisers(
    *,
    device: str = "cpu",
    download: bool = False,
    commercial: bool = False,
    folders: Sequence[Path] = (),
) -> Choice:
    """For each kind of answer the best recogniser whose weights are on this machine, or can be downloaded.

    ``download``: get the best that can be downloaded. ``commercial``: only those whose licence is known to allow
    commercial use. ``folders``: where files of weights are looked for, besides the folders of ``abaw weights``. Raises
    NotFoundError where there is none at all.
    """
    from extract.recognisers import RECOGNISERS

    chosen: dict[str, tuple[Recogniser, EncoderSpec]] = {}
    better: dict[Candidate, list[str]] = {}
    for kind, candidates in PREFERRED.items():
        for candidate in candidates:
            if commercial and RECOGNISERS.part(candidate.name).facts["commercial"] is not True:
                continue
            if candidate.name in chosen:
                break
            try:
                chosen[candidate.name] = _open(candidate, device, download, folders)
                break
            except NotFoundError:
                better.setdefault(candidate, []).append(kind)
    lines = [f"{each.name} ({'; '.join(kinds)}): {each.how}" for each, kinds in better.items()]
    if not chosen:
        offers = "; ".join(lines) or "none has a licence that is known to allow commercial use"
        raise NotFoundError(
            f"no recogniser is on this machine: {offers}; or give --recogniser NAME (see abaw list recognisers), or "
            "--run RUN"
        )
    return Choice(tuple(chosen.values()), tuple(lines))


def find_recognisers(
    *, device: str = "cpu", commercial: bool = False, folders: Sequence[Path] = ()
) -> dict[str, tuple[str, ...]]:
    """What can predict on this machine without further settings: for each recogniser its ``NAME:setting=value``.

    The first entry, "", stands for the best on this machine and has no text, as ``analyze`` without recognisers. Empty
    where there is none. ``commercial`` and ``folders`` as in ``choose_recognisers``.
    """
    from extract.recognisers import RECOGNISERS

    known = {each.name: each for candidates in PREFERRED.values() for each in candidates}
    found: dict[str, tuple[str, ...]] = {}
    for part in RECOGNISERS.parts():
        candidate = known.get(part.name, Candidate(part.name, ""))
        if REQUIRED in part.settings.values() and not candidate.files:
            continue
        if commercial and part.facts["commercial"] is not True:
            continue
        try:
            _open(candidate, device, False, folders)
        except (InputError, NotFoundError):  # its weights or a package are not here
            continue
        found[part.name] = (_text_of(candidate, folders),)
    return {"": (), **found} if any(name in known for name in found) else found


def _open(
    candidate: Candidate, device: str, download: bool, folders: Sequence[Path]
) -> "tuple[Recogniser, EncoderSpec]":
    """The recogniser and its encoder. Raises NotFoundError where the weights are not here."""
    found = open_recogniser(_text_of(candidate, folders), download=download)
    if candidate.model and not download:
        from extract.networks.hub import check_cached

        check_cached(candidate.model)  # at once; the encoder would first load transformers
    return found, build_encoder_of(found, device=device, download=download)


def _text_of(candidate: Candidate, folders: Sequence[Path]) -> str:
    return f"{candidate.name}:file={_find(candidate, folders)}" if candidate.files else candidate.name


def _find(candidate: Candidate, folders: Sequence[Path]) -> Path:
    from extract.networks.package_weights import folders as own_folders

    for folder in (*folders, *own_folders()):
        for name in candidate.files:
            if (path := folder / name).is_file():
                return path
    raise NotFoundError(f"no file {' or '.join(candidate.files)}")
