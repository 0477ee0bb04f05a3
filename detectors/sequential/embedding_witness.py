"""Embeddings move away from their reference: a kernel witness learnt on the way bets, honest about the finite reference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from detectors.registry import register
from detectors.rhythm import Rhythm
from detectors.sequential.bets import check_bets, check_rates
from detectors.sequential.hour_witness import HourState, is_half_a, read_rows, said_by_hour, start_by_hour, step_by_hour
from detectors.sequential.kernel_witness import KernelWitness, learn_witness
from detectors.sequential.purse import Purse, e_value_of
from detectors.sequential.row_bets import PANE_N, bet, halves, latest_rows
from detectors.sequential.timed_rows import TimedValues, hours_in
from detectors.sequential.wager import LEAST_N, Named, Wealth, no_wealth, said, why_not_yet
from detectors.sequential.witness import CUTS
from detectors.types import Eats, EDetectorValue, Increment, Kind, Reference, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Vectors = NDArray[np.float32]
    ByHour = HourState[TimedValues]

_MOVED = "embeddings differ from the reference"
_DIMENSIONS_N = 96
POOLS_ROWS_N = (32, 128, 512)
"""The last so many production vectors that each of three witnesses learns from: the first from one pane of a change, undiluted."""
_HITS_N = len(POOLS_ROWS_N) * len(CUTS)
_SEED = 20_230_500


@dataclass(frozen=True, kw_only=True)
class EmbeddingState:
    """Vectors of length 1 in at most 96 dimensions, shape (rows, dimensions), and the wealth of each bet."""

    learn: Vectors
    """Half A of the reference."""
    hold: Vectors
    """Half B: only ever used to bound how often the witness hits the reference."""
    pool: Vectors
    """At most 512 production vectors that the present witness learns from."""
    fresh: Vectors
    """Vectors since then."""
    center: Floats
    """Mean of half A: embeddings lie in a narrow cone."""
    learnt_n: int = 0
    n: int = 0
    log_m: Floats = field(default_factory=lambda: no_wealth(_HITS_N).log_m)
    recent: Floats = field(default_factory=lambda: no_wealth(_HITS_N).recent)
    purse: Purse = field(default_factory=lambda: no_wealth(_HITS_N).purse)

    def __post_init__(self) -> None:
        check_bets(self.log_m, no_wealth(_HITS_N).log_m)


@register("embedding_witness")
@dataclass(frozen=True, kw_only=True)
class EmbeddingWitness:
    """Two-sample testing of embeddings by betting, restarted at every pane: the learnt part of `domain_classifier` for vectors.

    Vectors are scaled to length 1, projected at random where they have more than 96 dimensions (inner products of sums keep within a few
    hundredths), centred by half A and scaled again. Without an alarm a missing vector (a NaN) is left out: `mmd` counts them.
    """

    column: str
    """Subject of the column: "input.vector"."""
    alpha: float
    """1 / mean panes between false alarms."""
    delta: float = 0.01
    """Chance that any of the bounds from half B ever fails; then the promise is void for the epoch."""
    min_n: int = 100
    """Fewer reference vectors: insufficient."""
    rhythm: Rhythm = Rhythm.NONE
    """Which vectors are compared with each other: see `hour_witness`."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.EMBEDDING})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with vectors"
    assumption: ClassVar[str] = (
        "reference vectors are independent draws; given the past, a vector has the reference's distribution "
        "(with a rhythm: that of its hour)"
    )
    cost: ClassVar[str] = "0.1 s of learning every 32 vectors; 50 microseconds a vector (first 2,000 of a pane); 2,560 vectors of 384 bytes"
    source: ClassVar[str] = "Shekhar & Ramdas 2021, arXiv:2112.09162; Podkopaev & Ramdas 2023, arXiv:2305.00143"

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)
        if self.min_n < 2:  # noqa: PLR2004 (two halves)
            raise ValueError(f"min_n must be at least 2, got {self.min_n}; 100 vectors can show a large shift")

    @classmethod
    def example(cls) -> EmbeddingWitness:
        """For contract tests and documentation."""
        return cls(column="input.vector", alpha=0.01, delta=0.01)

    @property
    def subject(self) -> str:
        """The column."""
        return self.column

    def start(self, reference: Reference) -> EmbeddingState | ByHour:
        """The reference in two halves; with a rhythm by hour."""
        if self.rhythm is not Rhythm.NONE:
            return self._start_by_hour(reference)
        vectors = _projected(reference.columns.get(self.column, np.empty((0, 1))))
        kept, is_learnt = halves(len(vectors))
        center = vectors[kept][is_learnt].mean(axis=0) if len(kept) else np.zeros(vectors.shape[1])
        vectors = _centred(vectors[kept], center)
        none = vectors[:0]
        return EmbeddingState(learn=vectors[is_learnt], hold=vectors[~is_learnt], pool=none, fresh=none, center=center)

    def step(self, state: Any, data: Increment) -> tuple[Any, Verdict]:  # noqa: ANN401 (one of `start`)
        """One closed pane: learn from what was before it, then bet on its vectors; one without vectors is no step."""
        if isinstance(state, HourState):
            return self._step_by_hour(state, data)
        new = _projected(data.columns.get(self.column, np.empty((0, 1)))[:PANE_N])
        if len(new) and new.shape[1] == len(state.center) and len(state.learn) + len(state.hold) >= self.min_n:
            new = _centred(new, state.center)
            if len(state.fresh) >= LEAST_N:
                pool = latest_rows(state.pool, state.fresh)
                state = replace(state, pool=pool, fresh=state.fresh[:0], learnt_n=state.learnt_n + 1)
            if len(state.pool):
                witness = _learnt(state.learn.tobytes(), state.pool.tobytes(), len(state.center))
                before, hold = Wealth(state.log_m, state.recent, state.purse), state.hold.astype(np.float64)
                wealth = bet(
                    before, witness, hold=hold, new=new.astype(np.float64), alpha=self.alpha, delta=self.delta, learnt_n=state.learnt_n
                )
                state = replace(state, **wealth._asdict())
            state = replace(state, fresh=latest_rows(state.fresh, new), n=state.n + len(new))
        return state, self._verdict(state)

    def _start_by_hour(self, reference: Reference) -> ByHour:
        values = reference.columns.get(self.column, np.empty((0, 1)))
        rows, hours = read_rows(len(values)), hours_in(reference.columns, self.column, len(values), self.rhythm)
        read = _timed(values[rows], hours[rows])
        is_learnt = is_half_a(read.hours)
        center = read.values[is_learnt].mean(axis=0) if is_learnt.any() else np.zeros(read.values.shape[1])
        centred = replace(read, values=_centred(read.values, center))
        return start_by_hour(centred, self.rhythm.hours_n, min_n=self.min_n, reading=(center,))

    def _step_by_hour(self, state: ByHour, data: Increment) -> tuple[ByHour, Verdict]:
        values, (center,) = data.columns.get(self.column, np.empty((0, 1))), state.reading
        hours = hours_in(data.columns, self.column, len(values), self.rhythm, otherwise=data.start.timestamp())
        new = _timed(values[:PANE_N], hours[:PANE_N])
        if new.values.shape[1] == len(center):
            new = replace(new, values=_centred(new.values, center))
            state = step_by_hour(state, new, _hits_of, alpha=self.alpha, delta=self.delta)
        return state, said_by_hour(state, new, self.rhythm, "vectors", moved=_MOVED, e_value=e_value_of(state.purse), **self._named())

    def _named(self) -> Named:
        return {"detector": self.name, "subject": self.subject, "alpha": self.alpha, "delta": self.delta}

    def _verdict(self, state: EmbeddingState) -> Verdict:
        known_n = len(state.learn) + len(state.hold)
        return said(
            Wealth(state.log_m, state.recent, state.purse),
            moved=_MOVED,
            not_yet=why_not_yet(known_n=known_n, min_n=self.min_n, seen_n=state.n, rows="vectors"),
            e_value=e_value_of(state.purse),
            **self._named(),
        )


def _timed(values: NDArray[Any], hours: NDArray[np.int16]) -> TimedValues:
    return TimedValues(values=_projected(values), hours=hours[np.isfinite(values).all(axis=1)])


def _projected(values: NDArray[Any]) -> Vectors:
    """Vectors without a NaN, of length 1, in at most 96 dimensions."""
    there = np.asarray(values[np.isfinite(values).all(axis=1)], dtype=np.float64)
    if there.shape[1] > _DIMENSIONS_N:
        there = there @ _projection(there.shape[1])
    return _of_length_1(there)


def _centred(vectors: Vectors, center: Floats) -> Vectors:
    return _of_length_1(vectors - center)


def _of_length_1(vectors: NDArray[Any]) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0.0, length, 1.0), dtype=np.float32)


@cache
def _projection(d: int) -> Floats:
    """Johnson & Lindenstrauss: shape (d, 96), the same in every process."""
    return np.asarray(np.random.default_rng([_SEED, d]).normal(size=(d, _DIMENSIONS_N)) / np.sqrt(_DIMENSIONS_N))


def _hits_of(learn: TimedValues, pool: TimedValues) -> Callable[[TimedValues], Floats]:
    witness = _learnt(learn.values.tobytes(), pool.values.tobytes(), learn.values.shape[1], (len(pool.hours),))
    return lambda rows: witness.hits(rows.values.astype(np.float64))


@lru_cache(maxsize=8)
def _learnt(learn: bytes, pool: bytes, dimensions_n: int, pools: Sequence[int] = POOLS_ROWS_N) -> KernelWitness:
    """Panes with few vectors ask for the same one again and again."""
    known, new = (np.frombuffer(part, np.float32).reshape(-1, dimensions_n).astype(np.float64) for part in (learn, pool))
    return learn_witness(known, new, pools)
