"""Frame-by-frame expression and valence-arousal from faces and voices: the public Python API.

Every command of the command line is a function here that returns its result, prints nothing and raises ``AbawError``
(each such error is also a ValueError or an OSError). Names are loaded when they are first used, so that ``import abaw``
costs nothing. docs/python.md has examples.
"""

import os
from importlib import import_module

# Libraries that report about their users are switched off before any is imported; a value that the user has set
# stays. onnxruntime, which lightning and torchmetrics import, would write a device id into the home folder.
TELEMETRY = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
}
for _name, _value in TELEMETRY.items():
    os.environ.setdefault(_name, _value)

TYPE_CHECKING = False  # type checkers take it for true; the module typing would double the time of the import
if TYPE_CHECKING:
    from abaw.batches import Batch as Batch
    from abaw.calibration.fit import FitReport as FitReport
    from abaw.calibration.fit import fit as fit
    from abaw.challenge.submission import Submission as Submission
    from abaw.challenge.submission import submit as submit
    from abaw.challenge.verification import Fault as Fault
    from abaw.challenge.verification import verify as verify
    from abaw.competition.recipe import RecipePlan as RecipePlan
    from abaw.competition.recipe import RecipeResult as RecipeResult
    from abaw.competition.recipe import plan_recipe as plan_recipe
    from abaw.competition.recipe import run_recipe as run_recipe
    from abaw.configs.sections import FeatureConfig as FeatureConfig
    from abaw.configs.sections import PostProcessingConfig as PostProcessingConfig
    from abaw.corpora.writing import ManifestReport as ManifestReport
    from abaw.corpora.writing import make_manifest as make_manifest
    from abaw.dataset.clip import Clip as Clip
    from abaw.dataset.layout import Dataset as Dataset
    from abaw.dataset.layout import open_dataset as open_dataset
    from abaw.ensembling.combining import combine as combine
    from abaw.ensembling.result import CombineReport as CombineReport
    from abaw.errors import AbawError as AbawError
    from abaw.errors import InputError as InputError
    from abaw.errors import NotFoundError as NotFoundError
    from abaw.evaluation.report import ScoreReport as ScoreReport
    from abaw.evaluation.report import score as score
    from abaw.evaluation.robustness import Robustness as Robustness
    from abaw.evaluation.robustness import read_robustness as read_robustness
    from abaw.evaluation.run_table import RunTable as RunTable
    from abaw.evaluation.run_table import read_runs as read_runs
    from abaw.pipelines.analysis.analyzing import analyze as analyze
    from abaw.pipelines.analysis.results import Analysis as Analysis
    from abaw.pipelines.analysis.results import FrameTable as FrameTable
    from abaw.pipelines.checking import check as check
    from abaw.pipelines.checking import synthesize as synthesize
    from abaw.pipelines.configuration import list_configs as list_configs
    from abaw.pipelines.configuration import read_config_text as read_config_text
    from abaw.pipelines.embedding.exporting import EmbedReport as EmbedReport
    from abaw.pipelines.embedding.exporting import embed as embed
    from abaw.pipelines.embedding.searching import SimilarReport as SimilarReport
    from abaw.pipelines.embedding.searching import find_similar as find_similar
    from abaw.pipelines.extraction import estimate_extraction as estimate_extraction
    from abaw.pipelines.extraction import extract as extract
    from abaw.pipelines.features import align as align
    from abaw.pipelines.features import load_batch as load_batch
    from abaw.pipelines.features import load_track as load_track
    from abaw.pipelines.listing import list_aligners as list_aligners
    from abaw.pipelines.listing import list_corpora as list_corpora
    from abaw.pipelines.listing import list_detectors as list_detectors
    from abaw.pipelines.listing import list_editions as list_editions
    from abaw.pipelines.listing import list_encoders as list_encoders
    from abaw.pipelines.listing import list_models as list_models
    from abaw.pipelines.listing import list_recognisers as list_recognisers
    from abaw.pipelines.listing import list_tasks as list_tasks
    from abaw.pipelines.live.latency import LatencySummary as LatencySummary
    from abaw.pipelines.live.running import LiveRow as LiveRow
    from abaw.pipelines.live.running import LiveSession as LiveSession
    from abaw.pipelines.live.running import live as live
    from abaw.pipelines.members.suggesting import Suggestion as Suggestion
    from abaw.pipelines.members.suggesting import Suggestions as Suggestions
    from abaw.pipelines.members.suggesting import suggest_labels as suggest_labels
    from abaw.pipelines.persons.personalising import SubjectVectors as SubjectVectors
    from abaw.pipelines.persons.personalising import personalise as personalise
    from abaw.pipelines.plotting import plot_clip as plot_clip
    from abaw.pipelines.plotting import plot_comparison as plot_comparison
    from abaw.pipelines.plotting import plot_confusion as plot_confusion
    from abaw.pipelines.plotting import plot_curves as plot_curves
    from abaw.pipelines.plotting import plot_reliability as plot_reliability
    from abaw.pipelines.plotting import plot_values as plot_values
    from abaw.pipelines.prediction import Predictions as Predictions
    from abaw.pipelines.prediction import predict as predict
    from abaw.pipelines.probing.scoring import probe as probe
    from abaw.pipelines.recognised_tables import recognise as recognise
    from abaw.pipelines.reporting.writing import WrittenReport as WrittenReport
    from abaw.pipelines.reporting.writing import report as report
    from abaw.pipelines.robustness.measuring import measure_robustness as measure_robustness
    from abaw.pipelines.training import train as train
    from abaw.pipelines.training import train_folds as train_folds
    from abaw.plugins import PlugIn as PlugIn
    from abaw.plugins import load_plugin as load_plugin
    from abaw.postprocessing import PostProcessing as PostProcessing
    from abaw.probes.report import ProbeReport as ProbeReport
    from abaw.progress import Progress as Progress
    from abaw.progress import ProgressCallback as ProgressCallback
    from abaw.results.predictions import Table as Table
    from abaw.results.runs import Run as Run
    from abaw.tracks import Clock as Clock
    from abaw.tracks import Track as Track
    from abaw.tuning.run import SearchResult as SearchResult
    from abaw.tuning.run import search as search
    from abaw.views.plots.plot import Plot as Plot
    from extract.dataset_check.check import CheckReport as CheckReport
    from extract.engine.run import ExtractionReport as ExtractionReport
    from extract.store.store import FeatureStore as FeatureStore
    from extract.weights import fetch_weights as fetch_weights
    from extract.weights import find_weights as find_weights
    from extract.weights import list_weights as list_weights

__version__ = "0.1.0"

_HOMES = {
    "abaw.batches": ("Batch",),
    "abaw.calibration.fit": ("FitReport", "fit"),
    "abaw.challenge.submission": ("Submission", "submit"),
    "abaw.challenge.verification": ("Fault", "verify"),
    "abaw.competition.recipe": ("RecipePlan", "RecipeResult", "plan_recipe", "run_recipe"),
    "abaw.configs.sections": ("FeatureConfig", "PostProcessingConfig"),
    "abaw.dataset.clip": ("Clip",),
    "abaw.corpora.writing": ("ManifestReport", "make_manifest"),
    "abaw.dataset.layout": ("Dataset", "open_dataset"),
    "abaw.ensembling.combining": ("combine",),
    "abaw.ensembling.result": ("CombineReport",),
    "abaw.errors": ("AbawError", "InputError", "NotFoundError"),
    "abaw.evaluation.report": ("ScoreReport", "score"),
    "abaw.evaluation.run_table": ("RunTable", "read_runs"),
    "abaw.evaluation.robustness": ("Robustness", "read_robustness"),
    "abaw.pipelines.analysis.analyzing": ("analyze",),
    "abaw.pipelines.analysis.results": ("Analysis", "FrameTable"),
    "abaw.pipelines.checking": ("check", "synthesize"),
    "abaw.pipelines.configuration": ("list_configs", "read_config_text"),
    "abaw.pipelines.embedding.exporting": ("EmbedReport", "embed"),
    "abaw.pipelines.embedding.searching": ("SimilarReport", "find_similar"),
    "abaw.pipelines.extraction": ("estimate_extraction", "extract"),
    "abaw.pipelines.features": ("align", "load_batch", "load_track"),
    "abaw.pipelines.listing": (
        "list_aligners",
        "list_corpora",
        "list_detectors",
        "list_editions",
        "list_encoders",
        "list_models",
        "list_recognisers",
        "list_tasks",
    ),
    "abaw.pipelines.live.latency": ("LatencySummary",),
    "abaw.pipelines.live.running": ("LiveRow", "LiveSession", "live"),
    "abaw.pipelines.members.suggesting": ("Suggestion", "Suggestions", "suggest_labels"),
    "abaw.pipelines.persons.personalising": ("SubjectVectors", "personalise"),
    "abaw.pipelines.plotting": (
        "plot_clip",
        "plot_comparison",
        "plot_confusion",
        "plot_curves",
        "plot_reliability",
        "plot_values",
    ),
    "abaw.pipelines.prediction": ("Predictions", "predict"),
    "abaw.pipelines.recognised_tables": ("recognise",),
    "abaw.pipelines.probing.scoring": ("probe",),
    "abaw.pipelines.robustness.measuring": ("measure_robustness",),
    "abaw.pipelines.reporting.writing": ("WrittenReport", "report"),
    "abaw.pipelines.training": ("train", "train_folds"),
    "abaw.plugins": ("PlugIn", "load_plugin"),
    "abaw.postprocessing": ("PostProcessing",),
    "abaw.probes.report": ("ProbeReport",),
    "abaw.results.predictions": ("Table",),
    "abaw.progress": ("Progress", "ProgressCallback"),
    "abaw.results.runs": ("Run",),
    "abaw.tracks": ("Clock", "Track"),
    "abaw.tuning.run": ("SearchResult", "search"),
    "abaw.views.plots.plot": ("Plot",),
    "extract.dataset_check.check": ("CheckReport",),
    "extract.engine.run": ("ExtractionReport",),
    "extract.store.store": ("FeatureStore",),
    "extract.weights": ("fetch_weights", "find_weights", "list_weights"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
__all__ = ["__version__", *sorted(_HOME_OF)]


def _load(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'abaw' has no attribute {name!r}")
    if _HOME_OF[name].startswith("extract."):
        import_module("abaw.pipelines")  # an InputError where another file hides that package
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # a type checker that sees it accepts every name
    __getattr__ = _load


def __dir__() -> list[str]:
    return __all__
