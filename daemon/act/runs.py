"""The durable state machine of retraining runs: `plan` starts one, `advance` takes it one step further.

Each state is entered in one ledger transaction by compare-and-set; what a state does outside is repeated safely. `kill -9` at any moment
loses nothing and does nothing twice: the next `advance` finds the run where the ledger says it is.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from daemon.act.step import Move, Ports, Task
from daemon.act.steps import jobs, promote, watch
from daemon.act.steps.collect import Collecting
from daemon.decide.incident import incident_id
from daemon.decide.run import State, check, end_of, is_ended
from daemon.store import champions, controls, counters, incidents, outbox, rows, runs
from daemon.store.damage import BROKEN
from daemon.store.ledger import note
from daemon.store.objects import Damaged
from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pyarrow as pa
    from sqlalchemy import Connection

    from daemon.decide.policy import Retrain
    from daemon.settings import ModelSettings
    from daemon.store.runs import Run

log = structlog.get_logger()

_RETRY_S = 5.0
_RETRY_MOST_S = 300.0
_SETTLED_S = 3600.0
"""So long after a run's end none of its jobs is at work any more, also where one had to be ended."""
_BEFORE_PROMOTION = frozenset(State) - {State.PROMOTED, State.WATCHING}
_UNTOUCHED_BY_PAUSE = frozenset({State.PROMOTED, State.WATCHING})
"""They only finish what happened: `promoted` is entered already, `watching` itself does nothing but look while paused."""


@dataclass(frozen=True)
class LogRows:
    """`daemon.act.step.Rows` over the record log."""

    data_dir: Path
    models: Mapping[str, ModelSettings]

    def labelled(self, tx: Connection, model: str, *, since: float, version: str | None = None) -> pa.Table:
        """See `daemon.store.rows.labelled`."""
        protected, cluster = self._columns(model)
        return rows.labelled(tx, self.data_dir, model, since=since, version=version, protected=protected, cluster=cluster)

    def unlabelled(self, tx: Connection, model: str, *, since: float, version: str | None = None) -> pa.Table:
        """See `daemon.store.rows.unlabelled`."""
        protected, cluster = self._columns(model)
        return rows.unlabelled(tx, self.data_dir, model, since=since, version=version, protected=protected, cluster=cluster)

    def _columns(self, model: str) -> tuple[list[str], str | None]:
        settings = self.models[model]
        return settings.protected(), settings.retrain.cluster if settings.retrain is not None else None


class Runs:
    """One per service. `failures` counts what went wrong outside, by reason."""

    def __init__(self, ports: Ports, *, split_salt: bytes | None = None) -> None:
        """`split_salt`: the installation's secret of the splits (never the sampling's); None = a secret of its own for each run."""
        self._ports = ports
        self._split_salt = split_salt or secrets.token_bytes(32)
        self.failures = ports.failures
        self._forget_at: dict[str, float] = {}
        collecting = Collecting(ports)
        self._steps: dict[State, Callable[[Task], Move | None]] = {
            State.PLANNED: collecting.plan,
            State.COLLECTING: collecting.collect,
            State.DATASET: lambda task: jobs.stage(ports, task),
            State.TRAINING: lambda task: jobs.stage(ports, task),
            State.EVALUATING: lambda task: jobs.stage(ports, task),
            State.GATED: lambda task: promote.gate(ports, task),
            State.REGISTERED: lambda task: promote.register(ports, task),
            State.AWAITING_APPROVAL: lambda task: promote.approved(ports, task),
            State.PROMOTED: lambda task: promote.start_watch(ports, task),
            State.WATCHING: lambda task: watch.watch(ports, task),
        }

    def plan(self, tx: Connection, model: ModelSettings, decision: Retrain, now: float, *, by: str | None = None) -> Run:
        """A new run in the caller's transaction; `Permanent(CONFLICT)` while another one is active or no champion is known."""
        held = champions.champion(tx, model.name)
        if held is None:
            raise Permanent(Reason.CONFLICT, f"{model.name} has no champion yet: nothing to compare a candidate with")
        run_id = incident_id(model.name, held.epoch, now)
        trigger: dict[str, Any] = {
            "kind": decision.kind.value,
            "subject": decision.subject,
            "detector": decision.detector,
            "because": decision.because,
            "at": decision.at,
            "incident": decision.incident,
            "by": by,
        }
        runs.create(
            tx,
            run_id=run_id,
            model=model.name,
            trigger=trigger,
            champion_version=held.version,
            folder=f"runs/{model.name}/{run_id}",
            now=now,
            because=decision.because,
        )
        opened = incidents.incident(tx, decision.incident) if decision.incident else None
        since = opened.opened_at if opened is not None else now - model.monitors.label_horizon_s
        counters.add(tx, model.name, {("triggers", decision.kind.value): 1})
        return runs.keep(tx, run_id, expected="planned", detail={"salt": self._salt(run_id), "since": min(since, now)})

    def _salt(self, run_id: str) -> str:
        return hashlib.blake2b(run_id.encode(), key=self._split_salt[:64], digest_size=16).hexdigest()

    def advance(self, model: ModelSettings, now: float) -> Run | None:
        """One step of the model's active run. Gives the run as it is afterwards, None when there is none."""
        self._forget(model.name, now)
        with self._ports.ledger.read() as tx:
            run = runs.active(tx, model.name)
            held = champions.champion(tx, model.name)
            paused = controls.is_paused(tx, model.name)
        if run is None or held is None:
            return run
        state = State(run.state)
        if paused and not run.approved_by and state not in _UNTOUCHED_BY_PAUSE:
            return run
        if now < run.detail.get("wait_until", 0.0):
            return run
        try:
            move = self._move(run, model, held, paused=paused, now=now)
            return run if move is None else self._enter(run, move, now)
        except Transient as e:
            return self._later(run, e, now)
        except Permanent as e:
            return self._end(run, e, now)

    def _forget(self, model: str, now: float) -> None:
        """Hourly, a run a tick: what jobs of ended runs left outside of their folders goes; one that does not is tried again."""
        if now < self._forget_at.get(model, 0.0):
            return
        self._forget_at[model] = now + _SETTLED_S
        with self._ports.ledger.read() as tx:
            ended = [run for run in runs.runs(tx, model) if run.ended_at is not None and now - run.ended_at >= _SETTLED_S]
        left = [run for run in ended if not run.detail.get("forgotten")]
        if not left:
            return
        try:
            self._ports.executor.forget(self._ports.folder(left[-1]).root)
        except (Transient, Permanent) as e:
            log.warning("run.not_forgotten", model=model, run=left[-1].id, because=str(e))
            return
        with self._ports.ledger.begin() as tx:
            runs.keep(tx, left[-1].id, expected=left[-1].state, detail={"forgotten": True})
        self._forget_at[model] = now

    def _move(self, run: Run, model: ModelSettings, held: champions.Champion, *, paused: bool, now: float) -> Move | None:
        state = State(run.state)
        stopped = self._no_longer_wanted(run, model, held)
        if stopped is not None:
            return stopped
        assert model.retrain is not None or state in {State.PROMOTED, State.WATCHING}
        if model.retrain is None:
            return Move(
                state=State.WATCHING if state is State.PROMOTED else State.KEPT, because="the model has no `retrain` settings any more"
            )
        return self._step(state, Task(run=run, model=model, settings=model.retrain, champion=held, paused=paused, now=now))

    def _step(self, state: State, task: Task) -> Move | None:
        """What the run's folder does to a step is that run's matter: the tick goes on with the other models."""
        if isinstance(task.run.detail, Damaged):
            raise Permanent(Reason.BAD_DATA, f"{state.value}: what the run had come to is no JSON object in the ledger")
        try:
            return self._steps[state](task)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, *BROKEN) as e:  # somebody was in the folder, or in the ledger
            raise Permanent(Reason.BAD_DATA, f"{state.value}: {e}") from e
        except OSError as e:  # a full disk: it may have room later
            raise Transient(Reason.UNAVAILABLE, f"{state.value}: {e}") from e

    def _no_longer_wanted(self, run: Run, model: ModelSettings, held: champions.Champion) -> Move | None:
        """Before the promotion a run ends when its comparison is out of date or nobody wants it."""
        if State(run.state) not in _BEFORE_PROMOTION:
            return None
        if held.version != run.champion_version:
            because = f"version {held.version} became champion meanwhile: the comparison with {run.champion_version} is out of date"
        elif model.retrain is None:
            because = "the model has no `retrain` settings any more"
        else:
            return None
        known = run.detail.get("job")
        if known is not None:
            self._ports.executor.cancel(known["handle"])
        return Move(state=State.CANCELLED, because=because, tell=True)

    def _enter(self, run: Run, move: Move, now: float) -> Run:
        """The next state with everything that belongs to it, all or nothing."""
        with self._ports.ledger.begin() as tx:
            fresh = runs.run(tx, run.id)
            assert fresh is not None
            record = move.record if move.record is not None else fresh.record
            check(State(run.state), move.state, record, fresh.approved_by)
            if move.within is not None:
                move.within(tx)
            entered = runs.enter(
                tx,
                run.id,
                move.state.value,
                expected=run.state,
                now=now,
                because=move.because,
                ended=is_ended(move.state),
                detail={**move.detail, "wait_until": 0.0, "waits": 0},
                version=move.version,
                record=move.record,
            )
            if move.tell:
                what, key = outbox.What(f"run.{move.state}"), f"run:{run.id}:{move.state}"
                outbox.tell(tx, what, model=run.model, key=key, because=move.because, now=now, run=run.id, figures=_figures(record))
        return entered

    def _later(self, run: Run, e: Transient, now: float) -> Run:
        """What may work later is tried again, ever more slowly; nothing else of the service waits for it."""
        self.failures[e.reason] += 1
        waits = int(run.detail.get("waits", 0))
        wait_s = e.retry_after_s if e.retry_after_s is not None else min(_RETRY_MOST_S, _RETRY_S * 2.0 ** min(waits, 10))
        with self._ports.ledger.begin() as tx:
            if waits == 0:
                note(tx, now, run.model, "run.waits", run=run.id, state=run.state, reason=e.reason.value, because=str(e)[:500])
            detail = {"wait_until": now + wait_s, "waits": waits + 1, "last_failure": str(e)[:1000]}
            return runs.keep(tx, run.id, expected=run.state, detail=detail)

    def _end(self, run: Run, e: Permanent, now: float) -> Run | None:
        """What cannot work ends the run; a lost compare-and-set only means that somebody else was first."""
        self.failures[e.reason] += 1
        if e.reason is Reason.CONFLICT:
            with self._ports.ledger.begin() as tx:
                return runs.run(tx, run.id)
        state = State(run.state)
        if state is State.WATCHING:
            return self._enter(
                run, Move(state=State.KEPT, because=f"kept, unproven: the watch is not possible: {e}"[:1000], tell=True), now
            )
        return self._enter(run, Move(state=end_of(state, e.reason), because=str(e)[:1000], tell=True), now)


def _figures(record: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What the gates measured, for the message."""
    gates = (record or {}).get("gates", [])
    return [
        {"subject": f"gate {g['name']} of {g['subject']}", **{k: g[k] for k in ("value", "low", "high", "n")}, "detector": g["outcome"]}
        for g in gates
    ]
