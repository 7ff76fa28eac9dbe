"""Lock files: one holder at a time, never through a link."""

import subprocess
import sys

from abaw.files import locked


def test_a_lock_is_of_one_process_at_a_time(tmp_path):
    code = f"""
import sys
from pathlib import Path
from abaw.files import locked
path = Path({str(tmp_path)!r}) / "count"
for _ in range(200):
    with locked(path.with_name("lock")):
        path.write_text(str(int(path.read_text()) + 1))
"""
    (tmp_path / "count").write_text("0")
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [each.wait() for each in both] == [0, 0]
    assert (tmp_path / "count").read_text() == "400"
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()
    assert not (tmp_path / "lock").exists()


def test_who_waits_for_a_lock_says_so(tmp_path, caplog):
    code = f"""
import sys
from pathlib import Path
from abaw.files import locked
with locked(Path({str(tmp_path)!r}) / "lock"):
    print("held", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    caplog.handler.addFilter(lambda record: holder.stdin.close() or True)  # it ends when the waiting is logged
    with caplog.at_level("INFO", "abaw"), locked(tmp_path / "lock", waiting="waiting for another"):
        assert caplog.messages == ["waiting for another"]
    holder.stdout.close()
    assert holder.wait() == 0


def test_a_link_in_the_place_of_a_lock_leads_nowhere(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "lock").symlink_to(victim)
    with locked(tmp_path / "lock"):
        assert not (tmp_path / "lock").is_symlink()
    assert victim.read_text() == "mine"
