"""Texts move away from their reference: a witness learnt on the way bets, honest about the finite reference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from detectors.registry import register
from detectors.rhythm import Rhythm
from detectors.sequential.bets import check_rates
from detectors.sequential.hour_witness import HourState, read_rows, said_by_hour, start_by_hour, step_by_hour
from detectors.sequential.purse import Purse, e_value_of
from detectors.sequential.row_bets import halves
from detectors.sequential.text_features import Texts, hash_texts, join, no_texts
from detectors.sequential.timed_rows import TimedTexts, hours_in
from detectors.sequential.wager import LEAST_N, Named, Wealth, no_wealth, said, share_of_delta, wager, why_not_yet
from detectors.sequential.witness import POOLS_N, Witnesses, learn_texts, witness_hits
from detectors.types import Eats, EDetectorValue, Increment, Kind, Reference, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

    ByHour = HourState[TimedTexts]

_PANE_N = 4000
_MOVED = "texts differ from the reference"


@dataclass(frozen=True, kw_only=True)
class WitnessState:
    """Hashed texts (see `Texts`) and the wealth of each bet; the witness itself follows from them."""

    learn_ids: NDArray[np.uint16]
    """Half A of the reference: the witness learns from it."""
    learn_sizes: NDArray[np.int32]
    hold_ids: NDArray[np.uint16]
    """Half B: only ever used to bound how often the witness hits the reference."""
    hold_sizes: NDArray[np.int32]
    pool_ids: NDArray[np.uint16] = field(default_factory=lambda: no_texts().ids)
    """At most 512 production texts that the present witness learns from."""
    pool_sizes: NDArray[np.int32] = field(default_factory=lambda: no_texts().sizes)
    fresh_ids: NDArray[np.uint16] = field(default_factory=lambda: no_texts().ids)
    """Texts since then."""
    fresh_sizes: NDArray[np.int32] = field(default_factory=lambda: no_texts().sizes)
    learnt_n: int = 0
    """How often it learned anew: the k of delta_k."""
    n: int = 0
    """Production texts so far."""
    log_m: Floats = field(default_factory=lambda: no_wealth().log_m)
    recent: Floats = field(default_factory=lambda: no_wealth().recent)
    purse: Purse = field(default_factory=lambda: no_wealth().purse)


@register("text_witness")
@dataclass(frozen=True, kw_only=True)
class TextWitness:
    """Two-sample testing by betting with a learnt witness, restarted at every pane (Shiryaev-Roberts).

    Between panes a ridge witness learns half A of the reference against the last 128 and the last 512 texts. It hits texts whose
    score is above the 60, 85 or 95 % quantile of A's leave-one-out scores. Half B, which no witness ever sees, gives an exact upper bound m
    of how often the reference is hit, at delta_k = 6 delta / (pi^2 k^2) for the k-th learning, shared by the six. The next pane's texts are
    bet to be hit more often than m: (q/m)^hits ((1-q)/(1-m))^misses at three q; alarm when the mean of the 18 M <- (M + 1) bet reaches
    1/alpha. With a rhythm it learns from, and is held to, reference texts of the same hours alone: see `hour_witness`.
    """

    column: str
    """Subject of the column: "input.text", "output.text"."""
    alpha: float
    """1 / mean panes between false alarms."""
    delta: float = 0.01
    """Chance that any of the bounds from half B ever fails; then the promise is void for the epoch."""
    min_n: int = 100
    """Fewer reference texts: insufficient."""
    rhythm: Rhythm = Rhythm.NONE
    """Which texts are compared with each other: see `hour_witness`."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.TEXT})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with texts"
    assumption: ClassVar[str] = (
        "reference texts are independent draws; given the past, a text has the reference's distribution (with a rhythm: that of its hour)"
    )
    cost: ClassVar[str] = "30 microseconds a text (first 4,000 of a pane), 50 ms of learning each 32 texts; at most 2,560 hashed texts"
    source: ClassVar[str] = "Shekhar & Ramdas 2021, arXiv:2112.09162; Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532"

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)
        if self.min_n < 2:  # noqa: PLR2004 (two halves)
            raise ValueError(f"min_n must be at least 2, got {self.min_n}; 100 texts can show a large shift")

    @classmethod
    def example(cls) -> TextWitness:
        """For contract tests and documentation."""
        return cls(column="input.text", alpha=0.01, delta=0.01)

    @property
    def subject(self) -> str:
        """The column."""
        return self.column

    def start(self, reference: Reference) -> WitnessState | ByHour:
        """The reference in two halves (see `halves`); with a rhythm by hour."""
        values = reference.columns.get(self.column, np.empty(0, dtype=object))
        if self.rhythm is not Rhythm.NONE:
            rows, hours = read_rows(len(values)), hours_in(reference.columns, self.column, len(values), self.rhythm)
            return start_by_hour(TimedTexts.of(values[rows], hours[rows]), self.rhythm.hours_n, min_n=self.min_n)
        kept, is_learnt = halves(len(values))
        learn, hold = hash_texts(values[kept[is_learnt]]), hash_texts(values[kept[~is_learnt]])
        return WitnessState(learn_ids=learn.ids, learn_sizes=learn.sizes, hold_ids=hold.ids, hold_sizes=hold.sizes)

    def step(self, state: Any, data: Increment) -> tuple[Any, Verdict]:  # noqa: ANN401 (one of `start`)
        """One closed pane: learn from what was before it, then bet on its texts; one without texts is no step."""
        values = data.columns.get(self.column, np.empty(0, dtype=object))
        if isinstance(state, HourState):
            return self._step_by_hour(state, data, values)
        if len(values) and self._has_reference(state):
            state = _learn_anew(state)
            texts = hash_texts(values[:_PANE_N])
            if len(state.pool_sizes) >= LEAST_N:
                state = self._bet(state, texts)
            fresh = join(Texts(state.fresh_ids, state.fresh_sizes), texts, last_n=POOLS_N[-1])
            state = replace(state, fresh_ids=fresh.ids, fresh_sizes=fresh.sizes, n=state.n + texts.n)
        return state, self._verdict(state)

    def _step_by_hour(self, state: ByHour, data: Increment, values: NDArray[np.object_]) -> tuple[ByHour, Verdict]:
        hours = hours_in(data.columns, self.column, len(values), self.rhythm, otherwise=data.start.timestamp())
        new = TimedTexts.of(values[:_PANE_N], hours[:_PANE_N])
        state = step_by_hour(state, new, _hits_of, alpha=self.alpha, delta=self.delta)
        return state, said_by_hour(state, new, self.rhythm, "texts", moved=_MOVED, e_value=e_value_of(state.purse), **self._named())

    def _has_reference(self, state: WitnessState) -> bool:
        return len(state.learn_sizes) + len(state.hold_sizes) >= self.min_n

    def _bet(self, state: WitnessState, texts: Texts) -> WitnessState:
        pool = Texts(state.pool_ids, state.pool_sizes)
        learn, hold = Texts(state.learn_ids, state.learn_sizes), Texts(state.hold_ids, state.hold_sizes)
        found = witness_hits(learn=learn, pool=pool, hold=hold, new=texts, delta=share_of_delta(self.delta, state.learnt_n))
        wealth = wager(Wealth(state.log_m, state.recent, state.purse), found, texts.n, alpha=self.alpha)
        return replace(state, **wealth._asdict())

    def _verdict(self, state: WitnessState) -> Verdict:
        known_n = len(state.learn_sizes) + len(state.hold_sizes)
        return said(
            Wealth(state.log_m, state.recent, state.purse),
            moved=_MOVED,
            not_yet=why_not_yet(known_n=known_n, min_n=self.min_n, seen_n=state.n, rows="texts"),
            e_value=e_value_of(state.purse),
            **self._named(),
        )

    def _named(self) -> Named:
        return {"detector": self.name, "subject": self.subject, "alpha": self.alpha, "delta": self.delta}


def _learn_anew(state: WitnessState) -> WitnessState:
    """The pool takes in what came since, once that is worth a new witness."""
    fresh = Texts(state.fresh_ids, state.fresh_sizes)
    if fresh.n < LEAST_N:
        return state
    pool = join(Texts(state.pool_ids, state.pool_sizes), fresh, last_n=POOLS_N[-1])
    none = no_texts()
    return replace(
        state,
        pool_ids=pool.ids,
        pool_sizes=pool.sizes,
        fresh_ids=none.ids,
        fresh_sizes=none.sizes,
        learnt_n=state.learnt_n + 1,
    )


def _hits_of(learn: TimedTexts, pool: TimedTexts) -> Callable[[TimedTexts], Floats]:
    witnesses = _learnt(*(part.tobytes() for rows in (learn, pool) for part in rows.texts))
    return lambda rows: witnesses.hits(rows.texts)


@lru_cache(maxsize=8)
def _learnt(*parts: bytes) -> Witnesses:
    """Panes with few texts ask for the same one again and again."""
    arrays = [np.frombuffer(part, dtype) for part, dtype in zip(parts, [np.uint16, np.int32] * 2, strict=True)]
    learn, pool = Texts(*arrays[:2]), Texts(*arrays[2:])
    return learn_texts(learn, pool, (pool.n,))
