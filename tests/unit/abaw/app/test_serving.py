"""The port and the temporary folder of the server."""

import socket
import tempfile

import pytest

from abaw.app import serving
from abaw.app.settings import AppSettings, Offer
from abaw.errors import InputError
from abaw.pipelines.analysis.limits import MediaLimits


def settings(**others):
    return AppSettings((Offer("x"),), MediaLimits(1, 1.0), password="a long password", **others)


def test_a_port_in_use_is_refused_and_otherwise_the_next_one_is_taken(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} is in use: give another --port"):
            serving.bind(settings(port=port))
        monkeypatch.setattr(serving, "FIRST_PORT", port)
        with serving.bind(settings()) as bound:
            assert bound.getsockname()[0] == "127.0.0.1"
            assert port < bound.getsockname()[1] < port + serving.NUM_PORTS
        monkeypatch.setattr(serving, "NUM_PORTS", 1)
        with pytest.raises(InputError, match="all in use"):
            serving.bind(settings())


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host.invalid"])
def test_a_host_that_is_not_this_machine_is_refused(host):
    with pytest.raises(InputError, match="--host"):
        serving.bind(settings(host=host, port=7999))


def test_folders_of_servers_that_were_killed_are_removed_and_of_others_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"{serving.PREFIX}left"
    foreign = tmp_path / f"{serving.PREFIX}foreign"
    for folder in (left, foreign):
        folder.mkdir()
    (left / serving.LOCK).touch()
    with serving._temporary_folder() as root:
        assert sorted(tmp_path.iterdir()) == sorted([root, foreign])
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with serving._temporary_folder() as second:
            assert root.exists()
        assert not second.exists()
    assert list(tmp_path.iterdir()) == [foreign]
