"""The scheduler of a cluster: tasks of lost workers are repeated, and it gives up after many losses. No Ray needed."""

import os
import sys
import types
from collections import deque

import pytest

from extract.engine.ray import _connect, _import_ray, _Scheduler
from extract.engine.run import ExtractionReport


class WorkerLost(Exception):
    pass


class Cluster:
    """Stands in for the module ray: a call's result is computed when it is waited for, in the order of the calls."""

    exceptions = types.SimpleNamespace(RayActorError=WorkerLost, NodeDiedError=WorkerLost, OutOfMemoryError=WorkerLost)

    def __init__(self, losses=()):
        self.losses, self.num_workers, self.extracted = list(losses), 0, []

    def start_worker(self):
        self.num_workers += 1
        return types.SimpleNamespace(extract=types.SimpleNamespace(remote=lambda clip_ids: Call(clip_ids)))

    def wait(self, calls, num_returns, timeout):
        return calls[:1], calls[1:]

    def get(self, call):
        if call.clip_ids and call.clip_ids[0] in self.losses:
            self.losses.remove(call.clip_ids[0])
            raise WorkerLost("node died")
        self.extracted += call.clip_ids
        return ExtractionReport(made=list(call.clip_ids))


class Call:
    def __init__(self, clip_ids):
        self.clip_ids = clip_ids


def run(cluster, num_workers, *tasks):
    progress = []
    scheduler = _Scheduler(cluster, cluster.start_worker, deque(map(list, tasks)))
    report = scheduler.run(num_workers, lambda clip_id, done, total: progress.append((clip_id, done, total)))
    return report, progress


def test_every_clip_is_extracted_once_and_progress_counts_them():
    cluster = Cluster()
    report, progress = run(cluster, 2, "ab", "cd", "e")
    assert sorted(report.made) == list("abcde")
    assert progress == [("b", 2, 5), ("d", 4, 5), ("e", 5, 5)]
    assert cluster.num_workers == 2


def test_the_task_of_a_lost_worker_is_repeated_by_a_new_one():
    cluster = Cluster(losses=["c"])
    report, _ = run(cluster, 2, "ab", "cd", "e")
    assert sorted(report.made) == list("abcde")
    assert cluster.num_workers == 3


def test_many_lost_workers_are_an_error():
    cluster = Cluster(losses=["a"] * 2)
    assert run(cluster, 1, "a")[0].made == ["a"]
    with pytest.raises(ValueError, match="3 Ray workers were lost, the last one with: node died"):
        run(Cluster(losses=["a"] * 3), 1, "a")


def test_no_clips_need_no_worker_to_finish():
    assert run(Cluster(), 0)[0].made == []


class Ray:
    """Stands in for the module ray: records how it is started."""

    def init(self, **settings):
        self.settings = settings


def test_without_an_address_no_cluster_is_joined_and_ray_listens_to_this_machine_alone(monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ})
    os.environ.pop("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", None)
    cluster = Ray()
    monkeypatch.setitem(sys.modules, "ray", cluster)
    _connect(_import_ray(None), None)
    assert cluster.settings["address"] == "local"
    assert cluster.settings["_node_ip_address"] == "127.0.0.1"
    assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"


def test_an_address_that_is_given_is_joined(monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ})
    os.environ.pop("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", None)
    cluster = Ray()
    monkeypatch.setitem(sys.modules, "ray", cluster)
    _connect(_import_ray("192.0.2.7:6379"), "192.0.2.7:6379")
    assert cluster.settings["address"] == "192.0.2.7:6379"
    assert "_node_ip_address" not in cluster.settings
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in os.environ
