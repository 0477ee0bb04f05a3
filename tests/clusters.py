"""A Kubernetes executor over the fake cluster, for tests."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.act.executors.kubernetes import KubernetesExecutor
from daemon.act.executors.port import Executor, JobSpec, JobState, JobStatus
from daemon.settings_executor import ExecutorSettings
from tests.fake_kubernetes import FakeKubernetes, cluster

RUN = "20260101T000000-ab12"


@dataclass
class Bench:
    """`folder`/data is the service's data_dir, `folder`/shared the claim."""

    folder: Path
    fake: FakeKubernetes
    url: str
    made: list[KubernetesExecutor] = field(default_factory=list)

    def settings(self, **other: Any) -> ExecutorSettings:
        (self.folder / "token").write_text(self.fake.token)
        wanted = {
            "kind": "kubernetes",
            "image": "retuned-training:test",
            "namespace": "ml",
            "store": {"claim": "shared", "mount": str(self.folder / "shared")},
            "api_url": self.url,
            "token_file": str(self.folder / "token"),
        }
        return ExecutorSettings.model_validate({**wanted, **other})

    def executor(self, **other: Any) -> KubernetesExecutor:
        """A new one, as after a restart of the service."""
        self.made.append(KubernetesExecutor(self.settings(**other), data_dir=self.folder / "data"))
        return self.made[-1]

    def job(self, handle: str) -> str:
        """The Job's name."""
        return str(json.loads((Path(handle) / "job.json").read_text())["name"])

    def kill(self, handle: str) -> None:
        """SIGKILL to all that runs in the Job's pod."""
        kubelet = self.fake.kubelet
        os.killpg(kubelet.processes[kubelet.pod_of(self.job(handle))].pid, signal.SIGKILL)


@contextmanager
def bench_of(folder: Path, *, identity: Path | None = None) -> Iterator[Bench]:
    with cluster(folder / "cluster", identity=identity) as (fake, url):
        bench = Bench(folder, fake, url)
        (folder / "shared").mkdir()
        yield bench
        for executor in bench.made:
            executor.close()


def spec(folder: Path, code: str, key: str = f"{RUN}.training-0", **settings: float) -> JobSpec:
    """A job of a run of `folder`/data, as the runs' steps make it."""
    root = folder / "data" / "runs" / "m" / RUN
    root.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-I", "-S", "-c", code)
    return JobSpec(key=key, command=command, folder=root / "jobs", workspace=root, **settings)  # type: ignore[arg-type]  # figures by name


def until(found: Callable[[], bool], *, seconds: float = 60.0, every_s: float = 0.02) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(every_s)  # between two looks at the condition


def ended(executor: Executor, handle: str) -> JobStatus:
    until(lambda: executor.poll(handle).state is not JobState.RUNNING)
    return executor.poll(handle)
