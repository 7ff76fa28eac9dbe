"""How a command ends: a sentence for bad input, one line and a file for a bug, a remark where it was stopped."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from abaw import cli
from abaw.errors import InputError, explain


@pytest.fixture
def ended(monkeypatch, tmp_path, capsys):
    """Exit code and stderr of ``abaw list`` whose work is replaced."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(work, *words):
        monkeypatch.setattr("abaw.pipelines.listing.list_parts", lambda _: work())
        with pytest.raises(SystemExit) as stop:
            cli.main([*words, "list"])
        return stop.value.code, capsys.readouterr().err

    return run


def raises(error):
    def work():
        raise error

    return work


def test_bad_input_is_a_sentence(ended):
    assert ended(raises(InputError("x.txt:3: 'a' is not a number"))) == (2, "abaw: x.txt:3: 'a' is not a number\n")


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("shapes"), RecursionError("deep"), AssertionError()])
def test_a_bug_is_one_line_that_names_the_file_with_the_traceback(ended, tmp_path, error):
    code, shown = ended(raises(error))
    (file,) = tmp_path.glob("abaw-bug-*.txt")
    assert code == 70
    assert shown.count("\n") == 1
    assert shown.startswith("abaw: this is a bug in abaw (")
    assert str(file) in shown
    assert "Traceback (most recent call last)" in file.read_text()
    assert "abaw list" in file.read_text()


def test_verbose_shows_the_traceback_too(ended):
    code, shown = ended(raises(InputError("wrong")), "-v")
    assert code == 2
    assert shown.startswith("Traceback (most recent call last)")
    assert shown.endswith("abaw: wrong\n")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EISDIR, errno.ENAMETOOLONG, errno.EROFS])
def test_an_error_of_the_system_names_the_file_and_what_to_do(number):
    sentence = explain(OSError(number, os.strerror(number), "a/b.txt"))
    assert sentence.startswith(f"a/b.txt: {os.strerror(number).lower()}: ")


def test_too_little_memory_is_a_sentence():
    assert "fewer readers" in explain(MemoryError())


def test_a_stopped_command_says_whether_it_goes_on(ended):
    again = "stopped: the same command starts again from the beginning\n"
    assert ended(raises(KeyboardInterrupt())) == (130, again)
    assert ended(lambda: os.kill(os.getpid(), signal.SIGTERM)) == (143, again)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_comes_while_an_object_is_deleted_is_not_lost(ended, number, code):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs without it

    class Slow:
        def __del__(self):
            os.kill(os.getpid(), number)
            time.sleep(0.01)

    def work():
        Slow()
        for _ in range(1000):
            time.sleep(0.01)

    try:
        assert ended(work)[0] == code
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("name", ["extract", "train", "search", "recipe", "analyze", "store export"])
def test_long_commands_go_on_where_they_were_stopped(name):
    assert cli.STOPPED[name].startswith("stopped: the same command goes on from here")


def test_ctrl_c_while_the_command_line_is_imported_shows_no_traceback(tmp_path):
    stop = tmp_path / "typer.py"  # the first large import
    stop.write_text("raise KeyboardInterrupt\n")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from abaw.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), "list"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")
