"""A small training as a process of its own, which a test may double or kill: ``python -m tests.processes ...``.

Writes FOLDER/scores-RANK.json: the last validation's scores as each process computed them; and FOLDER/wrote-RANK where
a process wrote weights.
"""

import argparse
import json
import logging
import os
import signal
from pathlib import Path

import abaw
from abaw.configs.sections import Config
from fusion import callbacks
from fusion.module import FusionModule
from fusion.train import train
from tests.support.memory import LENGTHS, make_labels, make_source, make_tasks


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("config", help="as JSON")
    parser.add_argument("--before", type=Path, help="a config that abaw.train trains first, in runs beside it")
    parser.add_argument("--kill-at", type=int, nargs=2, help="epoch and batch in which the process kills itself")
    arguments = parser.parse_args()
    if arguments.kill_at:
        kill_at(*arguments.kill_at)
    if arguments.before:
        abaw.train(arguments.before, runs=arguments.before.parent / "runs")
    note_scores(arguments.folder)
    note_writers(arguments.folder)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("abaw").setLevel(logging.INFO)
    config, source = Config.model_validate_json(arguments.config), make_source(LENGTHS)
    train(config, make_tasks(*config.tasks), make_labels(source), source, arguments.folder)


def kill_at(epoch, batch):
    step = FusionModule.training_step

    def last(self, given, index):
        if (self.current_epoch, index) == (epoch, batch):
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, given, index)

    FusionModule.training_step = last


def note_scores(folder):
    end = FusionModule.on_validation_epoch_end

    def noted(self):
        end(self)
        (folder / f"scores-{self.global_rank}.json").write_text(json.dumps(self.scores))

    FusionModule.on_validation_epoch_end = noted


def note_writers(folder):
    save = callbacks.save_weights

    def noted(*given):
        save(*given)
        (folder / f"wrote-{given[1].global_rank}").touch()

    callbacks.save_weights = noted


if __name__ == "__main__":
    main()
