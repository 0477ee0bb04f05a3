"""Job controller, scheduler and kubelet of the fake cluster: one thread a Job, one real process a pod.

A pod's command runs on this machine with nothing but the image's and the manifest's environment; the paths of its scratch volumes are
replaced by folders of its own, so that it sees no file of the service but those of a shared claim. Memory limits are kept for real: a
process tree that is larger gets SIGKILL and the pod says OOMKilled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from tests.fake_kubernetes import FakeKubernetes

_LOOK_S = 0.02
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Disruption:
    """What happens to a pod from outside."""

    reason: str
    message: str = ""
    is_node_gone: bool = False
    """The process goes on, cut off from the cluster."""


class Kubelet:
    def __init__(self, fake: FakeKubernetes) -> None:
        self.fake = fake
        self.quota: str | None = None
        """No pod is made; the message is an event on the Job."""
        self.waiting: tuple[str, str] | None = None
        """(reason, message): Unschedulable, or what a container waits for."""
        self.disruptions: dict[str, Disruption] = {}
        """Pod -> what will happen to it."""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._threads: list[threading.Thread] = []

    def start(self, job: str) -> None:
        thread = threading.Thread(target=self._job, args=(job,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=10)
        for thread in self._threads:
            thread.join(timeout=10)

    def pod_of(self, job: str) -> str:
        """The newest pod of a Job that ran."""
        return [name for name in self.processes if name.rpartition("-")[0] == job][-1]

    def log(self, pod: str, lines: int) -> bytes:
        path = self.fake.folder / pod / "log"
        return b"".join(path.read_bytes().splitlines(keepends=True)[-lines:]) if path.exists() else b""

    # the life of a Job

    def _job(self, name: str) -> None:
        job = self.fake.objects["jobs", name]
        while self._exists(name) and (refusal := self.quota or _insecure(job["spec"]["template"]["spec"])) is not None:
            self._refuse(name, refusal)
            time.sleep(0.2)  # the controller's own back-off
        if not self._exists(name):
            return
        pod = self._make_pod(job)
        while self.waiting is not None and self._exists(name):
            self._wait(pod, *self.waiting)
            time.sleep(_LOOK_S)
        if self._exists(name):
            self._run(job, pod)
        self._forget(name, pod)

    def _refuse(self, job: str, message: str) -> None:
        event = {
            "metadata": {"name": f"{job}.refused", "creationTimestamp": now()},
            "involvedObject": {"kind": "Job", "name": job},
            "reason": "FailedCreate",
            "lastTimestamp": now(),
            "message": f'Error creating: pods "{job}-x" is forbidden: {message}',
        }
        self.fake.put("events", event)

    def _make_pod(self, job: dict[str, Any]) -> dict[str, Any]:
        template = job["spec"]["template"]
        labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": job["metadata"]["name"]}
        pod = {
            "metadata": {
                **template["metadata"],
                "labels": labels,
                "name": f"{job['metadata']['name']}-{len(self.processes)}",
                "creationTimestamp": now(),
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }
        self.fake.put("pods", pod, "ADDED")
        return pod

    def _wait(self, pod: dict[str, Any], reason: str, message: str) -> None:
        if reason == "Unschedulable":
            status = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}]}
        else:
            status = {"containerStatuses": [{"name": "job", "state": {"waiting": {"reason": reason, "message": message}}}]}
        if pod["status"] != {"phase": "Pending", **status}:
            self._tell(pod, {"phase": "Pending", **status})

    def _run(self, job: dict[str, Any], pod: dict[str, Any]) -> None:
        name, started = pod["metadata"]["name"], now()
        process = self._process(pod)
        self.processes[name] = process
        self._tell(pod, {"phase": "Running", "containerStatuses": [{"name": "job", "state": {"running": {"startedAt": started}}}]})
        reason, target = self._until_ended(job, pod, process)
        if name in self.disruptions and self.disruptions[name].is_node_gone:
            return  # `_disrupt` has said all that the cluster knows
        code = process.wait()
        code = 128 - code if code < 0 else code
        cause = reason if reason == "OOMKilled" else ("Completed" if code == 0 else "Error")
        ended = {"exitCode": code, "reason": cause, "startedAt": started, "finishedAt": now()}
        phase = "Succeeded" if code == 0 else "Failed"
        self._tell(pod, {**pod["status"], "phase": phase, "containerStatuses": [{"name": "job", "state": {"terminated": ended}}]})
        if target is not None:
            self._conclude(job, "Failed", *target)
        elif code == 0:
            self._conclude(job, "Complete", "CompletionsReached", "Reached expected number of succeeded pods")
        else:
            self._conclude(job, "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")

    def _until_ended(
        self, job: dict[str, Any], pod: dict[str, Any], process: subprocess.Popen[bytes]
    ) -> tuple[str | None, tuple[str, str] | None]:
        """(why the container ended, why the Job fails)."""
        name, spec = pod["metadata"]["name"], pod["spec"]
        deadline = time.monotonic() + job["spec"]["activeDeadlineSeconds"]
        limit = _bytes(spec["containers"][0]["resources"]["limits"]["memory"])
        while process.poll() is None:
            if not self._exists(job["metadata"]["name"]):
                self._terminate(process, spec)
                return None, None
            if time.monotonic() > deadline:
                because = "DeadlineExceeded", "Job was active longer than specified deadline"
                self._condition(job, "FailureTarget", *because)
                self._terminate(process, spec)
                return None, because
            if name in self.disruptions:
                return None, self._disrupt(job, pod, process, self.disruptions[name])
            if _resident(process.pid) > limit:
                os.killpg(process.pid, signal.SIGKILL)
                return "OOMKilled", None
            time.sleep(_LOOK_S)
        return None, None

    def _disrupt(self, job: dict[str, Any], pod: dict[str, Any], process: subprocess.Popen[bytes], what: Disruption) -> tuple[str, str]:
        name = f"{pod['metadata']['name']}"
        condition = {"type": "DisruptionTarget", "status": "True", "reason": what.reason, "message": what.message}
        because = "PodFailurePolicy", f"Pod ml/{name} has condition DisruptionTarget matching FailJob rule at index 0"
        told = {**pod["status"], "conditions": [condition]}
        if what.is_node_gone:
            self._tell(pod, {**told, "phase": "Failed"})
            self._conclude(job, "Failed", *because)
        else:
            self._tell(pod, told)
            self._terminate(process, pod["spec"])
        return because

    def _terminate(self, process: subprocess.Popen[bytes], spec: dict[str, Any]) -> None:
        """SIGTERM to the first process, SIGKILL to all after the grace."""
        process.terminate()
        try:
            process.wait(timeout=spec["terminationGracePeriodSeconds"])
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)

    def _process(self, pod: dict[str, Any]) -> subprocess.Popen[bytes]:
        folder = self.fake.folder / pod["metadata"]["name"]
        folder.mkdir()
        container, spec = pod["spec"]["containers"][0], pod["spec"]
        scratch = {v["name"] for v in spec["volumes"] if "emptyDir" in v}
        paths = [m["mountPath"] for m in container["volumeMounts"] if m["name"] in scratch and m["mountPath"] != "/tmp"]
        own = {path: tempfile.mkdtemp(dir=folder) for path in paths}
        env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "HOSTNAME": "pod"}
        for source in container.get("envFrom", []):
            env |= self.fake.secrets[source["secretRef"]["name"]]
        env |= {item["name"]: item["value"] for item in container["env"]}
        command = [_with(own, word.replace("$$(", "$(")) for word in container["command"]]
        with (folder / "log").open("wb") as log:
            return subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)

    # what the cluster says

    def _exists(self, job: str) -> bool:
        return ("jobs", job) in self.fake.objects and not self.fake.is_closed

    def _condition(self, job: dict[str, Any], kind: str, reason: str, message: str) -> None:
        if self._exists(job["metadata"]["name"]):
            told = {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now()}
            with self.fake.lock:
                job["status"] = {**job["status"], "conditions": [*job["status"].get("conditions", []), told]}
                self.fake.put("jobs", job)

    def _tell(self, pod: dict[str, Any], status: dict[str, Any]) -> None:
        with self.fake.lock:
            pod["status"] = status
            self.fake.put("pods", pod)

    def _conclude(self, job: dict[str, Any], kind: str, reason: str, message: str) -> None:
        self._condition(job, "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget", reason, message)
        self._condition(job, kind, reason, message)

    def _forget(self, job: str, pod: dict[str, Any]) -> None:
        """A deleted Job's pods go; an ended Job's stay until somebody deletes it."""
        while self._exists(job):
            time.sleep(_LOOK_S)
        self.fake.put("pods", pod, "DELETED")


def _with(own: dict[str, str], word: str) -> str:
    for path, there in own.items():
        word = word.replace(path, there)
    return word


def _bytes(amount: str) -> int:
    return int(float(amount[:-2]) * _UNITS[amount[-2:]])


def _resident(pid: int) -> int:
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return sum(p.memory_info().rss for p in [root, *root.children(recursive=True)])
    return 0


def _insecure(spec: dict[str, Any]) -> str | None:
    """Admission by the restricted Pod Security Standard."""
    container, pod = spec["containers"][0]["securityContext"], spec["securityContext"]
    kept = {
        "runAsNonRoot": pod.get("runAsNonRoot") is True,
        "seccompProfile": pod.get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "allowPrivilegeEscalation": container.get("allowPrivilegeEscalation") is False,
        "capabilities": container.get("capabilities", {}).get("drop") == ["ALL"],
    }
    missing = [name for name, is_kept in kept.items() if not is_kept]
    return f'violates PodSecurity "restricted:latest": {", ".join(missing)}' if missing else None
