"""Encoders rebuilt from the recipes of a run, which may have been trained in another folder or on another machine.

Weights are identified by their SHA-256. Where they are not at the place that the recipe names, files of their name are
searched for; one with another content is never taken. A store may have a run's features in another type only.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw import plugins
from abaw.errors import InputError, NotFoundError
from abaw.files import as_path, sha256
from abaw.files.names import checked_name
from abaw.files.trust import check_trusted, find_untrusted
from abaw.results.observed import ObservedFrames

if TYPE_CHECKING:
    from abaw.pipelines.prediction import Member
    from abaw.results.runs import Run
    from extract.engine.plan import EncoderSpec
    from extract.faces.target import TargetConfig
    from extract.store.store import FeatureStore

NO_PATHS = ("revision", "text_revision")  # where a model was found at a hub, beside its name
SUFFIXES = (".onnx", ".safetensors", ".pt", ".pth", ".bin", ".task", ".tflite")
MAX_PARENTS = 3  # of a run's folder, to which a relative path may be relative


@dataclass(frozen=True)
class WeightPlaces:
    """Where weights are now: ``moved`` from old to new paths, and the ``folders`` below which they are searched.

    ``bases``: folders that a relative path may be relative to, and in which the file itself may lie.
    """

    moved: Mapping[str, Path] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    bases: tuple[Path, ...] = ()

    @classmethod
    def of(cls, runs: Iterable[Path], given: Sequence[str] = ()) -> "WeightPlaces":
        """Of these runs, and of what the user gave: ``OLD=NEW``, or a folder to search.

        Raises NotFoundError where a given path does not exist.
        """
        moved, folders, bases = {}, [], []
        for text in given:
            old, is_move, new = text.rpartition("=")
            path = as_path(new, "weights")
            if not (path.exists() if is_move else path.is_dir()):
                what = "file or folder" if is_move else "folder"
                raise NotFoundError(f"--weights {text}: no {what} {path}: give OLD=NEW, or a folder to search")
            if is_move:
                moved[old] = path
            else:
                folders.append(path)
        for run in runs:
            folders.append(run)
            bases += list(run.absolute().parents)[:MAX_PARENTS]
        return cls(moved, tuple(folders), tuple(dict.fromkeys([*bases, *folders])))

    def find(self, value: str, names: Mapping[str, str]) -> Path | None:
        """The weights that a recipe found at ``value``: the path given for it, else a place with this content.

        ``names``: file name -> SHA-256, of the file or of those in the folder. None where nothing has that content.
        """
        for old, new in self.moved.items():
            if value == old or Path(value).name == old:
                return new
            if Path(old) in Path(value).parents:
                return new / Path(value).relative_to(old)
        return next((place for place in self._candidates(value, names) if has_content(place, names)), None)

    def _candidates(self, value: str, names: Mapping[str, str]) -> Iterator[Path]:
        path, name = Path(value), escape(Path(next(iter(names), "")).name)
        is_inside = not find_untrusted({"file": value})
        for base in (Path(), *self.bases):
            yield from [base / path] * is_inside
            yield base / path.name
        for folder in self.folders if name else ():
            for found in sorted(folder.rglob(name)):
                yield from (found, found.parent)


def has_content(place: Path, names: Mapping[str, str]) -> bool:
    """Whether a file, or the files of these names in a folder, have these SHA-256."""
    if not names:
        return False
    if place.is_file():
        return names.get(place.name) == sha256(place)
    files = {name: place / Path(name).name for name in names}
    return all(file.is_file() and sha256(file) == names[name] for name, file in files.items())


def rebuild(
    recipe: dict[str, Any], device: str = "cpu", *, trusted: bool = False, places: WeightPlaces | None = None
) -> "tuple[EncoderSpec, TargetConfig | None]":
    """The encoder of a stored recipe, and how faces were chosen for it; its weights may have moved to ``places``.

    Raises NotFoundError where weights are missing, with their names and SHA-256; InputError where the encoder would
    give other numbers today, and where the recipe is not ``trusted`` and asks for a model's own code, a plug-in that is
    not loaded, or weights outside the current folder that were not found by their content.
    """
    from extract import presets
    from extract.engine.plan import EncoderSpec
    from extract.faces.detectors import rebuild_detector
    from extract.faces.target import TargetConfig

    lacking = [key for key in ("encoder", "name", "settings", "stored_dtype") if key not in recipe]
    if lacking:
        message = f"a recipe of features lacks {', '.join(lacking)}: its run.json is damaged; train the run again"
        raise InputError(message)
    if recipe["encoder"] == "embedding":
        run = recipe["settings"].get("run", "RUN")
        raise InputError(
            f"the features {recipe['name']} are the embedding of {run}, which is not made from media: extract what "
            "that run was trained on into a store, run abaw embed with it, then predict from the store (--store)"
        )
    if recipe["encoder"] == "import":
        raise InputError(
            f"the features {recipe['name']} were made elsewhere and imported, so they cannot be made from other media: "
            "train a run on features of encoders"
        )
    made = f"the recipe of the features {checked_name(recipe['name'], 'the recipe of features')}"
    plugins.require([recipe["plugin"]] if "plugin" in recipe else (), made, trusted=trusted)
    of_faces = recipe.get("faces")
    settings, asked = _located(recipe, places or WeightPlaces(), made)
    face_settings, asked_by_faces = _located(of_faces, places or WeightPlaces(), made) if of_faces else ({}, [])
    if not trusted:
        check_trusted([*asked, *asked_by_faces], made)
    spec = EncoderSpec(
        recipe["name"], presets.build(recipe["encoder"], device=device, **settings), recipe["stored_dtype"]
    )
    config = None
    if of_faces:
        detector = rebuild_detector({**of_faces, "settings": face_settings})
        config = TargetConfig(detector, of_faces["target"], of_faces["every"])
    _check_same(recipe, spec, config)
    return spec, config


def _located(recipe: Mapping[str, Any], places: WeightPlaces, made: str) -> tuple[dict[str, Any], list[str]]:
    """The settings of a recipe with its weights where they are now, and what they ask for that needs trust."""
    settings, found_at = dict(recipe["settings"]), recipe.get("found_at", ())
    is_place = [key for key in found_at if key not in NO_PATHS and isinstance(settings.get(key), str)]
    found = {}
    for key in is_place:
        weights = recipe.get("weights", {})
        names = {Path(settings[key]).name: weights} if isinstance(weights, str) else dict(weights)
        place = places.find(settings[key], names)
        if place is not None:
            found[key] = str(place)
        elif (
            names
            and not Path(settings[key]).exists()
            and (Path(settings[key]).is_absolute() or settings[key].endswith(SUFFIXES))
        ):
            listed = ", ".join(f"{name} (SHA-256 {digest[:16]}...)" for name, digest in names.items())
            raise NotFoundError(
                f"{made} needs {listed}, and there is no {settings[key]}: give --weights {settings[key]}=NEW, or "
                "--weights FOLDER to search a folder for it"
            )
    asked = find_untrusted({key: each for key, each in settings.items() if key not in found}, found_at)
    return {**settings, **found}, asked


def _check_same(recipe: Mapping[str, Any], spec: "EncoderSpec", config: "TargetConfig | None") -> None:
    """Raises InputError where the rebuilt encoder has another recipe, apart from where its weights lie."""
    from abaw.pipelines.extraction import build_detector
    from extract.faces.target import TargetConfig
    from extract.store.store import without_locations

    rebuilt = spec.recipe(config or TargetConfig(build_detector("centerface")), "fill_missing_faces" in recipe)
    before, now = without_locations(dict(recipe)), without_locations(rebuilt)
    changed = [key for key in before.keys() | now.keys() if before.get(key) != now.get(key)]
    if changed:
        raise InputError(
            f"the run's {recipe['name']} features had another recipe ({', '.join(sorted(changed))}): give the encoder "
            "the weights it had, or extract and train again"
        )


def portable(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with paths below the current folder relative to it, so that the folder can move."""
    here, kept = Path.cwd(), dict(recipe)
    for key in recipe.get("found_at", ()):
        value = recipe["settings"].get(key)
        if isinstance(value, str) and here in Path(value).parents:
            kept["settings"] = {**kept["settings"], key: Path(value).relative_to(here).as_posix()}
    return {**kept, "faces": portable(kept["faces"])} if kept.get("faces") else kept


def find_stored(store: "FeatureStore", recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe of features or, where the store has no track of them, of the same features stored in another type."""
    from extract.store.listing import track_paths
    from extract.store.track_file import ROUNDED_TO

    of_types = [recipe, *({**recipe, "stored_dtype": each} for each in ROUNDED_TO)]
    return next((each for each in of_types if track_paths(store.folder(each))), recipe)


def describe_reading(members: "Sequence[Member]", clip_ids: Sequence[str]) -> dict[str, Any]:
    """What predictions.json records of the features that were read for these clips.

    ``observed``: in how many frames each feature is observed; of several members that have it, the fewest.
    ``types_read``: run -> features that were read in another type than it was trained on; no key without any.
    """
    observed: dict[str, ObservedFrames] = {}
    for _, _, source in members:
        own = _own(source)
        for name in own.names() if hasattr(own, "count_observed") else ():
            each = own.count_observed(name, clip_ids)
            observed[name] = min(observed.get(name, each), each, key=lambda one: one.num_observed)
    types = {str(run.folder): found for run, _, source in members if (found := _types_read(run, source))}
    about = {"observed": {name: each.document() for name, each in observed.items()}}
    return {**about, "types_read": types} if types else about


def notes_of_types(members: "Sequence[Member]") -> Iterator[str]:
    """A line for every feature that is read in another type than a run was trained on."""
    for run, _, source in members:
        for name, types in _types_read(run, source).items():
            yield f"{run.folder} was trained on {name} in {types['trained']}, and reads it in {types['read']}"


def _types_read(run: "Run", source: Any) -> dict[str, dict[str, Any]]:
    trained = run.document().get("recipes", {})  # the run itself may be about to finish
    read = {name: recipe for name, recipe in getattr(_own(source), "recipes", {}).items() if name in trained}
    types = {
        name: {"trained": trained[name].get("stored_dtype"), "read": recipe.get("stored_dtype")}
        for name, recipe in read.items()
    }
    return {name: each for name, each in types.items() if each["trained"] != each["read"]}


def _own(source: Any) -> Any:
    """The source itself, without the statistics of groups."""
    return getattr(source, "source", source)
