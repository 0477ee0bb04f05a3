"""From panes to a decision: detectors → verdicts → incident → policy, inside the caller's transaction. No I/O but the ledger's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from daemon import telling
from daemon import watch as watches
from daemon.decide import incident as incidents_of
from daemon.decide import policy
from daemon.decide.classes import Classes, compare
from daemon.decide.run import State
from daemon.decide.times import when
from daemon.diagnosis import diagnose
from daemon.settings_encoder import SUFFIX
from daemon.store import champions, controls, epochs, incidents, outbox, panes, runs, tables, verdicts
from daemon.store.embed.references import MOST_BY_HOUR_N, MOST_N
from daemon.store.ledger import note
from detectors.rhythm import Rhythm
from retrain.types import Permanent

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from daemon.settings import ModelSettings, Settings
    from daemon.store.closed import ClosedPane
    from daemon.store.embed.references import References
    from daemon.store.panes import Windows
    from daemon.watch import Watch
    from detectors.fairness.groups import GroupFigure
    from detectors.types import Verdict, Window

_TRAFFIC_DAYS = 14
"""Earlier days whose traffic is compared with: two of each day of the week."""


class Judge:
    """Holds each model's watch (a cache of the ledger) and how long triggers have stood."""

    def __init__(self, settings: Settings, windows: Windows, references: References | None = None) -> None:
        self._models = {m.name: m for m in settings.models}
        self._data_dir = settings.data_dir
        self._windows, self._references = windows, references
        self._watches: dict[str, Watch] = {}
        self._standing: dict[str, dict[str, int]] = {}
        self._last: dict[str, str] = {}
        self.blind: dict[str, frozenset[str]] = {}
        self._silent: dict[str, dict[policy.Sense, float]] = {}  # since when; empty after a start, so that an end during it is not told
        self.calm_until: dict[str, float] = {}
        """Model -> until when nothing but records, labels and persons changes what is said (`policy.calm_until`): a replay skips it."""
        self.groups: dict[str, list[GroupFigure]] = {}
        self.unread: dict[str, watches.Unread] = {}
        self._fresh: set[str] = set()
        self._classes: dict[str, Classes | None] = {}
        self._since: dict[str, float] = {}  # models without a champion: when waiting for their first record began

    def forget(self, model: str | None = None) -> None:
        """A transaction failed: what is held in memory (of all models, or of one) may be ahead of the ledger; it is read again."""
        for name in [*self._watches] if model is None else [model]:
            self._watches.pop(name, None)

    def notes(self) -> dict[str, tuple[str, ...]]:
        """Model -> what is to be known of its reference: that it cannot be read, or what its bound rows lack."""
        read = {name: watch.notes for name, watch in self._watches.items() if watch.notes}
        return read | {name: (f"cannot be read: {unread.because}",) for name, unread in self.unread.items()}

    def fold(self, tx: Connection, pane: ClosedPane, now: float) -> None:
        """One closed pane through the sequential detectors; new alarms and the incident go into the ledger with it."""
        watch = self._watch(tx, pane.model, now)
        if watch is None or pane.epoch not in {None, watch.epoch}:  # moved while the pane was closed: its records are not of this epoch
            return
        before = {(v.verdict.detector, v.verdict.subject): v.verdict for v in verdicts.latest(tx, pane.model, epoch=watch.epoch)}
        found = watch.fold(tx, pane.increment)
        verdicts.save(tx, pane.model, found, at=pane.end, epoch=watch.epoch)
        fresh = [v for v in incidents_of.alarms(found) if (old := before.get((v.detector, v.subject))) is None or old.outcome != v.outcome]
        telling.tell_alarms(tx, pane, fresh, epoch=watch.epoch, now=now)
        turn = self._incident(tx, watch, found, now)
        telling.tell_turn(tx, turn, diagnose(tx, watch, pane, classes=self._classes.get(pane.model), now=now), now)
        self._fresh.add(pane.model)

    def decide(self, tx: Connection, model: ModelSettings, now: float) -> policy.Decision:
        """The window's informing verdicts, and the policy's decision with its reason."""
        watch = self._watch(tx, model.name, now)
        if watch is not None:
            self._look(tx, watch, now)
            telling.tell_turn(tx, self._incident(tx, watch, [], now), None, now)
        acting, rules = self._acting(tx, watch), policy.Rules.of(model)
        history = self._history(tx, model, watch, acting, now)
        self._tell_heard(tx, model.name, history, now)
        self._silent[model.name] = policy.silences(history, now, rules)
        self.blind[model.name] = frozenset(self._silent[model.name])
        is_settled = champions.champion(tx, model.name) is None if watch is None else not watch.waiting
        self.calm_until[model.name] = policy.calm_until(history, now, rules, quiet_s=model.monitors.quiet_s) if is_settled else now
        decision = policy.decide(acting, history, now, rules)
        self._record(tx, model.name, decision, now)
        return decision

    def _watch(self, tx: Connection, name: str, now: float) -> Watch | None:
        """The watch of the present epoch; None before a champion is known, and while its reference is being learnt or cannot be read."""
        held = champions.champion(tx, name)
        if held is None:
            return None
        watch = self._watches.get(name)
        if watch is not None and watch.epoch == held.epoch:
            return self._begun(tx, watch)
        found = epochs.epoch(tx, name, held.epoch)
        model = self._models[name]
        if found is None or found.reference_path is None:
            return None
        before = self.unread.get(name)
        if before is not None and before.waits(held.epoch, now):
            return None
        try:
            watch = watches.enter(tx, model, held.version, held.epoch, Path(self._data_dir, found.reference_path))
        except Permanent as e:  # of this model: the others are watched
            self.unread[name] = watches.unread(before, name, held.epoch, e.detail, now)
            return None
        self.unread.pop(name, None)
        telling.tell_changed(tx, watch, now)
        watch.since = found.started_at if found.started_at > held.since else 0.0
        self._watches[name] = watch
        self._standing.pop(name, None)
        self.groups.pop(name, None)
        self._classes.pop(name, None)
        return self._begun(tx, watch)

    def _begun(self, tx: Connection, watch: Watch) -> Watch:
        """The detectors of embeddings begin as soon as their reference is embedded; all others never wait for that."""
        for subject in [*watch.waiting]:
            if self._references is None:
                break
            texts = watch.reference.columns[subject.removesuffix(SUFFIX)].tolist()
            most_n = MOST_N if watch.model.reference.rhythm is Rhythm.NONE else MOST_BY_HOUR_N
            found = self._references.of(watch.model.name, subject, texts, most_n)
            if isinstance(found, str):
                watch.waiting[subject] = found
            else:
                watch.begin(tx, subject, found)
        return watch

    def _look(self, tx: Connection, watch: Watch, now: float) -> None:
        """One-look detectors, only when a pane came in since the last look; after a start also what a look leaves in memory."""
        name, monitors = watch.model.name, watch.model.monitors
        is_fresh = name in self._fresh
        if not is_fresh and name in self.groups:
            return
        self._fresh.discard(name)
        window = self._windows.window(tx, name, watch.version, max(monitors.window_from(now), watch.since), now)
        self.groups[name] = watch.groups(window)
        self._classes[name] = compare(watch.reference.bound, window.confusion)
        if is_fresh:
            self._look_at(tx, watch, window, now)

    def _look_at(self, tx: Connection, watch: Watch, window: Window, now: float) -> None:
        name, monitors = watch.model.name, watch.model.monitors
        if monitors.quality is not None:
            of = (monitors.window_from(now), monitors.closed_at(now))  # of this day what earlier ones have, too: closed panes
            window = replace(window, traffic=panes.same_hours(tx, name, *of, days=_TRAFFIC_DAYS))
        verdicts.save(tx, name, watch.look(window), at=window.end.timestamp(), epoch=watch.epoch)

    def _current(self, tx: Connection, watch: Watch | None) -> list[Verdict]:
        """The latest verdicts of the epoch, whichever pane they came from; without those that a person closed: they act on nothing."""
        if watch is None:
            return []
        held = incidents.held_subjects(tx, watch.model.name, watch.epoch)
        latest = verdicts.latest(tx, watch.model.name, epoch=watch.epoch)
        return [v.verdict for v in latest if incidents_of.key_of(v.verdict) not in held]

    def _acting(self, tx: Connection, watch: Watch | None) -> list[Verdict]:
        """Those that may start a training: the gates judge all traffic, so that a segment by itself tells people only."""
        return [v for v in self._current(tx, watch) if watch is not None and not watch.is_of_segments([incidents_of.key_of(v)])]

    def _incident(self, tx: Connection, watch: Watch, found: list[Verdict], now: float) -> telling.Turn | None:
        """Fold verdicts into the model's incident and write what changed; an opened one gets a report. None = there is none."""
        name, quiet_s = watch.model.name, watch.model.monitors.quiet_s
        before = _as_incident(incidents.open_of(tx, name))
        held = incidents.held_subjects(tx, name, watch.epoch)
        newest = self._newest(tx, watch) if before is not None or held else {}
        sounding = {incidents_of.key_of(v) for v in incidents_of.alarms(newest.values())}
        after, change = incidents_of.fold(
            before, found, model=name, epoch=watch.epoch, now=now, quiet_s=quiet_s, held=held, unheard=sounding
        )
        if after is None and (still := incidents_of.still_held(held, sounding, now=now, quiet_s=quiet_s)) != held:
            incidents.hold(tx, name, watch.epoch, still, now=now)
        if after is None:
            return None
        turn = telling.Turn(after=after, change=change, found=found, was_harmful=before is not None and before.harmful)
        turn = replace(turn, was_unfair=before is not None and before.has(incidents_of.AlarmKind.FAIRNESS))
        if after == before:
            return turn
        if change is incidents_of.Change.OPENED:
            incidents.open_incident(
                tx, incident_id=after.id, model=name, epoch=after.epoch, now=now, subjects=after.subjects, harmful=after.harmful
            )
            payload = {"incident": after.id, "epoch": after.epoch, "version": watch.version}
            outbox.put(tx, key=f"report:{after.id}", model=name, kind="report", payload=payload, now=now)
        elif change is incidents_of.Change.CLOSED:
            because = f"quiet since {when(after.last_alarm_at)}"
            if after.epoch != watch.epoch:
                because = "the epoch ended"
            elif newest.keys().isdisjoint(after.subjects):
                because = "the settings changed, and nothing of it is watched any more"
            because = f"{because}. {after.in_words()}"
            incidents.close(tx, after.id, now=now, because=because)
            return replace(turn, because=f"Over: {because}")
        else:
            incidents.extend(tx, after.id, now=now, subjects=after.subjects, harmful=after.harmful, last_alarm_at=after.last_alarm_at)
        return replace(turn, evidence=telling.believe(tx, after, found, now))

    def _newest(self, tx: Connection, watch: Watch) -> dict[str, Verdict]:
        """The newest verdict of each subject, however long ago that was."""
        latest = verdicts.latest(tx, watch.model.name, epoch=watch.epoch)
        return {incidents_of.key_of(v.verdict): v.verdict for v in latest}

    def _history(self, tx: Connection, model: ModelSettings, watch: Watch | None, acting: list[Verdict], now: float) -> policy.History:
        name = model.name
        incident = _as_incident(incidents.open_of(tx, name))
        self._standing[name] = policy.stand(self._standing.get(name, {}), acting, incident)
        held = champions.champion(tx, name)
        unread = self.unread.get(name)
        is_learning = held is not None and watch is None and unread is None  # that is known and shown, not blindness
        past = runs.runs(tx, name)
        scheduled = [r.trigger.get("at") for r in past if r.trigger.get("kind") == policy.TriggerKind.SCHEDULE]
        return policy.History(
            watched_since=held.since if held is not None else self._since.setdefault(name, now),
            paused=controls.is_paused(tx, name),
            incident=incident,
            standing=self._standing[name],
            runs=tuple(_past(r) for r in past),
            training_s=runs.training_s(tx, name, since=now - policy.BUDGET_S),
            unread=unread.because if unread is not None else "",
            last_verdict_at=now if is_learning else verdicts.newest_at(tx, name),
            last_label_at=tx.execute(select(func.max(tables.label.c.received_at)).where(tables.label.c.model == name)).scalar(),
            scheduled_at=max((at for at in scheduled if at is not None), default=None),
        )

    def _tell_heard(self, tx: Connection, model: str, history: policy.History, now: float) -> None:
        """That a silence which was told is over, once."""
        silent = self._silent.get(model, {})
        for sense, because in policy.heard_again(silent, history, now).items():
            outbox.tell(tx, outbox.What.BLIND_OVER, model=model, key=f"{model}:heard:{sense}:{silent[sense]:.0f}", because=because, now=now)

    def _record(self, tx: Connection, model: str, decision: policy.Decision, now: float) -> None:
        """Each decision with its reason in the ledger, once a change; an alert also goes out, once a key."""
        kind = type(decision).__name__.lower()
        said = f"{kind}: {decision.because}"
        if self._last.get(model) == said:
            return
        self._last[model] = said
        note(tx, now, model, "decision", decision=kind, because=decision.because)
        if isinstance(decision, policy.Alert):
            what = outbox.What.BLIND if decision.key.startswith("blind:") else outbox.What.ADVICE
            outbox.tell(tx, what, model=model, key=f"{model}:{decision.key}", because=decision.because, now=now)


def _as_incident(stored: incidents.StoredIncident | None) -> incidents_of.Incident | None:
    if stored is None:
        return None
    return incidents_of.Incident(
        id=stored.id,
        model=stored.model,
        epoch=stored.epoch,
        opened_at=stored.opened_at,
        last_alarm_at=stored.last_alarm_at,
        subjects=stored.subjects,
        harmful=stored.harmful,
    )


def _past(run: runs.Run) -> policy.PastRun:
    return policy.PastRun(
        id=run.id,
        state=State(run.state),
        ended_at=run.ended_at,
        incident=run.trigger.get("incident"),
        is_unwanted="cancelled_by" in run.detail,
    )
