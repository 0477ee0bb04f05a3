"""Jobs as Kubernetes Jobs: one a key, found again by name after a restart, their files carried through a store that both sides reach.

What is known of a job lies in its folder here, as with the local executor: job.json (what was asked for), and when it has ended exit.json
(how) and job.log (the end of what it wrote). The cluster may forget the Job after that.

`submit` sends files and may take as long as they do. `poll` never waits for the network: threads mirror Jobs, pods and events, and what
an end makes necessary (files, log, clearing away) is done by another thread, while the job still counts as running.
"""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import Future
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.act.executors import kubernetes_status
from daemon.act.executors.kubernetes_api import Cluster
from daemon.act.executors.kubernetes_manifest import KEY, job_name, manifest
from daemon.act.executors.kubernetes_watch import Mirror
from daemon.act.executors.notes import read_note, write_note
from daemon.act.executors.port import JobSpec, JobState, JobStatus
from retrain.away import FINAL, files_of
from retrain.bundle import Index, pack, read_index, unpack
from retrain.layout import RunFolder
from retrain.store import open_store
from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from daemon.act.executors.kubernetes_status import Object
    from daemon.settings_executor import ExecutorSettings

_POD_S = 15.0
"""How long after a Job's failure its pod's own word is waited for."""
_AGAIN_S = 2.0
_LOG_BYTES = 65_536


class KubernetesExecutor:
    """`Executor` on a cluster. `data_dir`: a job's workspace has the same path in the store as in it."""

    def __init__(self, wanted: ExecutorSettings, *, data_dir: Path) -> None:
        self._wanted, self._data_dir = wanted, data_dir.resolve()
        where = wanted.store.url or str(wanted.store.mount)
        self._store = open_store(where, endpoint=wanted.store.endpoint, region=wanted.store.region)
        self._cluster = Cluster(wanted)
        self._mirrors = {kind: Mirror(self._cluster, kind) for kind in ("jobs", "pods", "events")}
        self._ends: dict[str, Future[JobStatus]] = {}
        self._failed_at: dict[str, float] = {}

    def submit(self, spec: JobSpec) -> str:
        """Start the job unless it runs or has ended; a job that was lost starts again under the same key."""
        folder = (spec.folder / spec.key).resolve()
        note = self._note(spec)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "exit.json").exists() or self._is_known(note):
            if not (folder / "job.json").exists():
                write_note(folder / "job.json", note)
            return str(folder)
        assert spec.workspace is not None
        root = spec.workspace.resolve()
        pack(self._store, note["prefix"], f"{spec.key}/inputs", root, files_of(root), most_bytes=self._wanted.store.max_bytes)
        write_note(folder / "job.json", note)
        body = manifest(spec, self._wanted, namespace=self._cluster.namespace, prefix=note["prefix"])
        made = self._cluster.create(body)
        if made is not None:
            self._mirrors["jobs"].put(made)
        return str(folder)

    def poll(self, handle: str) -> JobStatus:
        """How it stands, from what the mirrors know."""
        folder = Path(handle)
        ended = read_note(folder / "exit.json")
        if ended is not None:
            return _status(ended)
        note = read_note(folder / "job.json")
        if note is None:
            return JobStatus(state=JobState.LOST, because="it was never submitted")
        ending = self._ends.get(handle)
        if ending is not None:
            if not ending.done():
                return JobStatus(state=JobState.RUNNING)
            del self._ends[handle]
            return ending.result()
        found = self._look(note)
        if found.state is JobState.RUNNING and not self._is_overdue(note, found):
            return found
        self._ends[handle] = self._ending(folder, note, found)
        return JobStatus(state=JobState.RUNNING)

    def cancel(self, handle: str) -> None:
        """The note first: a Job that is gone then counts as cancelled. The pod gets SIGTERM and its grace from the cluster."""
        folder = Path(handle)
        note = read_note(folder / "job.json")
        if note is None or (folder / "exit.json").exists():
            return
        write_note(folder / "job.json", {**note, "cancelled": True})
        self._cluster.delete(note["name"])

    def logs(self, handle: str, *, most_bytes: int = 65_536) -> str:
        """The end of its output: kept when it has ended, else asked for."""
        folder = Path(handle)
        with contextlib.suppress(FileNotFoundError):
            return (folder / "job.log").read_bytes()[-most_bytes:].decode(errors="replace")
        note = read_note(folder / "job.json")
        pods = _of(self._cluster.listed("pods")[0], note["key"]) if note is not None else []
        return self._cluster.log(pods[-1]["metadata"]["name"], most_bytes=most_bytes) if pods else ""

    def forget(self, workspace: Path) -> None:
        """All of the run in the store: its outcomes were fetched, its checkpoints served their attempts."""
        self._store.clear(self._prefix(workspace))

    def close(self) -> None:
        """Follow the cluster no longer; jobs go on."""
        for mirror in self._mirrors.values():
            mirror.stop()
        self._cluster.close()

    def _note(self, spec: JobSpec) -> dict[str, Any]:
        if spec.workspace is None or not spec.workspace.resolve().is_relative_to(self._data_dir):
            raise Permanent(Reason.BAD_PLAN, f"job {spec.key} has no workspace in data_dir: it can only run on this machine")
        prefix = self._prefix(spec.workspace)
        facts = {"workspace": str(spec.workspace.resolve()), "prefix": prefix, "submitted_at": time.time(), "cancelled": False}
        return {"key": spec.key, "name": job_name(spec.key), **facts}

    def _prefix(self, workspace: Path) -> str:
        """Its place in the store."""
        return workspace.resolve().relative_to(self._data_dir).as_posix()

    def _is_known(self, note: dict[str, Any]) -> bool:
        """Whether the job was submitted before and is not lost. One that is lost is cleared away, which may take another call."""
        there = self._cluster.job(note["name"])
        if there is None:
            outcome = read_index(self._store, note["prefix"], f"{note['key']}/outcome")
            return outcome is not None and outcome.code in FINAL
        if there["metadata"].get("annotations", {}).get(KEY) != note["key"]:
            raise Permanent(Reason.REFUSED, f"a Job of the name {note['name']} is in the namespace and is not ours")
        if there["metadata"].get("deletionTimestamp") is None:
            pods = _of(self._cluster.listed("pods")[0], note["key"])
            found = kubernetes_status.status(there, pods, [], now=time.time(), is_final=True)
            if found is None or found.state is not JobState.LOST:
                self._mirrors["jobs"].put(there)
                return True
            self._cluster.delete(note["name"], uid=there["metadata"]["uid"])
        raise Transient(Reason.UNAVAILABLE, f"the lost Job {note['name']} is being cleared away", retry_after_s=_AGAIN_S)

    def _look(self, note: dict[str, Any]) -> JobStatus:
        """As the mirrors have it."""
        for mirror in self._mirrors.values():
            mirror.start()
        if not all(mirror.is_complete() for mirror in self._mirrors.values()):
            return JobStatus(state=JobState.RUNNING)
        job = self._mirrors["jobs"].named(note["name"])
        if job is None and note["cancelled"]:
            return JobStatus(state=JobState.DONE, stopped="cancelled")
        events = [e for e in self._mirrors["events"].all() if e.get("involvedObject", {}).get("name") == note["name"]]
        failed_at = self._failed_at.get(note["key"])
        is_final = failed_at is not None and time.monotonic() > failed_at + _POD_S
        found = kubernetes_status.status(job, _of(self._mirrors["pods"].all(), note["key"]), events, now=time.time(), is_final=is_final)
        if found is None:
            self._failed_at.setdefault(note["key"], time.monotonic())
            return JobStatus(state=JobState.RUNNING)
        return found

    def _is_overdue(self, note: dict[str, Any], found: JobStatus) -> bool:
        """Whether it should be at work by now and waits for something."""
        return found.reason is not None and time.time() > float(note["submitted_at"]) + self._wanted.start_within_s

    def _ending(self, folder: Path, note: dict[str, Any], found: JobStatus) -> Future[JobStatus]:
        """`_end` in a thread that a service which ends does not wait for: it is repeated after the restart."""
        future: Future[JobStatus] = Future()

        def work() -> None:
            try:
                future.set_result(self._end(folder, note, found))
            except Exception as e:  # noqa: BLE001 (whoever polls raises it)
                future.set_exception(e)

        threading.Thread(target=work, name="kubernetes-end", daemon=True).start()
        return future

    def _end(self, folder: Path, note: dict[str, Any], found: JobStatus) -> JobStatus:
        """Bring home what an ended job left, keep how it ended; clear away one that will never run. Repeats safely."""
        is_overdue = found.state is JobState.RUNNING
        outcome = None if is_overdue else read_index(self._store, note["prefix"], f"{note['key']}/outcome")
        ended = _with_outcome(found, outcome)
        if is_overdue:
            because = f"not at work within {self._wanted.start_within_s:.0f} s: {found.because}"
            ended = replace(found, state=JobState.DONE, because=because)
        self._bring(note, outcome, is_good=ended.state is JobState.DONE and ended.code == 0)
        pods = _of(self._mirrors["pods"].all(), note["key"])
        log = self._cluster.log(pods[-1]["metadata"]["name"], most_bytes=_LOG_BYTES) if pods else ""
        (folder / "job.log").write_text(log, encoding="utf-8")
        if is_overdue or found.state is JobState.LOST:
            self._cluster.delete(note["name"])
        self._failed_at.pop(note["key"], None)
        if ended.state is not JobState.LOST:
            write_note(folder / "exit.json", asdict(ended))
        return ended

    def _bring(self, note: dict[str, Any], outcome: Index | None, *, is_good: bool) -> None:
        """All files of a job that did its work; of another one only what it says about its failure."""
        root = Path(note["workspace"])
        told = {RunFolder(root).failure.name, RunFolder(root).progress.name}
        files = {} if outcome is None else {place: e for place, e in outcome.files.items() if is_good or place in told}
        if RunFolder(root).failure.name not in files:
            RunFolder(root).failure.unlink(missing_ok=True)  # an earlier attempt's
        unpack(self._store, note["prefix"], Index(files=files), root, most_bytes=self._wanted.store.max_bytes)


def _of(pods: list[Object], key: str) -> list[Object]:
    """A job's pods, oldest first."""
    found = [pod for pod in pods if pod["metadata"].get("annotations", {}).get(KEY) == key]
    return sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))


def _with_outcome(found: JobStatus, outcome: Index | None) -> JobStatus:
    """A job whose final outcome is in the store has ended, whatever became of its Job; one that ended well without one has not."""
    if outcome is not None and outcome.code in FINAL and found.code is None and found.stopped is None:
        return JobStatus(state=JobState.DONE, code=outcome.code, seconds=found.seconds)
    if outcome is None and found.code == 0:
        because = "it ended well and left no outcome in the store: do service and jobs have the same store?"
        return replace(found, code=1, reason=Reason.NOT_FOUND, because=because)
    return found


def _status(ended: dict[str, Any]) -> JobStatus:
    reason = Reason(ended["reason"]) if ended["reason"] is not None else None
    return JobStatus(**{**ended, "state": JobState(ended["state"]), "reason": reason})
