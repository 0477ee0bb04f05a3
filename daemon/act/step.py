"""What every step of a run works with, and what it gives back: the next state, or None to stay.

A step does its outside work so that repeating it is safe, then returns a `Move`. `daemon.act.runs` enters the new state in one ledger
transaction, together with `Move.within`. Killed between the two, the step is repeated.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from retrain.layout import RunFolder
from retrain.plan import Plan, read_plan
from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa
    from sqlalchemy import Connection

    from daemon.act.executors.port import Executor
    from daemon.decide.run import State
    from daemon.settings import ModelSettings, RetrainSettings
    from daemon.store.champions import Champion
    from daemon.store.ledger import Ledger
    from daemon.store.runs import Run
    from retrain.types import Versions


class Rows(Protocol):
    """The record log's rows, in the shape of `retrain.dataset.rows.SCHEMA`."""

    def labelled(self, tx: Connection, model: str, *, since: float, version: str | None = None) -> pa.Table:
        """Sampled records with a label, recorded at or after `since`."""
        ...

    def unlabelled(self, tx: Connection, model: str, *, since: float, version: str | None = None) -> pa.Table:
        """Sampled records without one."""
        ...


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What steps reach the outside through."""

    ledger: Ledger
    versions: Versions
    executor: Executor
    rows: Rows
    data_dir: Path
    failures: Counter[Reason] = field(default_factory=Counter)
    """What went wrong outside, by reason: an attempt of a job as well, whether another one follows or not."""

    def folder(self, run: Run) -> RunFolder:
        """The run's files."""
        return RunFolder(self.data_dir / run.folder)

    def plan_path(self, run: Run) -> Path:
        """The plan's file."""
        return self.folder(run).root / "plan.json"

    def plan(self, run: Run) -> Plan:
        """The plan as it was written; `Permanent(BAD_PLAN)` when somebody changed it since."""
        plan = read_plan(self.plan_path(run))
        if plan.digest != run.detail.get("plan_digest"):
            raise Permanent(Reason.BAD_PLAN, "plan.json was changed after the run began")
        return plan


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run, looked at now."""

    run: Run
    model: ModelSettings
    settings: RetrainSettings
    champion: Champion
    paused: bool
    now: float


_REFUSED_S = 3600.0
"""For so long what the registry refuses is asked again before the run ends: a token is renewed, a proxy without its server says 404."""


@contextmanager
def registry(task: Task) -> Iterator[None]:
    """Around calls to it: a refusal must not be the end of what was trained for hours."""
    try:
        yield
    except Permanent as e:
        if e.reason is Reason.REFUSED and task.now - task.run.entered_at < _REFUSED_S:
            raise Transient(Reason.REFUSED, e.detail) from e
        raise


@dataclass(frozen=True, kw_only=True)
class Move:
    """The next state and what is written with it."""

    state: State
    because: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    record: Mapping[str, Any] | None = None
    within: Callable[[Connection], None] | None = None
    """More facts of the same transaction (a champion moves)."""
    tell: bool = False
    """True: a person is told."""
