"""gated → registered → (a person) → promoted → watching: judged, registered with its lineage, made champion in one transaction."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from daemon.act.step import Move, Ports, Task, registry
from daemon.decide.lost import Lost, lost
from daemon.decide.run import State, judged, may_promote
from daemon.settings import Autonomy
from daemon.store import champions, epochs
from daemon.store.reference import files_of, load_reference
from retrain.evaluations import read_evaluation
from retrain.gates.record import Judged, is_sound, judge
from retrain.types import Permanent, Reason
from retrain.whole import copy_whole

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from retrain.layout import RunFolder
    from retrain.plan import Plan

log = structlog.get_logger()


def gate(ports: Ports, task: Task) -> Move:
    """Judge champion and candidate; the record goes into the ledger with the state that it leads to."""
    plan, folder = ports.plan(task.run), ports.folder(task.run)
    record = _record(plan, folder)
    following = judged(record)
    told = " ".join(f"{g['name']} {g['subject']}: {g['because']}" for g in record["gates"] if g["outcome"] != "ok")
    if following is State.REGISTERED and task.settings.autonomy in {Autonomy.SUGGEST, Autonomy.TRAIN}:
        because = "every gate passed; autonomy asks a person before registering"
        return Move(state=State.AWAITING_APPROVAL, because=because, record=record, tell=True)
    because = {
        State.REGISTERED: "every gate passed",
        State.AWAITING_APPROVAL: f"inconclusive, a person decides: {told}",
    }.get(following, f"rejected: {told}")
    return Move(state=following, because=because[:2000], record=record, tell=following is not State.REGISTERED)


def register(ports: Ports, task: Task) -> Move:
    """The adapter into the registry once, with its lineage, as challenger; then promoted or put before a person."""
    run, plan, folder = task.run, ports.plan(task.run), ports.folder(task.run)
    tags = _tags(task, plan, folder)
    with registry(task):
        ref = ports.versions.stage(run.model, folder.adapter, key=run.id, tags=tags)
        ports.versions.put_alias(run.model, "challenger", ref.version)
    if task.settings.autonomy is Autonomy.PROMOTE or run.approved_by:
        return _promotion(ports, task, ref.version)
    unwatched = _unwatched(ports, task).in_words()
    because = f"version {ref.version} is registered and passed every gate; autonomy asks a person before promoting"
    because += f". From its promotion on: {unwatched}" if unwatched else ""
    return Move(state=State.AWAITING_APPROVAL, because=because, version=ref.version, tell=True)


def approved(ports: Ports, task: Task) -> Move | None:
    """Goes on when a named person said so (`daemon.act.operate.approve`)."""
    run = task.run
    if not run.approved_by:
        return None
    if run.version is None:
        return Move(state=State.REGISTERED, because=f"approved by {run.approved_by}")
    return _promotion(ports, task, run.version)


def start_watch(_ports: Ports, task: Task) -> Move:
    """From here on the predecessor is scored on the same records."""
    because = f"version {task.run.version} is champion; {task.run.champion_version} is scored on the same newly labelled records"
    return Move(state=State.WATCHING, because=because)


def _promotion(ports: Ports, task: Task, version: str) -> Move:
    """The ledger's compare-and-set, the epoch and the outbox row, in the transaction that enters `promoted`."""
    run = task.run
    if not is_sound(run.record) or not may_promote(run.record, run.approved_by):
        raise Permanent(Reason.REFUSED, "the gate record does not allow a promotion")
    path, digest = _reference(ports, task)
    because = f"run {run.id}: {run.trigger['because']}"[:500]
    by = f"approved by {run.approved_by}" if run.approved_by else "every gate passed"

    def move(tx: Connection) -> None:
        champions.move_champion(
            tx,
            run.model,
            version,
            expected_revision=task.champion.revision,
            now=task.now,
            because=because,
            reference_path=path,
            reference_digest=digest,
        )

    gone = _unwatched(ports, task)
    said = f"version {version} replaces {run.champion_version}: {by}" + (f"; {gone.in_words()}" if gone.names() else "")
    detail = {"promoted_at": task.now, "lost": gone.names()}
    return Move(state=State.PROMOTED, because=said, version=version, detail=detail, within=move, tell=True)


def _record(plan: Plan, folder: RunFolder) -> dict[str, Any]:
    try:
        reload = json.loads(folder.reload.read_bytes())
        difference, n = reload.get("max_abs_score_difference"), int(reload.get("n", 0))
        data_digest = hashlib.sha256(folder.manifest.read_bytes()).hexdigest()[:16]
    except (OSError, ValueError, TypeError, AttributeError) as e:
        raise Permanent(Reason.BAD_DATA, f"evaluation of {plan.run_id}: {e}") from e
    parts = {
        part: (read_evaluation(folder.evaluation(part, "champion")), read_evaluation(folder.evaluation(part, "candidate")))
        for part in ("gate", *(("old_domain",) if plan.data.old_domain else ()))
    }
    return judge(
        Judged(gate=parts["gate"], old_domain=parts.get("old_domain"), reload_difference=difference, reload_n=n),
        plan.gate,
        planned_n=plan.data.gate_n,
        plan_digest=plan.digest,
        data_digest=data_digest,
    )


def _tags(task: Task, plan: Plan, folder: RunFolder) -> dict[str, str]:
    """The version's lineage."""
    record = task.run.record or {}
    return {
        "plan_digest": plan.digest,
        "data_digest": str(record.get("data_digest", "")),
        "base_model": plan.training.base_model,
        "base_digest": plan.training.base_digest,
        "labels": json.dumps(list(plan.training.labels)),
        "max_tokens": str(plan.training.max_tokens),
        "gate_record": json.dumps({"digest": record.get("digest"), "passed": record.get("passed"), "outcomes": _outcomes(record)}),
        "trigger": json.dumps(task.run.trigger, sort_keys=True)[:4000],
        "run": task.run.id,
        "replaces": task.run.champion_version,
        "approved_by": task.run.approved_by or "",
        "candidate": folder.candidate_file.read_text()[:4000],
    }


def _outcomes(record: dict[str, Any]) -> dict[str, str]:
    return {f"{g['name']}:{g['subject']}": g["outcome"] for g in record.get("gates", [])}


def _unwatched(ports: Ports, task: Task) -> Lost:
    """What the present reference lets be watched and the candidate's held-out rows do not; nothing is said where one cannot be read."""
    after = ports.folder(task.run).reference
    with ports.ledger.read() as tx:
        epoch = epochs.epoch(tx, task.run.model, task.champion.epoch)
    if epoch is None or epoch.reference_path is None or not after.exists():
        return Lost()
    before, _ = files_of(task.model, Path(ports.data_dir, epoch.reference_path))
    try:
        return lost(task.model, *(load_reference(task.model, path, None) for path in (before, after)))
    except Permanent as e:  # the epoch says so itself; a version that passed its gates does not wait for that
        log.warning("run.reference_unread", model=task.run.model, run=task.run.id, because=e.detail)
        return Lost()


def _reference(ports: Ports, task: Task) -> tuple[str | None, str | None]:
    """Copy what the candidate answered on held-out rows to where the next epoch reads it; (None, None) = it learns one."""
    source = ports.folder(task.run)
    if not source.reference.exists():
        return None, None
    folder = ports.data_dir / "references" / task.run.model / task.run.id
    sha = hashlib.sha256()
    for path, name in ((source.reference, "records.parquet"), (source.bound, "bound.parquet")):
        if path.exists():
            copy_whole(path, folder / name)
            sha.update(path.read_bytes())
    return str(folder.relative_to(ports.data_dir)), sha.hexdigest()[:16]
