"""Texts move away from their reference: a witness learnt on the way bets, honest about the finite reference."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.registry import register
from detectors.sequential.bets import NOTHING, check_rates, is_reached, log10_mean, log_raise, restart
from detectors.sequential.purse import Purse, e_value_of, full_purse, spend
from detectors.sequential.recent import add_sums, latest, no_sums
from detectors.sequential.text_features import Texts, hash_texts, join, no_texts
from detectors.sequential.witness import POOLS_N, WITNESSES_N, excess, witness_hits
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_LEARN_N, _HOLD_N = 512, 1536
_LEAST_N = 32
_PANE_N = 4000
_STAKES = np.array([0.1, 0.3, 0.6])
_BETS_N = WITNESSES_N * len(_STAKES)


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
    log_m: Floats = field(default_factory=lambda: np.full(_BETS_N, NOTHING))
    recent: Floats = field(default_factory=lambda: no_sums(3 * WITNESSES_N))
    purse: Purse = field(default_factory=lambda: full_purse(_BETS_N))


@register("text_witness")
@dataclass(frozen=True, kw_only=True)
class TextWitness:
    """Two-sample testing by betting with a learnt witness, restarted at every pane (Shiryaev-Roberts).

    Between panes a ridge witness learns half A of the reference against the last 128 and the last 512 texts. It hits texts whose
    score is above the 60, 85 or 95 % quantile of A's leave-one-out scores. Half B, which no witness ever sees, gives an exact upper bound m
    of how often the reference is hit, at delta_k = 6 delta / (pi^2 k^2) for the k-th learning, shared by the six. The next pane's texts are
    bet to be hit more often than m: (q/m)^hits ((1-q)/(1-m))^misses at three q; alarm when the mean of the 18 M <- (M + 1) bet reaches
    1/alpha.
    """

    column: str
    """Subject of the column: "input.text", "output.text"."""
    alpha: float
    """1 / mean panes between false alarms."""
    delta: float = 0.01
    """Chance that any of the bounds from half B ever fails; then the promise is void for the epoch."""
    min_n: int = 100
    """Fewer reference texts: insufficient."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.TEXT})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with texts"
    assumption: ClassVar[str] = "reference texts are independent draws; given the past, a text has the reference's distribution"
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

    def start(self, reference: Reference) -> WitnessState:
        """The reference in two halves, every other text (of a large one at most 512 + 1,536, evenly spread)."""
        values = reference.columns.get(self.column, np.empty(0, dtype=object))
        if len(values) > _LEARN_N + _HOLD_N:
            values = values[np.linspace(0, len(values) - 1, _LEARN_N + _HOLD_N).round().astype(np.int64)]
        stride = max(2, math.ceil(len(values) / _LEARN_N))
        is_learnt = np.arange(len(values)) % stride == 0
        learn, hold = hash_texts(values[is_learnt]), hash_texts(values[~is_learnt])
        return WitnessState(learn_ids=learn.ids, learn_sizes=learn.sizes, hold_ids=hold.ids, hold_sizes=hold.sizes)

    def step(self, state: WitnessState, data: Increment) -> tuple[WitnessState, Verdict]:
        """One closed pane: learn from what was before it, then bet on its texts; one without texts is no step."""
        values = data.columns.get(self.column, np.empty(0, dtype=object))
        if len(values) and self._has_reference(state):
            state = _learn_anew(state)
            texts = hash_texts(values[:_PANE_N])
            if len(state.pool_sizes) >= _LEAST_N:
                state = self._bet(state, texts)
            fresh = join(Texts(state.fresh_ids, state.fresh_sizes), texts, last_n=POOLS_N[-1])
            state = replace(state, fresh_ids=fresh.ids, fresh_sizes=fresh.sizes, n=state.n + texts.n)
        return state, self._verdict(state)

    def _has_reference(self, state: WitnessState) -> bool:
        return len(state.learn_sizes) + len(state.hold_sizes) >= self.min_n

    def _bet(self, state: WitnessState, texts: Texts) -> WitnessState:
        delta_k = 6.0 * self.delta / (math.pi**2 * state.learnt_n**2)
        pool = Texts(state.pool_ids, state.pool_sizes)
        learn, hold = Texts(state.learn_ids, state.learn_sizes), Texts(state.hold_ids, state.hold_sizes)
        found = witness_hits(learn=learn, pool=pool, hold=hold, new=texts, delta=delta_k)
        is_open = (found.bound < 1.0)[:, None]  # a bound of 1 leaves nothing to bet on
        bound = np.where(is_open, found.bound[:, None], 0.5)
        log_bets = np.where(is_open, log_raise(texts.n, found.hits[:, None], bound, bound + _STAKES * (1.0 - bound)), 0.0)
        log_m = restart(state.log_m, log_bets.ravel(), alpha=self.alpha)
        sums = np.concatenate([found.hits, texts.n * found.expected, texts.n * found.bound])
        recent = add_sums(state.recent, texts.n, sums, log10_e=log10_mean(log_m), alpha=self.alpha)
        return replace(state, log_m=log_m, recent=recent, purse=spend(state.purse, log_bets.ravel()))

    def _verdict(self, state: WitnessState) -> Verdict:
        log10_e = log10_mean(state.log_m) if state.recent.any() else 0.0
        is_alarm = is_reached(log10_e, self.alpha)
        n, sums = latest(state.recent, is_alarm=is_alarm)
        value, low, high, figures = excess(n, sums)
        if n == 0:
            outcome, because = Outcome.INSUFFICIENT, self._why_not_yet(state)
        elif is_alarm:
            outcome, because = Outcome.ALARM, f"texts differ from the reference: {figures}"
        else:
            outcome, because = Outcome.OK, f"no evidence that texts differ from the reference: {figures}"
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=EDetectorValue(log10_e=log10_e, alpha=self.alpha, delta=self.delta),
            value=value,
            low=low,
            high=high,
            n=n,
            because=because,
            e_value=e_value_of(state.purse),
        )

    def _why_not_yet(self, state: WitnessState) -> str:
        n = len(state.learn_sizes) + len(state.hold_sizes)
        if n < self.min_n:
            return f"the reference has {n} texts, {self.min_n} are needed"
        return f"{state.n} production texts so far; the witness learns from the first {_LEAST_N}, then bets on the next pane"


def _learn_anew(state: WitnessState) -> WitnessState:
    """The pool takes in what came since, once that is worth a new witness."""
    fresh = Texts(state.fresh_ids, state.fresh_sizes)
    if fresh.n < _LEAST_N:
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
