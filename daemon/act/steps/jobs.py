"""dataset, training, evaluating: one process each, found again after a crash, tried again when that can help."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daemon.act.executors.port import JobSpec, JobState, JobStatus
from daemon.act.step import Move, Ports, Task
from daemon.decide.retry import again
from daemon.decide.run import State, end_of
from daemon.store import runs
from daemon.store.ledger import note
from retrain.types import EXIT_PERMANENT, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from retrain.layout import RunFolder

_KILLED = ": somebody did that, or the kernel because memory was short (its log says so)"
_LOG_BYTES = 2_000


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one state runs."""

    command: str
    following: State

    def done(self, folder: RunFolder) -> Path:
        """The file that the stage writes last."""
        return {"dataset": folder.manifest, "train": folder.candidate_file, "evaluate": folder.reload}[self.command]


STAGES = {
    State.DATASET: Stage(command="dataset", following=State.TRAINING),
    State.TRAINING: Stage(command="train", following=State.EVALUATING),
    State.EVALUATING: Stage(command="evaluate", following=State.GATED),
}


def stage(ports: Ports, task: Task) -> Move | None:
    """Start the state's job or look at it; the next state when its last file is there."""
    run, state = task.run, State(task.run.state)
    plan = ports.plan(run)
    if task.now < run.detail.get("retry_at", 0.0):
        return None
    what, folder = STAGES[state], ports.folder(run)
    command = ("-m", "retrain", what.command, str(ports.plan_path(run).resolve()), "--dir", str(folder.root.resolve()))
    spec = job_spec(run.id, f"{state.value}-{run.attempt}", command, folder, deadline_s=plan.training.deadline_s)
    status = job(ports, task, spec)
    if status is None or status.state is JobState.RUNNING:
        return None
    spent = {"train_s": run.detail.get("train_s", 0.0) + status.seconds, "retry_at": 0.0, "failures": {}}
    if status.state is JobState.DONE and status.code == 0 and what.done(folder).exists():
        return Move(state=what.following, because=f"{state.value} took {status.seconds:.0f} s", detail=spent)
    return _failed(ports, task, spec, status, spent)


def _failed(ports: Ports, task: Task, spec: JobSpec, status: JobStatus, spent: dict[str, Any]) -> Move | None:
    """The end of the run, told; or another attempt later, which the run says of itself meanwhile."""
    run, state = task.run, State(task.run.state)
    reason, detail, is_permanent = _failure(ports, task, spec, status)
    ports.failures[reason] += 1
    failures = {**run.detail.get("failures", {})}
    failures[reason.value] = failures.get(reason.value, 0) + 1
    wait_s = None if is_permanent else again(reason, failures[reason.value])
    attempts = f", attempt {run.attempt + 1}" if run.attempt or wait_s is not None else ""
    because = f"{state.value}{attempts}: {reason}: {detail}"[:1000]
    if wait_s is None:
        return Move(state=end_of(state, reason), because=because, detail=spent, tell=True)
    retry = {**spent, "failures": failures, "retry_at": task.now + wait_s, "last_failure": f"{reason}: {detail}"[:1000]}
    because = f"{because}; tried again after {wait_s:.0f} s"
    with ports.ledger.begin() as tx:
        runs.keep(tx, run.id, expected=run.state, detail=retry, attempt=run.attempt + 1, because=because)
        note(tx, task.now, run.model, "run.again", run=run.id, state=run.state, reason=reason.value, because=because)
    return None


def job_spec(run_id: str, name: str, command: tuple[str, ...], folder: RunFolder, *, deadline_s: float) -> JobSpec:
    """A job of a run: its key is the run, the state and the attempt."""
    env = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "TOKENIZERS_PARALLELISM": "false"}
    return JobSpec(
        key=f"{run_id}.{name}",
        command=(sys.executable, "-P", *command),
        folder=folder.root / "jobs",
        workspace=folder.root,
        env=env,
        deadline_s=deadline_s,
    )


def job(ports: Ports, task: Task, spec: JobSpec) -> JobStatus | None:
    """Submit once and look; None right after the start.

    Killed between the start and the note about it: the next call submits again, and the executor finds the job by its key.
    """
    known = task.run.detail.get("job")
    if known is not None and known["key"] == spec.key:
        status = ports.executor.poll(known["handle"])
        waits = status.because if status.state is JobState.RUNNING else ""
        if waits != known.get("waits", ""):
            _keep(ports, task, {**known, "waits": waits})
        return status
    handle = ports.executor.submit(spec)
    _keep(ports, task, {"key": spec.key, "handle": handle})
    return None


def _keep(ports: Ports, task: Task, job: dict[str, str]) -> None:
    with ports.ledger.begin() as tx:
        runs.keep(tx, task.run.id, expected=task.run.state, detail={"job": job})


def _failure(ports: Ports, task: Task, spec: JobSpec, status: JobStatus) -> tuple[Reason, str, bool]:
    """(reason, detail, whether another attempt is in vain)."""
    if status.stopped == "deadline":
        return Reason.TIMEOUT, f"ended at its deadline of {spec.deadline_s:.0f} s", True
    if status.stopped == "cancelled":
        return Reason.INTERRUPTED, "cancelled", True
    if status.state is JobState.LOST or status.reason is not None:
        because = status.because or "the process is gone and left no word"
        return status.reason or Reason.INTERRUPTED, because, status.reason is Reason.REFUSED
    told = _told(ports.folder(task.run).failure)
    if status.code is not None and status.code < 0:
        return Reason.CRASHED, f"ended by signal {-status.code}{_KILLED if status.code == -signal.SIGKILL else ''}", False
    if told is not None:
        return *told, status.code == EXIT_PERMANENT
    end = ports.executor.logs(task.run.detail["job"]["handle"], most_bytes=_LOG_BYTES).strip()
    return Reason.CRASHED, f"exit code {status.code}: {end[-500:]}", False


def _told(path: Path) -> tuple[Reason, str] | None:
    """What the process itself wrote about its failure."""
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
        return Reason(data["reason"]), str(data.get("detail", ""))[:500]
    except (OSError, ValueError, KeyError, TypeError):
        return None
