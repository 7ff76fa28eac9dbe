"""Which process trains in a run's folder, and what is there afterwards."""

import pytest

from abaw.errors import InputError
from abaw.pipelines.training import train
from tests.support.owners import held_elsewhere


@pytest.mark.parametrize("settings", [[], ["training.seed=1"]])
def test_a_second_training_of_a_name_is_refused_before_it_reads_any_data(tmp_path, settings):
    settings = [*settings, f"data={tmp_path / 'nowhere'}", f"store={tmp_path / 'nowhere'}"]
    with held_elsewhere(tmp_path / "runs/synthetic", "run") as holder:
        said = (
            rf"is running in .*runs/synthetic \(process {holder.pid} on host .*: wait until .*, or give the run another"
        )
        with pytest.raises(InputError, match=said):
            train("synthetic", settings, runs=tmp_path / "runs")
        assert holder.poll() is None
    with pytest.raises(FileNotFoundError, match="nowhere"):
        train("synthetic", settings, runs=tmp_path / "runs")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_the_config_of_a_user_is_refused_and_stays(tmp_path):
    (tmp_path / "synthetic/.git").mkdir(parents=True)
    (tmp_path / "synthetic/.git/HEAD").write_text("ref")
    (tmp_path / "synthetic/config.yaml").write_text("# mine\n")
    with pytest.raises(InputError, match=r"synthetic holds config\.yaml, not written by a training: give the run"):
        train("synthetic", [f"data={tmp_path}", f"store={tmp_path}", "trainer.accelerator=gpu"], runs=tmp_path)
    assert (tmp_path / "synthetic/config.yaml").read_text() == "# mine\n"
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".git", "HEAD", "config.yaml", "synthetic"]
