"""One picture of everything that can be seen: what the exporter, the API and the command line show. Frozen; times are epoch seconds.

A snapshot costs the same however many records there were: it reads panes of one window, the latest verdicts and the newest
runs, incidents and events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detectors.fairness.groups import GroupFigure

LOG10_LIMIT = 1e6
"""log10 evidence is shown within +-this: JSON and dashboards know no infinity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderView:
    """What makes the vectors of one column; columns with the same settings share one, and then all figures are of it."""

    model: str
    subject: str
    """"input.text.embedding"."""
    state: str
    """`daemon.store.embed.encoder.State`."""
    because: str
    """Why it was lost last; empty = never."""
    lost_n: int
    """Processes that died, hung or could not be started, since the start of the service."""
    texts_per_s: float
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """How the service itself is; filled in by the pipeline, without a look at the ledger."""

    started_at: float
    not_ready: tuple[str, ...] = ()
    """Sentences that say what is still missing before work can begin; empty = ready."""
    ticks: int = 0
    """Ticks finished since the start."""
    failed_ticks: int = 0
    last_tick_at: float | None = None
    """When the last tick ended well; None = none yet."""
    tick_s: float = 0.0
    """How long the last tick took."""
    quiet_s: float = 0.0
    """Since a tick ended well, or since the start; by the monotonic clock."""
    spool_backlog_bytes: int = 0
    """Acknowledged bytes that no committed pane holds yet."""
    spool_lag_s: float = 0.0
    """Age of the oldest acknowledged entry that the intake has not read; 0 = all read."""
    accepted_records: int = 0
    """Acknowledged since the start of this process."""
    accepted_labels: int = 0
    rejected_records: Mapping[str, int] = field(default_factory=dict)
    """Closed reason -> records refused at the door since the start of this process."""
    rejected_labels: Mapping[str, int] = field(default_factory=dict)
    alias_lag_s: Mapping[str, float] = field(default_factory=dict)
    """Model -> for how long the registry's aliases have differed from the ledger; 0 = they agree."""
    groups: Mapping[str, Sequence[GroupFigure]] = field(default_factory=dict)
    """Model -> rates of its protected groups in the window."""
    blind: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Model -> `daemon.decide.policy.Sense` that have been silent for too long."""
    reference_notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Model -> why its reference cannot be read, or what its bound rows lack, a sentence each."""
    disk_free_bytes: int = 0
    """Of the file system that holds the data folder."""
    disk_is_low: bool = False
    """True: records and labels are answered 503 until there is room."""
    kept_bytes: Mapping[str, int] = field(default_factory=dict)
    """Model -> bytes of all its files, as of the last look."""
    encoders: Sequence[EncoderView] = ()
    """One for each column that the service embeds."""
    troubles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Model -> sentences about what its last tick did not do, because a row of the ledger was not what it should be."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """`retrain.types.Reason` -> failures (Transient and Permanent) met since the start of this process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChampionView:
    """Who answers, by the ledger."""

    version: str
    previous: str | None
    since: float
    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochView:
    """Since when evidence counts, and against which reference."""

    epoch: int
    version: str
    started_at: float
    is_learning: bool
    """True: no reference is pinned yet."""
    learned_ratio: float
    """0-1: how much of the learning (days and records) is done; 1 when a reference is there."""
    reference_digest: str | None
    because: str
    absorbed_from: int | None = None
    """The epoch whose reference comes back when the absorbing is undone; None = nothing was absorbed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowView:
    """The window that informing detectors look at: [start, end) of the champion's version."""

    version: str
    start: float
    end: float
    n_seen: int
    n: int
    n_pairs: int
    """Labelled pairs whose label came in the window, of whatever record: what performance speaks of."""
    n_labelled: int
    """Of the `n` records those that have a label, whenever it came."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceView:
    """A detector's evidence, flat; what its kind does not have is None."""

    kind: str
    """p_value | e_value | e_detector_value | score."""
    log10_e: float | None = None
    alpha: float | None = None
    delta: float | None = None
    p: float | None = None
    distance: float | None = None
    limit: float | None = None
    """e kinds: the log10 that alarms; p_value: the p below which it would; score: the limit set by hand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictView:
    """The latest verdict of one detector about one subject."""

    detector: str
    subject: str
    outcome: str
    evidence: EvidenceView
    value: float
    low: float
    high: float
    n: int
    because: str
    limit: float | None
    """What the figure is held to, in its own unit; None = no fixed value."""
    at: float
    """End of the window or increment that it speaks of."""
    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentView:
    """From the first alarm until every subject is quiet."""

    id: str
    epoch: int
    opened_at: float
    closed_at: float | None
    last_alarm_at: float
    subjects: Mapping[str, Any]
    is_harmful: bool
    report: str | None
    """URL path of Evidently's report once the worker has written it."""
    acknowledged_by: str | None = None
    acknowledged_at: float | None = None
    muted_until: float | None = None
    muted_by: str | None = None
    judged: str | None = None
    """real | false | expected; None = no person has judged it."""
    judged_by: str | None = None
    judged_at: float | None = None
    note: str | None = None
    """The reason of the person who judged."""
    held: Mapping[str, float] | None = None
    """Closed by a person while these alarmed, and not quiet yet: subject key -> its last alarm."""
    absorbed_at: float | None = None
    """When a person made what it was about the reference; None = never, or undone."""
    diagnosis: Mapping[str, Any] | None = None
    """{harm: harmful | benign | likely | unknown, shift: covariate | concept | label | damage | unknown, because, n, errors_n, squares}."""
    evidence: Mapping[str, Any] | None = None
    """{named: subjects that surely changed (at most one in ten falsely), over: of those named so far the ones that no longer alarm -> since
    when, is_confirmed: whether anything surely changed in the epoch (of all epochs so confirmed at most one in ten falsely), log10_e,
    needed}; None = there is no e-process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionView:
    """How often the alarms of a model were right, by the judged incidents: real / (real + false); expected ones are left out."""

    real: int
    false: int
    expected: int
    value: float
    low: float
    high: float
    """95 %, exact (Clopper & Pearson)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunView:
    """One retraining."""

    id: str
    state: str
    entered_at: float
    created_at: float
    ended_at: float | None
    trigger: Mapping[str, Any]
    champion_version: str
    version: str | None
    record: Mapping[str, Any] | None
    """The gate record: {passed, inconclusive, gates: [...], digest}."""
    approved_by: str | None
    because: str
    attempt: int
    detail: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventView:
    """Something the service did."""

    id: int
    at: float
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelView:
    """All about one model."""

    name: str
    task: str
    autonomy: str | None
    """None = watched only."""
    champion: ChampionView | None
    epoch: EpochView | None
    is_paused: bool
    paused_because: str | None
    window: WindowView | None
    verdicts: tuple[VerdictView, ...]
    incidents: tuple[IncidentView, ...]
    """Newest first, at most 50."""
    precision: PrecisionView | None
    """None = no incident was judged real or false yet."""
    runs: tuple[RunView, ...]
    """Newest first, at most 50."""
    events: tuple[EventView, ...]
    """Newest first, at most 100, and the newest decision when it is not among them."""
    served_ratio: float | None
    """Share of the newest records that the champion answered; None = no record since it became champion."""
    newest_record_at: float | None
    """End of the newest pane that has a record; None = there was none."""
    ahead_s: float
    """By how much the newest pane, or the champion's beginning, lies after the service's clock: it was ahead, and was set back. 0 = no."""
    blind: frozenset[str]
    """`daemon.decide.policy.Sense` that have been silent for too long."""
    counters: Mapping[str, Mapping[str, int]]
    """Name ("records", "labels", "alarms", "triggers", …) -> reason -> n, over the whole life of the ledger."""
    runs_by_state: Mapping[str, int]
    outbox_n: int
    """Things decided but not yet delivered."""
    outbox_oldest_at: float | None
    reference_notes: tuple[str, ...] = ()
    """Why the reference cannot be read, or what its bound rows lack."""
    damaged: tuple[str, ...] = ()
    """A sentence for each row of the ledger that does not read, and for each step that could not be done because of one."""

    @property
    def open_incident(self) -> IncidentView | None:
        """At most one."""
        return next((i for i in self.incidents if i.closed_at is None), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Everything, at one instant."""

    at: float
    models: tuple[ModelView, ...]
    health: Health
    unassigned: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Counters of what belongs to no model: spool entries that could not be read, say."""
    notification_oldest_at: float | None = None
    """Since when a message to people has waited; None = none waits."""
    url: str = ""
    """Where people reach the service."""
    version: str = ""
    """The service's own."""

    def model(self, name: str) -> ModelView | None:
        """A model by its name, None when the settings have no such."""
        return next((m for m in self.models if m.name == name), None)
