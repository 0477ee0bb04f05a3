"""What happened in and because of an incident, oldest first."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from daemon.show.views import EventView
from daemon.store import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from daemon.store.incidents import StoredIncident
    from daemon.store.runs import Run

_t = tables.event
_MOST = 500
_MOST_READ = 5000
"""Of decisions most are to hold, and not shown."""
_TICK_MOST_S = 3600.0
"""What a person asks for during a tick is taken up by it, at the time at which it began."""
_DURING = (
    frozenset({"alarm"}),
    frozenset({"decision"}),
    frozenset({"alert", "champion.moved", "champion.adopted", "paused", "resumed", "version.barred", "monitors.changed"}),
)
"""Kinds that name no incident, of interest while it is open; those that may come by the hundred by themselves."""
_OF_RUN = frozenset({"run.entered", "run.again", "run.waits"})
_OF_INCIDENT = ("opened", "extended", "diagnosed", "evidence", "acknowledged", "muted", "judged", "closed", "reopened", "quiet")
_NAMED = frozenset({"reference.absorbed", "reference.restored", *(f"incident.{what}" for what in _OF_INCIDENT)})


def timeline(tx: Connection, kept: StoredIncident) -> tuple[EventView, ...]:
    """Events that name the incident, those of the runs it led to, and what else happened to the model meanwhile.

    Of each group at most 500: an incident of a thousand subjects, or one that is open for days, still shows how it went on and ended.
    """
    end = float("inf") if kept.closed_at is None else kept.closed_at
    runs = _runs(tx, kept)

    def is_named(row: Any) -> bool:  # noqa: ANN401 (a row)
        return row.data.get("incident") == kept.id or row.data.get("run") in runs

    found = [row for row in _since(tx, kept, _NAMED | _OF_RUN) if is_named(row)]
    for kinds in _DURING:
        happened = _since(tx, kept, kinds, most=_MOST_READ)
        found += islice((r for r in happened if (r.at <= end or is_named(r)) and r.data.get("decision") != "hold"), _MOST)
    return tuple(EventView(id=row.id, at=row.at, kind=row.kind, data=row.data) for row in sorted(found, key=lambda row: row.id))


def _since(tx: Connection, kept: StoredIncident, kinds: Iterable[str], *, most: int = _MOST) -> Iterator[Any]:
    """Rows of these kinds since the incident opened, oldest first."""
    query = select(_t).where(_t.c.model == kept.model, _t.c.at >= kept.opened_at, _t.c.kind.in_(kinds))
    return iter(tx.execute(query.order_by(_t.c.id).limit(most)))


def states_of(tx: Connection, run: Run) -> tuple[EventView, ...]:
    """Each state that a run entered, and what went wrong in it for a while, oldest first."""
    since = run.created_at - _TICK_MOST_S
    query = select(_t).where(_t.c.model == run.model, _t.c.at >= since, _t.c.kind.in_(_OF_RUN)).order_by(_t.c.id).limit(_MOST)
    return tuple(
        EventView(id=row.id, at=row.at, kind=row.kind, data=row.data) for row in tx.execute(query) if row.data.get("run") == run.id
    )


def _runs(tx: Connection, kept: StoredIncident) -> frozenset[str]:
    table = tables.run
    query = select(table.c.id, table.c.trigger).where(table.c.model == kept.model, table.c.created_at >= kept.opened_at)
    return frozenset(run_id for run_id, trigger in tx.execute(query) if trigger.get("incident") == kept.id)
