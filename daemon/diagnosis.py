"""What an open incident means by now: the ledger, a pane's labels and the watch to `daemon.decide.cause`, and back into the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon import telling
from daemon.decide import cause
from daemon.decide.explained import explained
from daemon.decide.incident import AlarmKind, alarm_kind, key_of
from daemon.decide.labelled import Labelled, loss_of, named
from daemon.store import incidents, verdicts
from daemon.store.pairing import Pairing
from detectors.sequential.loss import clip_of
from detectors.types import ColumnKind, EDetectorValue, EValue, Outcome, PValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from daemon.decide.classes import Classes
    from daemon.store.closed import ClosedPane
    from daemon.watch import Watch
    from detectors.types import Verdict

_SURE_P = 1e-4
"""One look at each tick is many looks: so small a p-value is believed all the same."""


def diagnose(tx: Connection, watch: Watch, pane: ClosedPane, *, classes: Classes | None, now: float) -> telling.Diagnosed | None:
    """What the open incident means, by the labels that this pane brought of records since it opened; None = none is open.

    `classes`: what the window's labelled pairs say of the classes' shares.
    """
    kept = incidents.open_of(tx, watch.model.name)
    if kept is None:
        return None
    before = kept.diagnosis or {"n": 0, "errors_n": 0}
    held = [v.verdict for v in verdicts.latest(tx, watch.model.name, epoch=watch.epoch)]
    latest = {v.detector: v for v in held}
    labelled = _labelled(watch, pane, latest, before, since=kept.opened_at)
    said_of_shares = latest["label_shift"].evidence if "label_shift" in latest else None
    moved = isinstance(said_of_shares, PValue) and said_of_shares.p <= _SURE_P
    wanted = watch.model.monitors.performance
    tolerance, likely = wanted.tolerance if wanted is not None else 0.0, latest.get("likely_errors")
    causes = explained(latest, labelled=labelled, tolerance=tolerance, before=before.get("concept"), unread=_unread(watch, kept))
    found = cause.diagnose(
        cause.of_answers(kept.subjects, watch.model.judge()),
        labelled,
        quiet_n=_quiet_n(watch, kept, held),
        priors_moved=moved,
        classes=classes,
        explained=causes,
        likely=likely.because if likely is not None and likely.outcome is Outcome.ALARM else None,
        within=watch.moved_within(kept.subjects),
    )
    said = {"harm": found.harm.value, "shift": found.shift.value, "because": found.because, **labelled.kept()}
    said |= {"concept": causes.concept} if causes.concept is not None else {}
    if said != kept.diagnosis:
        incidents.diagnose(tx, kept.id, said, now=now)
    diagnosed = telling.Diagnosed(before=kept.diagnosis, now=said)
    telling.tell_benign(tx, kept.model, kept.id, diagnosed, now)
    return diagnosed


def _quiet_n(watch: Watch, kept: incidents.StoredIncident, held: Iterable[Verdict]) -> int:
    """Drift monitors of inputs that have nothing to say: of the whole only, and of no incident of segments alone.

    Within a small segment only a large move is seen, so that quiet there is no sign that what is right for the same inputs moved.
    """
    if watch.is_of_segments(kept.subjects):
        return 0
    inputs = (v for v in held if v.subject != watch.model.judge() and not watch.is_of_segments([key_of(v)]))
    return sum(_is_quiet_input(v) for v in inputs)


def _is_quiet_input(verdict: Verdict) -> bool:
    """A drift monitor of an input that may alarm, has data, and does not."""
    is_drift = alarm_kind(verdict.detector) is AlarmKind.DRIFT
    is_sequential = isinstance(verdict.evidence, EValue | EDetectorValue)
    return is_drift and is_sequential and verdict.outcome is Outcome.OK and cause.is_input(verdict.subject)


def _labelled(watch: Watch, pane: ClosedPane, latest: Mapping[str, Verdict], before: Mapping[str, Any], *, since: float) -> Labelled:
    """Labelled records since then, those of the pane with them."""
    loss = loss_of(watch.model.task)
    risk = latest.get(named("risk", loss))
    joins = (join for join in pane.joins if join.version == watch.version and join.at >= since)
    known = Labelled.of(before, loss, limit=None if risk is None else risk.limit, clip=clip_of(watch.reference.bound, loss, ()))
    return known.add(Pairing(watch.model).pairs(joins))


def _unread(watch: Watch, kept: incidents.StoredIncident) -> set[str]:
    """Inputs of the incident that moved and that labelled pairs do not carry as they are: texts, embeddings, columns beyond the first."""
    known = {s for s, kind in watch.model.asked().items() if kind is not ColumnKind.TEXT}
    watched = {*watch.model.subjects(), *watch.model.encoders()}
    moved = cause.moved_inputs(cause.of_answers(kept.subjects, watch.model.judge()))
    return {s for s in watch.whole_columns(moved) if s in watched - known}
