"""Several columns together move away from their reference: a classifier learnt on the way bets, and says which columns it goes by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from detectors.registry import register
from detectors.rhythm import Rhythm
from detectors.sequential.bets import check_rates, is_reached, log10_mean
from detectors.sequential.conformal_numeric import NumericState
from detectors.sequential.distance_ranks import DistanceRanks, blamed
from detectors.sequential.hour_witness import HourState, held_to, is_half_a, read_rows, said_by_hour, start_by_hour, step_by_hour
from detectors.sequential.kernel_witness import KernelWitness, learn_witness, shares_of_columns
from detectors.sequential.purse import Purse
from detectors.sequential.row_bets import PANE_N, bet, halves, latest_rows
from detectors.sequential.row_distance import Expected, expected
from detectors.sequential.table import CodedRows, Coding, coding_of, encode, features
from detectors.sequential.timed_rows import TimedValues, hours_in
from detectors.sequential.two_parts import in_two
from detectors.sequential.wager import LEAST_N, Named, Wealth, no_wealth, said, why_not_yet
from detectors.sequential.witness import POOLS_N
from detectors.sketches.records import AT
from detectors.thinning import drawn_rows
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Reference, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.uint8]
    ByHour = HourState[TimedValues]

_MOVED = "the columns together differ from the reference"
_MODEL_ROWS_N = 512
_BLAMED_ROWS_N = 256


@dataclass(frozen=True, kw_only=True)
class TableState:
    """Rows as codes (see `table`), shape (rows, columns), and the wealth of each bet; the classifier follows from them."""

    knots: dict[str, Floats]
    names: dict[str, tuple[str, ...]]
    learn: Codes
    """Half A of the reference."""
    hold: Codes
    """Half B: only ever used to bound how often the classifier hits the reference."""
    pool: Codes
    """At most 512 production rows that the present classifier learns from."""
    fresh: Codes
    """Rows since then."""
    learnt_n: int = 0
    n: int = 0
    log_m: Floats = field(default_factory=lambda: no_wealth().log_m)
    recent: Floats = field(default_factory=lambda: no_wealth().recent)
    purse: Purse = field(default_factory=lambda: no_wealth().purse)
    shares: Floats = field(default_factory=lambda: np.empty(0))
    """How much of the difference each column brings, at the last pane in alarm, shape (columns,)."""
    distance: NumericState | None = None
    """How far rows are by `row_distance`; None = an older release began this epoch, and the classifier has all of the stake."""
    farther: Floats = field(default_factory=lambda: np.empty(0))
    """How much more than the reference's each column brought to the mean distance, at the last pane in which that alarmed, (columns,)."""


@register("domain_classifier")
@dataclass(frozen=True, kw_only=True)
class DomainClassifier:
    """Production against reference rows as a classification: what can be told apart has moved. `text_witness` for tables.

    Between panes a kernel ridge classifier (ranks, squares, categories, missing, and all products of two) learns half A of the reference
    against the last 128 and 512 rows; the next pane's rows are bet on as `row_bets` says. It sees what no single column shows: a changed
    correlation. That is half of the stake. The other half is on what needs no learning, so that the first pane of a change can alarm: how
    far a row is off by half A's correlations (`row_distance`), ranked among half B and what came since as a column of numbers is
    (`conformal_numeric`). Alarm when the mean of both e-detectors reaches 1/alpha. It names columns by permutation importance, or by what
    they bring to the distance.
    """

    columns: tuple[str, ...]
    """Subjects: "input.age", "input.channel", …"""
    alpha: float
    """1 / mean panes between false alarms."""
    delta: float = 0.01
    """Chance that any of the bounds from half B ever fails, half of it for each part; then the promise is void for the epoch."""
    min_n: int = 100
    """Fewer reference rows: insufficient."""
    rhythm: Rhythm = Rhythm.NONE
    """Which rows are compared with each other: see `hour_witness`. An alarm then names no columns."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.TABLE})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with records"
    assumption: ClassVar[str] = (
        "reference rows are independent draws; given the past, a record has the reference's distribution (with a rhythm: that of its hour)"
    )
    cost: ClassVar[str] = (
        "0.1 s of learning every 32 records; 60 microseconds a record (first 2,000 of a pane); 2,560 rows of a byte a value, 512 cells"
    )
    source: ClassVar[str] = (
        "Podkopaev & Ramdas 2023, arXiv:2305.00143; Vovk et al. 2021, Retrain or not retrain; Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532"
    )

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)
        if not self.columns or self.min_n < 2:  # noqa: PLR2004 (two halves)
            raise ValueError(
                f"columns must not be empty and min_n at least 2, got {self.columns} and {self.min_n}; 100 rows can show a shift"
            )

    @classmethod
    def example(cls) -> DomainClassifier:
        """For contract tests and documentation."""
        return cls(columns=("input.age", "input.channel", "input.price"), alpha=0.01, delta=0.01)

    @property
    def subject(self) -> str:
        """All of them."""
        return "columns"

    def start(self, reference: Reference) -> TableState | ByHour:
        """The reference in two halves, coded by the first; with a rhythm by hour."""
        known = {c: reference.columns[c] for c in self.columns if c in reference.columns}
        n = min((len(values) for values in known.values()), default=0)
        if self.rhythm is not Rhythm.NONE:
            return self._start_by_hour(known, reference, n)
        kept, is_learnt = halves(n)
        rows = {c: values[kept] for c, values in known.items()}
        coding = coding_of({c: values[is_learnt] for c, values in rows.items()})
        codes = encode(coding, self._subjects(coding), rows, len(kept))
        none, learn, hold = codes[:0], codes[is_learnt], codes[~is_learnt]
        distance = self._distances().start(reference, self._model(coding, learn).parts(hold), np.empty(0)) if len(hold) else None
        return TableState(knots=coding.knots, names=coding.names, learn=learn, hold=hold, pool=none, fresh=none, distance=distance)

    def step(self, state: Any, data: Increment) -> tuple[Any, Verdict]:  # noqa: ANN401 (one of `start`)
        """One closed pane: learn from what was before it, then bet on its rows; one without rows is no step."""
        if isinstance(state, HourState):
            return self._step_by_hour(state, data)
        coding = Coding(state.knots, state.names)
        subjects = self._subjects(coding)
        rows = {c: data.columns[c][:PANE_N] for c in subjects if c in data.columns}
        n, parts = max(map(len, rows.values()), default=0), np.empty((0, len(subjects)))
        if n and len(state.learn) + len(state.hold) >= self.min_n:
            codes = encode(coding, subjects, rows, n)
            if len(state.fresh) >= LEAST_N:
                pool = latest_rows(state.pool, state.fresh)
                state = replace(state, pool=pool, fresh=state.fresh[:0], learnt_n=state.learnt_n + 1)
            if len(state.pool):
                state = self._bet(state, coding, codes)
            state = replace(state, fresh=latest_rows(state.fresh, codes), n=state.n + n)
            parts = self._model(coding, state.learn).parts(codes)
        learnt = self._verdict(state, subjects)
        if state.distance is None:
            return state, learnt
        distance, fixed = self._distances().step(state.distance, data, parts)
        farther = state.farther if fixed.outcome is Outcome.ALARM else np.empty(0)
        if len(parts) and fixed.outcome is Outcome.ALARM:
            usual = self._model(coding, state.learn).parts(state.hold[:_BLAMED_ROWS_N])
            farther = parts[:_BLAMED_ROWS_N].mean(axis=0) - usual.mean(axis=0)
        state = replace(state, distance=distance, farther=farther)
        return state, self._in_two(learnt, fixed, distance, subjects, farther)

    def _start_by_hour(self, known: Mapping[str, NDArray[Any]], reference: Reference, n: int) -> ByHour:
        rows, hours = read_rows(n), hours_in(reference.columns, self.subject, n, self.rhythm)
        hours = hours[rows]
        coding = coding_of({c: values[rows][is_half_a(hours)] for c, values in known.items()})
        codes = encode(coding, self._subjects(coding), {c: values[rows] for c, values in known.items()}, len(rows))
        timed = TimedValues(values=codes, hours=hours)
        state = start_by_hour(timed, self.rhythm.hours_n, min_n=self.min_n, reading=(coding,))
        is_held = (hours >= 0) & ~is_half_a(hours)
        if not is_held.any() or not held_to(state).any():
            return state
        parts = self._model(coding, _half_a(state)).parts(codes[is_held])
        ats = reference.columns.get(AT, np.full(n, np.nan))
        return replace(state, distance=self._distances().start(reference, parts, ats[rows][is_held]))

    def _step_by_hour(self, state: ByHour, data: Increment) -> tuple[ByHour, Verdict]:
        (coding,) = state.reading
        subjects = self._subjects(coding)
        n = max((len(data.columns[c]) for c in subjects if c in data.columns), default=0)
        hours = hours_in(data.columns, self.subject, n, self.rhythm, otherwise=data.start.timestamp())[:PANE_N]
        rows = {c: data.columns[c][:PANE_N] for c in subjects if c in data.columns}
        new = TimedValues(values=encode(coding, subjects, rows, len(hours)), hours=hours)
        named = self._named(state)
        state = step_by_hour(state, new, partial(_hits_of, coding, subjects), alpha=self.alpha, delta=named["delta"])
        learnt = said_by_hour(state, new, self.rhythm, "rows", moved=_MOVED, **named)
        if state.distance is None:
            return state, learnt
        parts = self._model(coding, _half_a(state)).parts(new.values)
        distance, fixed = self._distances().step(state.distance, data, parts)
        return replace(state, distance=distance), self._in_two(learnt, fixed, distance, subjects, np.empty(0))

    def _in_two(self, learnt: Verdict, fixed: Verdict, state: NumericState, subjects: list[str], farther: Floats) -> Verdict:
        ranks = self._distances()
        return in_two(learnt, ranks.said(fixed, state, subjects, farther), is_of_ties=ranks.is_of_ties(state))

    def _distances(self) -> DistanceRanks:
        return DistanceRanks(alpha=self.alpha, delta=self.delta / 2.0, rhythm=self.rhythm, moved=_MOVED)

    def _model(self, coding: Coding, learn: Codes) -> Expected:
        return expected(coding, self._subjects(coding), learn)

    def _named(self, state: TableState | ByHour) -> Named:
        """Of the classifier: half of delta, or all where distances are not ranked."""
        delta = self.delta if state.distance is None else self.delta / 2.0
        return {"detector": self.name, "subject": self.subject, "alpha": self.alpha, "delta": delta}

    def _subjects(self, coding: Coding) -> list[str]:
        """Those that the reference has, in order."""
        return [c for c in self.columns if c in coding.knots or c in coding.names]

    def _bet(self, state: TableState, coding: Coding, codes: Codes) -> TableState:
        subjects = self._subjects(coding)
        new, owners = features(coding, subjects, codes)
        hold = CodedRows(coding, subjects, state.hold).features()
        witness = _learnt(CodedRows(coding, subjects, state.learn), CodedRows(coding, subjects, state.pool))
        before = Wealth(state.log_m, state.recent, state.purse)
        delta = self._named(state)["delta"]
        wealth = bet(before, witness, hold=hold, new=new, alpha=self.alpha, delta=delta, learnt_n=state.learnt_n)
        is_alarm = is_reached(log10_mean(wealth.log_m), self.alpha)
        shares = shares_of_columns(witness, hold, new[:_BLAMED_ROWS_N], owners) if is_alarm else np.empty(0)
        return replace(state, **wealth._asdict(), shares=shares)

    def _verdict(self, state: TableState, subjects: list[str]) -> Verdict:
        known_n = len(state.learn) + len(state.hold)
        return said(
            Wealth(state.log_m, state.recent, state.purse),
            moved=_MOVED + blamed(subjects, state.shares),
            not_yet=why_not_yet(known_n=known_n, min_n=self.min_n, seen_n=state.n, rows="rows", learner="classifier"),
            **self._named(state),
        )


def _half_a(state: ByHour) -> Codes:
    """Rows of all hours that the distance is learnt from, drawn."""
    rows = np.concatenate([hour.values for hour in state.learn])
    return np.asarray(rows[drawn_rows(len(rows), _MODEL_ROWS_N)])


def _hits_of(coding: Coding, subjects: list[str], learn: TimedValues, pool: TimedValues) -> Callable[[TimedValues], Floats]:
    known, new = (CodedRows(coding, subjects, rows.values) for rows in (learn, pool))
    witness = _learnt(known, new, (len(pool.hours),))
    return lambda rows: witness.hits(features(coding, subjects, rows.values)[0])


@lru_cache(maxsize=8)
def _learnt(learn: CodedRows, pool: CodedRows, pools: Sequence[int] = POOLS_N) -> KernelWitness:
    """Panes with few rows ask for the same one again and again."""
    return learn_witness(learn.features(), pool.features(), pools)
