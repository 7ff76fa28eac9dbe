"""What the page offers and its limits, checked before a server is started."""

import pytest

from abaw.app.settings import AppSettings, Offer, find_examples, find_offers, read_password
from abaw.errors import InputError, NotFoundError
from abaw.pipelines.analysis.limits import MediaLimits

LIMITS = MediaLimits(1000, 10.0)
OFFERS = (Offer("one"),)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.1.2.3"])
def test_this_machine_needs_no_password(host):
    assert AppSettings(OFFERS, LIMITS, host=host).password == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_other_machines_need_a_password(host):
    with pytest.raises(InputError, match="a password is needed: give --password-file FILE, or set ABAW_APP_PASSWORD"):
        AppSettings(OFFERS, LIMITS, host=host)
    assert AppSettings(OFFERS, LIMITS, host=host, password="twelve chars").host == host


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"password": "short"}, "the password has 5 characters, expected at least 12"),
        ({"port": 0}, "--port is 0"),
        ({"port": 70000}, "--port is 70000, expected 1 to 65535"),
        ({"max_at_once": 0}, "--at-once is 0"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        AppSettings(OFFERS, LIMITS, **wrong)


def test_a_password_is_not_printed():
    assert "twelve chars" not in repr(AppSettings(OFFERS, LIMITS, password="twelve chars"))


def test_the_password_file_comes_first(tmp_path):
    file = tmp_path / "password"
    file.write_text("of the file\nanother line\n")
    assert read_password(file, "of the environment") == "of the file"
    assert read_password(None, "of the environment") == "of the environment"
    file.write_text("\n")
    with pytest.raises(InputError, match="password is empty"):
        read_password(file, "")
    with pytest.raises(NotFoundError, match="missing"):
        read_password(tmp_path / "none", "")


def test_examples_are_the_media_of_a_folder(tmp_path):
    for name in ("b.mp4", "a.wav", "notes.txt", ".hidden.mp4"):
        (tmp_path / name).touch()
    assert [path.name for path in find_examples(tmp_path)] == ["a.wav", "b.mp4"]
    assert find_examples(None) == ()
    with pytest.raises(NotFoundError, match="is not a folder"):
        find_examples(tmp_path / "none")


def test_a_missing_run_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="none"):
        find_offers([tmp_path / "none"], [])


def test_named_recognisers_are_offered_by_name_without_their_settings(tmp_path):
    (offer,) = find_offers([], [f"onnx_recogniser:file={tmp_path}/net.onnx"])
    assert (offer.label, offer.recognisers) == ("onnx_recogniser", (f"onnx_recogniser:file={tmp_path}/net.onnx",))
