"""A benign shift becomes the reference: a new epoch of the same champion, compared with the records since the incident opened.

The new reference stands in the place of the old one, it is not mixed with it: a detector of drift asks whether traffic is like ONE
distribution, and traffic that has moved is like no mixture of before and after. What the version was promoted with stays: the bound rows
go along, so that loss, performance, fairness and calibration are held to the same limits, and the evidence about them goes on where it was.

Files are written before the transaction that names them; a service killed between the two leaves a folder that nothing names.
Up to some seconds of reading: called from a worker thread of the HTTP server. [docs/decisions/0018]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daemon import telling
from daemon.decide.absorbing import OF_ANSWERS, Absorbing, why_not
from daemon.decide.incident import alarm_kind, alarms
from daemon.decide.incident import key_of as subject_of
from daemon.decide.lost import Lost, lost
from daemon.store import champions, counters, epochs, incidents, rows, runs, states, verdicts
from daemon.store.ledger import events, note
from daemon.store.outbox import What
from daemon.store.reference import BOUNDS, files_of, load_reference
from daemon.watch import key_of
from detectors.types import digest_of
from retrain.dataset.rows import write_rows
from retrain.types import Permanent, Reason
from retrain.whole import copy_whole

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection

    from daemon.settings import ModelSettings
    from daemon.store.champions import Champion
    from daemon.store.epochs import Epoch
    from daemon.store.incidents import StoredIncident
    from daemon.store.ledger import Ledger
    from detectors.types import Reference

_DAY_S = 86_400.0
_LONG_S = 7_200.0
"""Said in hours."""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the ledger said when somebody asked; acted upon only if it still says so."""

    held: Champion
    epoch: Epoch
    incident: StoredIncident | None = None


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """A reference that can be read, where it lies, and its digest in the ledger."""

    path: str
    reference: Reference
    digest: str | None


class Absorb:
    """One model's references, as a named person moves them."""

    def __init__(self, ledger: Ledger, model: ModelSettings, data_dir: Path) -> None:
        self._ledger, self._model, self._data_dir = ledger, model, data_dir

    def absorb(self, incident: str | None, *, by: str, because: str, is_forced: bool, now: float) -> tuple[Epoch, str]:
        """The records since the incident (None = the open one) opened become the reference; the epoch, and a sentence about it.

        `Permanent`: NOT_FOUND, CONFLICT (no such incident, over, a run is active, moved meanwhile), REFUSED (harmful, not proven, too few
        records, columns, hours or segments gone).
        """
        _reasoned(by, because)
        with self._ledger.read() as tx:
            seen = self._asked(tx, incident, is_forced=is_forced)
            assert seen.incident is not None
            since, version, most_n = seen.incident.opened_at, seen.held.version, self._model.reference.max_n
            table = rows.sampled(tx, self._data_dir, self._model.name, since=since, until=now, version=version, limit=most_n)
        self._enough(table, seen.incident, now)
        before = self._read(seen.epoch)
        after = self._written(seen, table)
        gone = lost(self._model, before.reference, after.reference)
        if gone.names() and not is_forced:
            wait = _wait(gone, now - seen.incident.opened_at, most_times=most_n / table.num_rows)
            raise Permanent(Reason.REFUSED, f"{gone.why_not()}: {wait}, or force it")
        said = f"absorbed by {by}: {because}"
        with self._ledger.begin() as tx:
            if self._asked(tx, seen.incident.id, is_forced=is_forced).held != seen.held:
                raise Permanent(Reason.CONFLICT, f"the champion of {self._model.name} or its reference moved meanwhile")
            new = self._renew(tx, seen, before, after, because=said, absorbed_from=seen.epoch.epoch, now=now)
            incidents.absorb(tx, seen.incident.id, now=now, because=said)
            harm = (seen.incident.diagnosis or {}).get("harm", "unknown")
            about = {"n": table.num_rows, "since": since, "until": now, "harm": harm, "forced": is_forced, "lost": gone.names()}
            self._note(tx, Absorbing.ABSORBED, seen.incident.id, seen, new, now=now, by=by, because=because, **about)
            what = _told(table, seen.incident, gone, now)
            telling.tell_reference(tx, new, What.REFERENCE_ABSORBED, incident=seen.incident.id, because=f"{said}. {what}", now=now)
        return new, what

    def undo(self, epoch: int | None, *, by: str, because: str, now: float) -> tuple[Epoch, str]:
        """The reference before the last absorbing comes back, in a new epoch; and what nothing watches any more, "" = nothing.

        `epoch`: the one that the person saw, None = the present.

        `Permanent(CONFLICT)` when the present reference was not absorbed, or is of another epoch; NOT_FOUND when the earlier one is gone.
        """
        _reasoned(by, because, needs_reason=False)
        name = self._model.name
        with self._ledger.read() as tx:
            seen = self._present(tx)
            earlier = next(iter(epochs.undoable(tx, name, seen.epoch)), None)
        if epoch is not None and epoch != seen.epoch.epoch:
            raise Permanent(Reason.CONFLICT, f"{name} is in epoch {seen.epoch.epoch} by now, not {epoch}")
        if earlier is None:
            raise Permanent(Reason.CONFLICT, f"nothing to undo: the reference of {name} (version {seen.held.version}) was not absorbed")
        if earlier.reference_path is None:
            raise Permanent(Reason.NOT_FOUND, f"the reference of epoch {earlier.epoch} of {name} is not kept any more")
        before, after = self._read(seen.epoch), self._read(earlier)
        gone = lost(self._model, before.reference, after.reference)
        said = f"absorbing undone by {by}{': ' if because else ''}{because}"
        told = f"{said}. {what[:1].upper()}{what[1:]}" if (what := gone.in_words()) else said
        with self._ledger.begin() as tx:
            new = self._renew(tx, seen, before, after, because=said, absorbed_from=earlier.absorbed_from, now=now)
            incident = self._incident_of(tx, seen.epoch)
            self._note(tx, Absorbing.RESTORED, incident, seen, new, now=now, by=by, because=because, lost=gone.names())
            telling.tell_reference(tx, new, What.REFERENCE_RESTORED, incident=incident, because=told, now=now)
        return new, what

    def _present(self, tx: Connection) -> _Seen:
        """The champion and its epoch."""
        name = self._model.name
        held = champions.champion(tx, name)
        epoch = epochs.epoch(tx, name, held.epoch) if held is not None else None
        if held is None or epoch is None:
            raise Permanent(Reason.CONFLICT, f"{name} has no champion yet")
        return _Seen(held=held, epoch=epoch)

    def _asked(self, tx: Connection, incident: str | None, *, is_forced: bool) -> _Seen:
        """What is to be absorbed, once nothing speaks against it."""
        name, seen = self._model.name, self._present(tx)
        found = incidents.open_of(tx, name) if incident is None else incidents.incident(tx, incident)
        if found is None or found.model != name:
            raise Permanent(Reason.NOT_FOUND, f"{name} has no incident {incident}" if incident else f"{name} has no open incident")
        if found.epoch != seen.epoch.epoch or (found.closed_at is not None and not found.held):
            raise Permanent(Reason.CONFLICT, f"incident {found.id} is over: nothing of it alarms against the present reference")
        active = runs.active(tx, name)
        if active is not None:
            said = f"run {active.id} is {active.state}, and may bring a reference of its own"
            raise Permanent(Reason.CONFLICT, f"{said}: absorb when it has ended")
        sounding = alarms(v.verdict for v in verdicts.latest(tx, name, epoch=seen.epoch.epoch))
        kinds = {str(s["kind"]) for s in found.subjects.values()} | {alarm_kind(v.detector).value for v in sounding}
        is_over = found.subjects.keys().isdisjoint(map(subject_of, sounding))
        if (refusal := why_not(kinds, found.diagnosis, is_forced=is_forced, is_over=is_over)) is not None:
            raise Permanent(Reason.REFUSED, f"incident {found.id} is not absorbed: {refusal}")
        return _Seen(held=seen.held, epoch=seen.epoch, incident=found)

    def _enough(self, table: pa.Table, incident: StoredIncident, now: float) -> None:
        n, needed = table.num_rows, self._model.reference.learn_n
        if n < needed:
            there = f"{n} records are kept since incident {incident.id} opened, a reference needs {needed} (reference.learn_n)"
            wait = f", at the traffic so far about {_span((needed - n) * (now - incident.opened_at) / n)} more" if n else ""
            raise Permanent(Reason.REFUSED, f"{there}: wait{wait}")

    def _written(self, seen: _Seen, table: pa.Table) -> _Reading:
        """The folder of the new reference: its records, and the bound rows of the old one as they are."""
        name = f"absorbed-{digest_of(str(seen.epoch.epoch), *table['id'].to_pylist())[:16]}"
        folder = self._data_dir / "references" / self._model.name / name
        write_rows(folder / "records.parquet", table)
        _, bound = files_of(self._model, Path(self._data_dir, str(seen.epoch.reference_path)))
        if bound is not None:
            try:
                copy_whole(bound, folder / BOUNDS[0 if bound.suffix == ".parquet" else 1])
            except OSError as e:
                raise Permanent(Reason.BAD_DATA, f"bound rows {bound}: {e.strerror or e}") from e
        reference = load_reference(self._model, *files_of(self._model, folder))
        return _Reading(path=str(folder.relative_to(self._data_dir)), reference=reference, digest=reference.digest)

    def _read(self, epoch: Epoch) -> _Reading:
        """`Permanent(BAD_DATA)` names the file that cannot be read."""
        path = str(epoch.reference_path)
        reference = load_reference(self._model, *files_of(self._model, Path(self._data_dir, path)))
        return _Reading(path=path, reference=reference, digest=epoch.reference_digest)

    def _renew(
        self, tx: Connection, seen: _Seen, before: _Reading, after: _Reading, *, because: str, absorbed_from: int | None, now: float
    ) -> Epoch:
        """The next epoch; what is known about answers goes on in it."""
        held, model = seen.held, self._model
        states_before = states.load(tx, model.name, key_of(model, held.version, seen.epoch.epoch, before.reference))
        new = champions.renew(
            tx,
            held,
            now=now,
            because=because,
            reference_path=after.path,
            reference_digest=after.digest,
            absorbed_from=absorbed_from,
        )
        of_answers = {name: state for name, state in states_before.items() if alarm_kind(name[0]) in OF_ANSWERS}
        states.save(tx, model.name, key_of(model, held.version, new.epoch, after.reference), of_answers)
        return new

    def _note(self, tx: Connection, what: Absorbing, incident: str | None, seen: _Seen, new: Epoch, *, now: float, **said: object) -> None:
        """One event with both digests; counted."""
        digests = {"digest": new.reference_digest, "before_digest": seen.epoch.reference_digest, "path": new.reference_path}
        moved = {"incident": incident, "version": new.version, "epoch": new.epoch, "before": seen.epoch.epoch}
        note(tx, now, self._model.name, f"reference.{what}", **moved, **digests, **said)
        counters.add(tx, self._model.name, {("references", what.value): 1})

    def _incident_of(self, tx: Connection, epoch: Epoch) -> str | None:
        """The incident that the reference of an epoch was absorbed for."""
        found = events(tx, self._model.name, f"reference.{Absorbing.ABSORBED}", limit=1000)
        return next((str(e["data"]["incident"]) for e in found if e["data"]["digest"] == epoch.reference_digest), None)


def _told(table: pa.Table, incident: StoredIncident, gone: Lost, now: float) -> str:
    spent_s = now - incident.opened_at
    said = f"{table.num_rows} records of the {_span(spent_s)} since incident {incident.id} opened are the reference now"
    if spent_s < _DAY_S:
        said += "; they cover less than a day, so what changes with the hour may alarm"
    return f"{said}; {gone.in_words()}" if gone.names() else said


def _wait(gone: Lost, spent_s: float, *, most_times: float) -> str:
    """What else than force helps; `most_times`: as many times the records may be the reference."""
    short = [one for one in gone.segments if one.is_short]
    if gone.columns or not all(one.n for one in short):
        return "wait"
    if not short:
        return "give that setting more room"
    times = max(one.needed / one.n for one in short)
    if times > most_times:
        return "waiting brings too few (reference.max_n): raise it, ask for fewer rows (segments.least_n)"
    return f"wait, at the traffic so far about {_span((times - 1.0) * spent_s)} more"


def _span(seconds: float) -> str:
    """As people say it."""
    return f"{seconds / 3600.0:.0f} hours" if seconds >= _LONG_S else f"{max(1.0, seconds / 60.0):.0f} minutes"


def _reasoned(by: str, because: str, *, needs_reason: bool = True) -> None:
    if not by.strip():
        raise Permanent(Reason.REFUSED, "a person's name is needed: `by`")
    if needs_reason and not because.strip():
        raise Permanent(Reason.REFUSED, "a reason is needed: `because` says why this is normal now")
