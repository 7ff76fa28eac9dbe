"""Files of browser tabs: whose they are, and when they are removed."""

import os

import pytest

from abaw.app.sessions import MAX_UNUSED_S, Sessions, link_or_copy
from abaw.errors import InputError, NotFoundError


@pytest.fixture
def sessions(tmp_path):
    return Sessions(tmp_path)


def upload(sessions, content, name="clip.mp4"):
    path = sessions.uploads / content / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    return path


def begin(session):
    return session.begin(lambda: None)


def files_below(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_upload_that_two_tabs_use_stays_until_both_are_closed(sessions, tmp_path):
    path = upload(sessions, "same")
    for tab in ("a", "b"):
        sessions.take(sessions.of(tab), str(path))
    sessions.close("a")
    assert path.is_file()
    sessions.close("b")
    assert files_below(tmp_path) == []
    assert not path.parent.exists()


def test_results_are_served_by_token_and_go_with_the_tab(sessions):
    session = sessions.of("a")
    folder = begin(session)
    (folder / "x.csv").write_text("1")
    (folder / ".hidden").write_text("1")
    assert sessions.file(session.token, f"{folder.name}/x.csv").read_text() == "1"
    others = upload(sessions, "other")
    for token, name in [
        ("wrong", f"{folder.name}/x.csv"),
        (session.token, f"{folder.name}/.hidden"),
        (session.token, "../../uploads/other/clip.mp4"),
        (session.token, str(others)),
        (session.token, folder.name),
        (session.token, "x\0"),
    ]:
        with pytest.raises(NotFoundError, match="there is no such file"):
            sessions.file(token, name)
    session.end()
    sessions.close("a")
    assert not session.folder.exists()


def test_only_uploads_are_taken(sessions, tmp_path):
    outside = tmp_path / "outside.mp4"
    outside.touch()
    os.symlink(outside, sessions.uploads / "link.mp4")
    for path in (outside, sessions.uploads / ".." / "outside.mp4", sessions.uploads / "link.mp4", sessions.uploads):
        with pytest.raises(NotFoundError, match="upload the file again"):
            sessions.take(sessions.of("a"), str(path))


def test_a_tab_has_one_analysis_at_a_time_and_its_last_results(sessions):
    session = sessions.of("a")
    first = begin(session)
    with pytest.raises(InputError, match="an analysis is running in this tab"):
        begin(session)
    session.end()
    assert begin(session) != first
    assert not first.exists()


def test_a_tab_that_is_closed_stops_its_analysis_whose_late_files_are_removed(sessions):
    session, stopped = sessions.of("a"), []
    folder = session.begin(lambda: stopped.append(1))
    sessions.close("a")
    assert stopped == [1]
    folder.mkdir(parents=True)
    session.end()
    assert not session.folder.exists()
    with pytest.raises(InputError, match="was closed"):
        session.begin(lambda: None)


def test_uploads_that_were_cut_off_are_removed_after_a_while(sessions):
    old, new = upload(sessions, "old"), upload(sessions, "new")
    taken = upload(sessions, "taken")
    sessions.take(sessions.of("a"), str(taken))
    for path in (old, taken):
        os.utime(path, (0, path.stat().st_mtime - MAX_UNUSED_S - 1))
    sessions.of("b")
    assert [path.is_file() for path in (old, new, taken)] == [False, True, True]


def test_messages_show_no_path_of_the_machine(sessions, tmp_path):
    session = sessions.of("a")
    folder = begin(session)
    assert session.hide(f"cannot read {folder}/clip.mp4: no") == "cannot read clip.mp4: no"
    assert str(tmp_path) not in session.hide(f"see {folder}/results and {session.folder}")


def test_a_link_costs_no_space_and_leaves_the_upload(sessions, tmp_path):
    path = upload(sessions, "x")
    copy = link_or_copy(path, tmp_path)
    assert copy.samefile(path)
