"""What the browser sends is not trusted, what it is shown is escaped, and a process that dies is said."""

import multiprocessing
import threading
from types import SimpleNamespace

import pytest

from abaw.app import running
from abaw.app.panels import show_refusal, show_result, show_stopped
from abaw.app.running import Analyses, Wish
from abaw.app.sessions import Sessions
from abaw.app.settings import AppSettings, Offer
from abaw.app.workers import Answer, Job, Step, Worker
from abaw.errors import InputError
from abaw.pipelines.analysis.limits import MediaLimits

EVIL = "<script>alert(1)</script>\"'=x"


class Recorder:
    """Workers whose analyses end at once, with the answer that is given."""

    def __init__(self, answer):
        self.answer, self.jobs, self.is_killed = answer, [], False

    def take(self):
        return self

    def give_back(self, worker):
        assert worker is self

    def kill(self):
        self.is_killed = True

    def run(self, job, report):
        self.jobs.append(job)
        for step in (Step(4.0), None, Step(4.0, 1, 1)):
            report(step)
        return self.answer(job) if callable(self.answer) else self.answer


@pytest.fixture
def analyses(tmp_path):
    """Analyses with one offer and one example, and an answer to give."""
    example = tmp_path / "example.mp4"
    example.write_bytes(b"x")

    def make(answer=Answer("example", ("example: Neutral",), ("by x",), ("example.csv",))):  # noqa: B008
        root = tmp_path / "root"
        root.mkdir()
        settings = AppSettings(
            (Offer("one", ("recogniser",)),), MediaLimits(1000, 10.0), (example,), analysis={"weights": ("a=b", "c")}
        )
        return Analyses(settings, Sessions(root), Recorder(answer))

    return make


def run(analyses, wish, tab="tab"):
    """Start an analysis, wait for its end, and return what is shown."""
    analyses.start(tab, wish)
    task = analyses._tasks[analyses._sessions.of(tab)]
    task.future.result(timeout=60)
    shown, goes_on = analyses.look(tab)
    assert not goes_on
    return shown


def test_an_example_is_analysed_with_what_is_offered(analyses):
    made = analyses()
    shown = run(made, Wish(0, 0, "all"))
    (job,) = made._workers.jobs
    assert job.arguments["recognisers"] == ("recogniser",)
    assert job.arguments["weights"] == ["c"]  # OLD=NEW is for runs
    assert job.arguments["persons"] == "all"
    assert job.media.name == "example.mp4"
    assert "example: Neutral" in shown
    assert "/results/example.csv" in shown


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (Wish(None, 0, "target"), "there is no file yet"),
        (Wish(7, 0, "target"), "upload the file again"),
        (Wish("/etc/passwd", 0, "target"), "upload the file again"),
        (Wish({"path": "/etc/passwd"}, 0, "target"), "upload the file again"),
        (Wish({"path": "http://example.org/a.mp4"}, 0, "target"), "upload the file again"),
        (Wish(0, "/runs/other", "target"), "from the list"),
        (Wish(0, -1, "target"), "from the list"),
        (Wish(0, True, "target"), "from the list"),
        (Wish(0, 0, EVIL), "persons is"),
        (Wish(0, 0, "target", ["../x"]), "from the files that are offered"),
    ],
)
def test_what_is_not_offered_is_refused(analyses, wish, sentence):
    made = analyses()
    shown = run(made, wish)
    assert sentence in shown
    assert "<script>" not in shown
    assert made._workers.jobs == []
    assert sentence in run(made, wish)  # the tab can ask again


def test_refusals_name_the_file_without_its_folder(analyses, tmp_path):
    made = analyses(lambda job: Answer(refusal=f"cannot read {job.media}: it is not a media file"))
    shown = run(made, Wish(0, 0, "target"))
    assert "cannot read example.mp4: it is not a media file" in shown
    assert str(tmp_path) not in shown


def test_an_error_of_the_program_is_said_without_its_traceback_and_logged(analyses, caplog):
    shown = run(analyses(Answer(fault="Traceback of the worker")), Wish(0, 0, "target"))
    assert "An error of this program, not of your file" in shown
    assert "Traceback" not in shown
    assert "Traceback of the worker" in caplog.text


def test_a_full_disk_is_said_before_the_work(analyses, monkeypatch):
    monkeypatch.setattr(running, "MIN_FREE_BYTES", 1 << 60)
    assert "is full" in run(analyses(), Wish(0, 0, "target"))


def test_the_time_left_comes_from_earlier_analyses(analyses, monkeypatch):
    made, said = analyses(), []
    monkeypatch.setattr(running, "show_progress", lambda part, text: said.append((part, text)) or text)
    run(made, Wish(0, 0, "target"))
    assert not any("left" in text for _, text in said)
    made._pace = dict.fromkeys(made._pace, 100.0)
    run(made, Wish(0, 0, "target"))
    assert any(text.endswith("about 400 s left") for _, text in said)


def test_a_tab_has_one_analysis_whose_place_is_said_and_which_can_be_stopped_while_it_waits(analyses):
    may_end = threading.Event()
    made = analyses(lambda _: may_end.wait(60) and Answer("example", ("example: Neutral",)))
    made.start("a", Wish(0, 0, "target"))
    made.start("b", Wish(0, 0, "all"))
    assert "is running in this tab" not in made.look("b")[0]
    for tab in ("a", "b"):
        made.start(tab, Wish(0, 0, "target"))
        assert "an analysis is running in this tab: wait for it, or stop it" in made.look(tab)[0].lower()
    shown, goes_on = made.look("b")
    assert "1 before it in the queue" in shown
    assert goes_on
    made.stop("b")
    assert made.look("b") == (show_stopped(), False)
    made.start("b", Wish(0, 0, "target"))  # at once, though the first one still runs
    may_end.set()
    made._tasks[made._sessions.of("b")].future.result(timeout=60)
    assert "example: Neutral" in made.look("b")[0]
    assert [job.arguments["persons"] for job in made._workers.jobs] == ["target", "target"]
    assert made.look("c") == ("", False)


def test_no_more_analyses_wait_than_a_machine_can_do(analyses, monkeypatch):
    monkeypatch.setattr(running, "MAX_UNFINISHED", 0)
    made = analyses()
    with pytest.raises(InputError, match="too many analyses are waiting"):
        made.start("tab", Wish(0, 0, "target"))
    monkeypatch.setattr(running, "MAX_UNFINISHED", 1)
    assert "example: Neutral" in run(made, Wish(0, 0, "target"))


def test_everything_that_is_shown_is_escaped():
    answer = Answer(EVIL, (EVIL,), (EVIL,), (f"{EVIL}.csv", f"{EVIL}.html"))
    for shown in (show_result(EVIL, "results/t/1/results", answer), show_refusal(EVIL)):
        assert "<script>" not in shown
        assert "&lt;script&gt;" in shown
    assert 'href="results/t/1/results/%3Cscript%3Ealert%281%29%3C/script%3E%22%27%3Dx.csv"' in show_result(
        "x", "results/t/1/results", answer
    )


def test_a_process_that_dies_ends_its_analysis_alone(tmp_path):
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    worker = Worker.__new__(Worker)
    worker._connection = ours
    worker._process = SimpleNamespace(exitcode=-11, join=lambda: None, kill=lambda: None)
    answer = worker.run(Job(tmp_path, tmp_path, MediaLimits(1, 1.0)), lambda step: None)
    ours.close()
    assert answer.fault == "the process ended with exit code -11"
