"""watching → kept | rolled_back: old and new version on the SAME newly labelled records, as bets that may be looked at all the time.

Batches: rows.parquet of a batch is written, a worker scores the predecessor on it, the differences are folded and the fold goes into the
ledger with the number of the next batch. Each record is folded once: what earlier batches hold is left out. Killed anywhere, the same
batch is found again.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import update

from daemon.act.executors.port import JobState
from daemon.act.step import Move, Ports, Task
from daemon.act.steps.jobs import job, job_spec
from daemon.decide.policy import Hold, Keep, Rollback, after_promotion
from daemon.decide.retry import MOST_ATTEMPTS
from daemon.decide.run import State
from daemon.store import champions, codec, incidents, runs, tables
from detectors.sequential.paired import PairedState, start_paired, step_paired
from retrain.dataset.rows import is_human, write_rows
from retrain.evaluations import read_evaluation
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlalchemy import Connection

_FIRST_BATCH_N = 32
_GROWTH_RATIO = 0.25
"""A batch has at least this share of what was folded before: the work of starting workers grows with the logarithm of the records."""
_DEADLINE_S = 3600.0


def watch(ports: Ports, task: Task) -> Move | None:
    """Fold what is new, then keep, roll back or go on."""
    run, fold = task.run, task.run.detail.get("watch", {})
    if task.champion.version != run.version:
        return _moved_elsewhere(task)
    promoted_at = float(run.detail["promoted_at"])
    fold = _score(ports, task, fold) or fold
    decision = after_promotion(
        fold.get("outcome", "undecided"),
        n=fold.get("n", 0),
        promoted_at=promoted_at,
        now=task.now,
        watch_s=task.settings.watch_h * 3600.0,
        paused=task.paused,
    )
    if isinstance(decision, Hold):
        return None
    because = "; ".join(said for said in (decision.because, fold.get("because", "")) if said)
    if isinstance(decision, Keep):
        return Move(state=State.KEPT, because=because, tell=True)
    return rolled_back(task, decision, because)


def rolled_back(task: Task, decision: Rollback, because: str) -> Move:
    """The predecessor is champion again: bar, compare-and-set, epoch, outbox row and incident in the run's own transaction."""
    run = task.run
    assert run.version is not None
    barred_version = run.version

    def back(tx: Connection) -> None:
        champions.bar(tx, run.model, barred_version, now=task.now, because=decision.because)
        champions.move_champion(
            tx,
            run.model,
            run.champion_version,
            expected_revision=task.champion.revision,
            now=task.now,
            because=because[:500],
            how=champions.Move.ROLLED_BACK,
        )
        reopen_incident(tx, task.run, now=task.now, because=decision.because)

    return Move(state=State.ROLLED_BACK, because=because, within=back, tell=True)


def reopen_incident(tx: Connection, run: runs.Run, *, now: float, because: str) -> None:
    """The incident that the run was for goes on, in the epoch that now runs."""
    incident = run.trigger.get("incident")
    held = champions.champion(tx, run.model)
    if incident is None or held is None or incidents.incident(tx, incident) is None:
        return
    incidents.reopen(tx, incident, now=now, because=f"run {run.id} was rolled back: {because}")
    table = tables.incident
    tx.execute(update(table).where(table.c.id == incident, table.c.closed_at.is_(None)).values(epoch=held.epoch))


def _moved_elsewhere(task: Task) -> Move:
    """Somebody moved the champion during the watch."""
    run = task.run
    if task.champion.version != run.champion_version:
        return Move(state=State.KEPT, because=f"replaced by version {task.champion.version} during its watch: kept, unproven", tell=True)
    barred_version = run.version or ""

    def after_the_fact(tx: Connection) -> None:
        champions.bar(tx, run.model, barred_version, now=task.now, because="rolled back by a person")
        reopen_incident(tx, run, now=task.now, because="by a person")

    because = f"version {run.champion_version} was made champion again"
    return Move(state=State.ROLLED_BACK, because=because, within=after_the_fact, tell=True)


def _score(ports: Ports, task: Task, fold: dict[str, Any]) -> dict[str, Any] | None:
    """One batch further, when there is one; the new fold, or None."""
    run, number = task.run, int(fold.get("batch", 0))
    if task.paused or fold.get("broken") or fold.get("outcome", "undecided") != "undecided":
        return None
    folder = ports.folder(run)
    rows = folder.root / "watch" / f"{number:04d}.rows.parquet"
    if not rows.exists() and not _next_batch(ports, task, rows, folded=int(fold.get("n", 0))):
        return None
    if task.now < run.detail.get("retry_at", 0.0):
        return None
    scored = rows.with_name(f"{number:04d}.{run.attempt}.scored.parquet")
    plan = ports.plan(run)
    if plan.champion_adapter is None:
        raise Permanent(Reason.NOT_FOUND, "the plan names no adapter of the predecessor")
    where = ("--rows", str(rows.resolve()), "--out", str(scored.resolve()))
    what = (
        "--base",
        plan.training.base_model,
        "--adapter",
        str((folder.root / plan.champion_adapter).resolve()),
        "--labels",
        ",".join(plan.training.labels),
    )
    how = ("--max-tokens", str(plan.training.max_tokens), *(("--threads", str(plan.training.threads)) if plan.training.threads else ()))
    command = ("-m", "retrain", "score", *what, *where, *how)
    status = job(ports, task, job_spec(run.id, f"watch-{number:04d}-{run.attempt}", command, folder, deadline_s=_DEADLINE_S))
    if status is None or status.state is JobState.RUNNING:
        return None
    if status.state is JobState.DONE and status.code == 0 and scored.exists():
        return _fold(ports, task, fold, differences(rows, scored), number)
    return _again(ports, task, fold, f"scoring ended with {status.state.value} {status.code}")


def differences(rows: Path, scored: Path) -> NDArray[np.float64]:
    """Loss of the new version - that of the old one, on the same rows; `Permanent(BAD_DATA)` when they are not the same."""
    asked, answered = pq.read_table(rows), read_evaluation(scored)
    if asked["id"].to_pylist() != answered.row.tolist():
        raise Permanent(Reason.BAD_DATA, f"{scored.name} does not answer the rows of {rows.name}")
    new = np.asarray(asked["predicted"].to_pylist(), dtype=object) != np.asarray(asked["label"].to_pylist(), dtype=object)
    return np.asarray(new, dtype=np.float64) - answered.loss


def _next_batch(ports: Ports, task: Task, path: Path, *, folded: int) -> bool:
    """Write the next batch when enough new labels are there, or when the watch is about to end."""
    run, promoted_at = task.run, float(task.run.detail["promoted_at"])
    with ports.ledger.read() as tx:
        table = ports.rows.labelled(tx, run.model, since=promoted_at, version=run.version)
    seen = {row for old in path.parent.glob("*.rows.parquet") for row in pq.read_table(old, columns=["id"])["id"].to_pylist()}
    usable = [
        row not in seen and is_human(source) and bool(text) and predicted is not None and at >= promoted_at
        for row, source, text, predicted, at in zip(
            *(table[name].to_pylist() for name in ("id", "source", "text", "predicted", "at")), strict=True
        )
    ]
    fresh = table.filter(pa.array(usable, pa.bool_())) if table.num_rows else table
    is_last = task.now - promoted_at >= task.settings.watch_h * 3600.0
    if fresh.num_rows == 0 or (fresh.num_rows < max(_FIRST_BATCH_N, _GROWTH_RATIO * folded) and not is_last):
        return False
    write_rows(path, fresh.take(pc.sort_indices(fresh, sort_keys=[("at", "ascending"), ("id", "ascending")])))
    return True


def _fold(ports: Ports, task: Task, fold: dict[str, Any], d: NDArray[np.float64], number: int) -> dict[str, Any]:
    """Bets over the batch; kept with the number of the next one, so that no record is ever folded twice."""
    state = codec.decode(base64.b64decode(fold["state"]), PairedState) if "state" in fold else start_paired()
    state, verdict = step_paired(state, d, alpha=task.settings.watch_alpha, margin=task.settings.watch_margin)
    new = {
        "batch": number + 1,
        "state": base64.b64encode(codec.encode(state)).decode(),
        "outcome": verdict.outcome.value,
        "n": verdict.n,
        "mean": verdict.mean,
        "low": verdict.low,
        "high": verdict.high,
        "log10_e_worse": verdict.log10_e_worse,
        "log10_e_not_worse": verdict.log10_e_not_worse,
        "because": verdict.because,
    }
    with ports.ledger.begin() as tx:
        runs.keep(tx, task.run.id, expected=task.run.state, detail={"watch": new, "retry_at": 0.0}, attempt=0)
    return new


def _again(ports: Ports, task: Task, fold: dict[str, Any], why: str) -> dict[str, Any] | None:
    """Another attempt later; after the last one the watch goes on blind and ends as kept, unproven, at its deadline."""
    ports.failures[Reason.CRASHED] += 1
    attempt = task.run.attempt + 1
    new = {**fold, "broken": why, "because": f"the predecessor could not be scored: {why}"} if attempt >= MOST_ATTEMPTS else None
    detail = {"retry_at": task.now + 5.0 * 2.0**attempt, **({"watch": new} if new else {})}
    with ports.ledger.begin() as tx:
        runs.keep(tx, task.run.id, expected=task.run.state, detail=detail, attempt=attempt)
    return new
