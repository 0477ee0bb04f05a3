"""What to do about what the detectors say: verdicts + history + now + rules -> decision. Pure; every decision says why.

alarm: a detector says so. alert: a person is told. trigger: a retraining starts. Only sequential evidence acts; one-look tests inform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from daemon.decide.incident import AlarmKind, Incident, alarm_kind, alarms
from daemon.decide.run import UNCHANGED_WORLD, State, is_ended
from daemon.decide.schedule import due
from daemon.decide.times import lasting, when
from daemon.settings import Autonomy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from daemon.settings import ModelSettings, RetrainSettings
    from detectors.types import Verdict

BUDGET_S = 30 * 86_400.0
"""The budget counts training of the last 30 days."""


class TriggerKind(StrEnum):
    """What may start a retraining."""

    PERFORMANCE = "performance"
    HARMFUL_DRIFT = "harmful_drift"
    SCHEDULE = "schedule"
    MANUAL = "manual"


class Sense(StrEnum):
    """What a model is seen by."""

    VERDICT = "verdict"
    LABEL = "label"


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Nothing to do, or not yet."""

    because: str


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Tell a person, once a `key`."""

    key: str
    because: str


@dataclass(frozen=True, kw_only=True)
class Retrain:
    """Start a run."""

    kind: TriggerKind
    subject: str
    detector: str
    because: str
    at: float
    incident: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """Make the predecessor champion again."""

    because: str


@dataclass(frozen=True, kw_only=True)
class Keep:
    """End the watch after a promotion."""

    because: str


Decision = Hold | Alert | Retrain | Rollback


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the settings say, as far as the policy needs it."""

    retrain: RetrainSettings | None
    blind_after_s: float
    labels_expected: bool

    @classmethod
    def of(cls, model: ModelSettings) -> Rules:
        """Of one model's settings."""
        return cls(retrain=model.retrain, blind_after_s=model.monitors.blind_after_s, labels_expected=model.expects_labels())


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """A run, as far as the policy needs it."""

    id: str
    state: State
    ended_at: float | None
    incident: str | None
    is_unwanted: bool = False
    """A person cancelled it."""


@dataclass(frozen=True, kw_only=True)
class History:
    """What happened before this tick."""

    watched_since: float
    """When the present epoch began: blindness and the calendar count from here."""
    paused: bool = False
    incident: Incident | None = None
    """The open one, with this tick's verdicts folded in."""
    standing: Mapping[str, int] = field(default_factory=dict)
    """Trigger kind -> ticks in a row that it stands, this one included (`stand`)."""
    runs: tuple[PastRun, ...] = ()
    """Newest first."""
    training_s: float = 0.0
    """Of the last 30 days."""
    unread: str = ""
    """Why the reference cannot be read; "" = it can, or is not needed yet."""
    last_verdict_at: float | None = None
    last_label_at: float | None = None
    scheduled_at: float | None = None
    """The last calendar time that was acted on."""


def stand(before: Mapping[str, int], verdicts: Iterable[Verdict], incident: Incident | None) -> dict[str, int]:
    """Ticks in a row that each trigger stands. Lost at a restart: then it is confirmed anew, which only delays."""
    kinds = {alarm_kind(v.detector) for v in alarms(verdicts)}
    now_standing = set()
    if kinds & {AlarmKind.PERFORMANCE, AlarmKind.RISK}:
        now_standing.add(TriggerKind.PERFORMANCE)
    if incident is not None and incident.harmful and kinds & {AlarmKind.DRIFT, AlarmKind.RISK}:
        now_standing.add(TriggerKind.HARMFUL_DRIFT)
    return {kind.value: before.get(kind.value, 0) + 1 for kind in sorted(now_standing)}


def decide(verdicts: Iterable[Verdict], history: History, now: float, rules: Rules) -> Decision:
    """One decision a tick: retrain, or tell that the service is blind, or what else there is to tell, or hold."""
    decision = _retraining(list(verdicts), history, now, rules)
    if isinstance(decision, Retrain):
        return decision
    return _blind(history, now, rules) or decision


def after_promotion(outcome: str, *, n: int, promoted_at: float, now: float, watch_s: float, paused: bool) -> Hold | Keep | Rollback:
    """What the paired bets of the watch lead to. `outcome`: worse | not_worse | undecided (detectors.sequential.paired)."""
    if paused:
        return Hold(because="paused: the watch goes on when somebody resumes the model")
    if outcome == "worse":
        return Rollback(because=f"worse than its predecessor on the same {n} newly labelled records")
    if outcome == "not_worse":
        return Keep(because=f"proven not worse than its predecessor on the same {n} newly labelled records")
    if now - promoted_at >= watch_s:
        return Keep(because=f"the watch ended after {n} newly labelled records: kept, unproven")
    return Hold(because=f"undecided after {n} newly labelled records")


def _retraining(verdicts: list[Verdict], history: History, now: float, rules: Rules) -> Decision:
    settings = rules.retrain
    if settings is None:
        return Hold(because="watched only: the model has no `retrain` settings")
    trigger = _trigger(verdicts, history, now, settings)
    if isinstance(trigger, Hold):
        return trigger
    return _obstacle(trigger, history, now, settings) or trigger


def _trigger(verdicts: list[Verdict], history: History, now: float, settings: RetrainSettings) -> Retrain | Hold:
    """The first trigger that is on and confirmed, or why there is none."""
    waiting = []
    for kind in (TriggerKind.HARMFUL_DRIFT, TriggerKind.PERFORMANCE):
        ticks = history.standing.get(kind.value, 0) if kind.value in settings.on else 0
        if ticks >= settings.confirm_ticks:
            return _by_alarm(kind, verdicts, history, now)
        if ticks:
            waiting.append(f"{kind.value} stands for {ticks} of {settings.confirm_ticks} ticks")
    if TriggerKind.SCHEDULE.value in settings.on and settings.schedule is not None:
        at = due(settings.schedule, history.scheduled_at or history.watched_since, now)
        if at is not None:
            because = f"due by the calendar ({settings.schedule})"
            return Retrain(kind=TriggerKind.SCHEDULE, subject="schedule", detector="schedule", because=because, at=at)
    return Hold(because="; ".join(waiting) or "nothing that may start a training alarms")


def _by_alarm(kind: TriggerKind, verdicts: list[Verdict], history: History, now: float) -> Retrain:
    wanted = {AlarmKind.PERFORMANCE, AlarmKind.RISK} if kind is TriggerKind.PERFORMANCE else {AlarmKind.RISK, AlarmKind.DRIFT}
    sounding = [v for v in alarms(verdicts) if alarm_kind(v.detector) in wanted]
    first = max(sounding, key=lambda v: (alarm_kind(v.detector) is not AlarmKind.DRIFT, getattr(v.evidence, "log10_e", 0.0)))
    because = first.because
    drift = history.incident.first(AlarmKind.DRIFT) if history.incident and kind is TriggerKind.HARMFUL_DRIFT else None
    if drift is not None and alarm_kind(first.detector) is not AlarmKind.DRIFT:
        because = f"{because.rstrip('.')}. Together with drift of {drift['subject']}."
    incident = history.incident.id if history.incident else None
    return Retrain(kind=kind, subject=first.subject, detector=first.detector, because=because, at=now, incident=incident)


def _obstacle(trigger: Retrain, history: History, now: float, settings: RetrainSettings) -> Hold | Alert | None:
    """Why a trigger that stands starts nothing; None = nothing is in the way."""
    active = next((r for r in history.runs if not is_ended(r.state)), None)
    last = next((r for r in history.runs if is_ended(r.state)), None)
    name = trigger.incident or f"{trigger.kind.value}:{trigger.at:.0f}"
    if history.paused:
        return Hold(because=f"paused; {trigger.kind.value} would start a training: {trigger.because}")
    if active is not None:
        return Hold(because=f"run {active.id} is {active.state.value}: one at a time")
    if settings.autonomy is Autonomy.SUGGEST:
        return Alert(key=f"suggest:{name}", because=f"retraining is suggested ({trigger.kind.value}): {trigger.because}")
    of_it = [r for r in history.runs if trigger.incident and r.incident == trigger.incident]
    same = next((r for r in of_it if r.state in UNCHANGED_WORLD or r.is_unwanted), None)
    if same is not None:
        return Hold(because=f"run {same.id} for the same incident ended {same.state.value}: not repeated until a person asks")
    if last is not None and last.state is State.ROLLED_BACK:
        because = f"run {last.id} was rolled back: the next training needs a person (retuned retrain): {trigger.because}"
        return Alert(key=f"approval:{last.id}:{name}", because=because)
    return _too_soon_or_costly(trigger, last, history, now, settings)


def _too_soon_or_costly(
    trigger: Retrain, last: PastRun | None, history: History, now: float, settings: RetrainSettings
) -> Hold | Alert | None:
    cooldown_s, budget_s = settings.cooldown_h * 3600.0, settings.monthly_budget_h * 3600.0
    if last is not None and last.ended_at is not None and now - last.ended_at < cooldown_s:
        return Hold(because=f"cool-down after run {last.id} until {_iso(last.ended_at + cooldown_s)}; {trigger.because}")
    if history.training_s >= budget_s:
        because = f"{history.training_s / 3600.0:.1f} h of training in 30 days use up the budget of {settings.monthly_budget_h:g} h"
        return Alert(key=f"budget:{trigger.incident or trigger.kind.value}:{int(now // BUDGET_S)}", because=f"{because}: {trigger.because}")
    return None


def silences(history: History, now: float, rules: Rules) -> dict[Sense, float]:
    """What has been silent for too long, and since when; without a reference no verdict can come, so nobody waits for it."""
    since = _heard(history, rules)
    return {sense: at for sense, at in since.items() if now - at >= rules.blind_after_s or (sense is Sense.VERDICT and history.unread)}


def heard_again(before: Mapping[Sense, float], history: History, now: float) -> dict[Sense, str]:
    """Of what had been silent for too long (`silences` of the tick before) that which came: in words."""
    last = {Sense.VERDICT: history.last_verdict_at, Sense.LABEL: history.last_label_at}
    came = [sense for sense, since in before.items() if not (sense is Sense.VERDICT and history.unread) and (last[sense] or 0.0) > since]
    return {sense: f"{sense}s come again, after none for {lasting(now - before[sense])} since {when(before[sense])}" for sense in came}


def calm_until(history: History, now: float, rules: Rules, *, quiet_s: float) -> float:
    """Until when time alone changes nothing but the last alarm of an incident that is not heard; `now` where each tick may.

    Then a silence is too long, or an incident has been quiet for `quiet_s`; a second less, for sums are rounded otherwise than differences.
    """
    retrain = rules.retrain
    if retrain is not None and (history.standing or (TriggerKind.SCHEDULE.value in retrain.on and retrain.schedule is not None)):
        return now
    due = [at + rules.blind_after_s for at in _heard(history, rules).values()]
    due += [history.incident.last_alarm_at + quiet_s] if history.incident is not None else []
    return min((at - 1.0 for at in due if at > now), default=math.inf)


def _heard(history: History, rules: Rules) -> dict[Sense, float]:
    """When there was something of each kind last, or could have been."""
    last = {Sense.VERDICT: history.last_verdict_at} | ({Sense.LABEL: history.last_label_at} if rules.labels_expected else {})
    return {sense: max(at or 0.0, history.watched_since) for sense, at in last.items()}


def _blind(history: History, now: float, rules: Rules) -> Alert | None:
    """Blind for long is itself an alert; once a silence."""
    for sense, at in silences(history, now, rules).items():
        if sense is Sense.VERDICT and history.unread:
            return Alert(key=f"blind:reference:{history.watched_since:.0f}", because=f"nothing is being watched: {history.unread}")
        lost = "nothing is being watched" if sense is Sense.VERDICT else "performance is not being watched"
        return Alert(key=f"blind:{sense}:{at:.0f}", because=f"no {sense} since {_iso(at)}: {lost}")
    return None


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
