"""Weighted conformal martingales on inputs, and on what is right for them: which of the two moved (WATCH)."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

import numpy as np

from detectors.registry import register
from detectors.rhythm import Rhythm
from detectors.sequential.bets import check_bets, check_rates, is_reached
from detectors.sequential.error_table import ErrorTable, asked_of, figure_of, loss_over, surprise, table_of, with_loss
from detectors.sequential.hour_limits import bound_hours, hours_of_pairs
from detectors.sequential.hour_ranks import HourRanks, hour_ranks, ranked_within
from detectors.sequential.ladder import expected_rank
from detectors.sequential.loss import Loss
from detectors.sequential.ranks import rank_uniforms
from detectors.sequential.recent import add_sums, latest, no_sums
from detectors.sequential.reweighting import NO_HOURS, Reweighting, effective_n, no_weights, opened, relearnt, taken, watched
from detectors.sequential.row_bets import PANE_N, halves
from detectors.sequential.wealth import Wealth, grown, log10_of, no_wealth
from detectors.sequential.weighted_ranks import RANK_WEIGHTS, Ranks, forgotten, ranks_of
from detectors.types import Eats, Increment, Kind, Outcome, Reference, Score, Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from detectors.types import Pairs

    Floats = NDArray[np.float64]

_LEAST_EFFECTIVE_N = 30.0
_WIDTH = 1.96


@dataclass(frozen=True, kw_only=True)
class GivenInputsState:
    """Labelled reference rows, their weights, and two martingales beside each other."""

    table: ErrorTable | None
    wrong: Floats
    """Loss of half B's answers, in [0, 1], shape (n,); of classes whether they are wrong."""
    risk: Floats
    """Loss to expect of them by `table`, shape (n,)."""
    inputs: Ranks | HourRanks
    """Of half B's `risk`: the score of an input."""
    labels: Ranks | HourRanks
    """Of half B's surprise: the score of an input and what is right for it."""
    weights: Reweighting | None
    on_inputs: Wealth = field(default_factory=lambda: no_wealth(len(RANK_WEIGHTS)))
    on_labels: Wealth = field(default_factory=lambda: no_wealth(len(RANK_WEIGHTS)))
    recent: Floats = field(default_factory=lambda: no_sums(4))
    """Of risk, its square, loss less risk, its square."""
    n: int = 0
    step_n: int = 0
    is_over: bool = False
    """The last pane has proven that inputs moved: the next one begins anew."""

    def __post_init__(self) -> None:
        check_bets(self.on_inputs.log_m, RANK_WEIGHTS)


class _Pane(NamedTuple):
    """Labelled pairs of one pane, as the martingales read them."""

    codes: NDArray[np.uint8]
    rows: Floats
    risk: Floats
    wrong: Floats
    surprise: Floats
    uniforms: Floats
    """Shape (2, 2, n): for each martingale two a row."""
    hours: NDArray[np.int64]
    """Of a rhythm; none where all are alike."""


@register("conformal_inputs")
@dataclass(frozen=True, kw_only=True)
class ConformalInputs:
    """Do weights explain the inputs of labelled records? Before they are in use: have these inputs moved?

    An input's score is the loss to expect, learnt on half A of the bound rows (of classes: the chance of an error). Its rank among half
    B's rows, weighted, and all since is bet against being uniform (Shiryaev-Roberts, as `conformal_numeric`). Weights are 1 until inputs
    are proven to have moved (`reweighting`); both martingales then begin anew. With a rhythm, and bound rows that carry a time, rows are
    ranked and weighted within their hours (`hour_ranks`): other inputs at another hour are no move.
    """

    labels: tuple[str, ...] = ()
    """The classes, in the order of the scores; none where answers are no classes."""
    columns: tuple[str, ...] = ()
    """Subjects of `Pairs.columns`; the answer's label, confidence and margin, or its number, are always read."""
    alpha: float = 0.001
    """1 / mean panes between false words, while inputs have not moved."""
    level: float = 0.01
    """P(ever a false word) from when inputs have moved, as far as the weights are right."""
    delta: float = 0.01
    """Share of that rate, and chance, that weights come into use though nothing moved."""
    min_n: int = 100
    """Fewer labelled reference rows: insufficient."""
    rhythm: Rhythm = Rhythm.NONE
    """Which records are compared with each other."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.EXPLAINS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.TABLE, Eats.SCORES})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = (
        "while inputs do not move, a mean of at least (1 - delta)/alpha panes with labels between false words; with moved inputs none: as "
        "good as the weights, see docs/decisions/0019"
    )
    assumption: ClassVar[str] = (
        "bound rows are independent draws; given the past, a labelled record has their distribution (with a rhythm: that of its "
        "hour); weights: the logarithm of the density "
        "ratio is a sum over columns"
    )
    cost: ClassVar[str] = "1 to 4 ms a pane of up to 50 pairs, 12 ms of 2,000 (later ones are left out); state of 120 KB for 4 columns"
    source: ClassVar[str] = "Prinster, Han, Liu & Saria 2025, WATCH, arXiv:2505.04608; Tibshirani et al. 2019, arXiv:1904.06019"
    loss: ClassVar[Loss] = Loss.ERROR
    loss_name: ClassVar[str] = "errors"
    right_name: ClassVar[str] = "labels"
    right: ClassVar[str] = "what is right for"
    is_about_labels: ClassVar[bool] = False
    least_weighted_n: ClassVar[int] = 0
    """Records that weights are learnt from before anything is bet on labels by them."""

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)
        check_rates(self.level, self.delta)
        if self.min_n < 8:  # noqa: PLR2004 (two halves of four)
            raise ValueError(f"min_n must be at least 8, got {self.min_n}; 100 rows can show a shift")

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        labels = ("negative", "positive") if cls.loss is Loss.ERROR else ()
        return cls(labels=labels, columns=("input.age", "input.channel"), alpha=0.01, delta=0.01)

    @property
    def subject(self) -> str:
        """What it asks about."""
        return f"{self.right_name} given inputs" if self.is_about_labels else "inputs"

    def start(self, reference: Reference) -> GivenInputsState:
        """The bound rows in two halves."""
        bound = with_loss(reference.bound, self.loss)
        table = table_of(bound, self.columns, self.loss)
        if table is None:
            none = Ranks(values=np.empty(0), keys=np.empty(0), rows=np.empty(0, dtype=np.int64), counts=np.empty(0))
            return GivenInputsState(table=None, wrong=np.empty(0), risk=np.empty(0), inputs=none, labels=none, weights=None)
        hold, rows = bound.take(table.kept), table.features(table.hold)
        seed = np.frombuffer(hashlib.sha256(table.hold.tobytes()).digest(), np.uint32)
        scores = self._surprise(table, hold, rows, np.random.default_rng(seed).random(hold.n))
        wrong, risk = loss_over(hold, self.loss, table.clip), table.risk(rows)
        inputs: Ranks | HourRanks = ranks_of(risk)
        labels: Ranks | HourRanks = ranks_of(scores)
        learn_hours = NO_HOURS
        if (timed := bound_hours(bound, np.arange(bound.n), self.rhythm)) is not None:
            hours, hours_n = timed
            learn_hours = hours[np.setdiff1d(halves(bound.n)[0], table.kept)]
            inputs = hour_ranks(risk, hours[table.kept], hours_n, table.risk(table.features(table.learn)))
            labels = hour_ranks(scores, hours[table.kept], hours_n, np.linspace(0.0, 1.0, 1000))
        weights = no_weights(table, learn_hours)
        return GivenInputsState(table=table, wrong=wrong, risk=risk, inputs=inputs, labels=labels, weights=weights)

    def step(self, state: GivenInputsState, data: Increment) -> tuple[GivenInputsState, Verdict]:
        """One closed pane's newly labelled pairs; a pane without any is no step."""
        pairs = with_loss(data.pairs, self.loss).take(slice(0, PANE_N))
        if pairs.n and state.table is not None and state.weights is not None and self._reference_n(state) >= self.min_n:
            hours = hours_of_pairs(pairs, len(state.inputs.counts), data.start) if isinstance(state.inputs, HourRanks) else NO_HOURS
            pane = self._pane(state.table, pairs, data.start, state.step_n)._replace(hours=hours)
            weights = relearnt(state.weights, state.table)
            is_renewed = weights.renewed_n > state.weights.renewed_n and self._is_reached(state.on_inputs)
            state = self._folded(_anew(state) if state.is_over or is_renewed else state, state.table, weights, pane)
        return state, self._verdict(state)

    def _pane(self, table: ErrorTable, pairs: Pairs, start: datetime, step_n: int) -> _Pane:
        """Each number is fixed by the pane's start and the step's number: a replay gives the same evidence."""
        codes = table.encode(asked_of(pairs, self.columns), pairs.n)
        rows = table.features(codes)
        drawn = rank_uniforms(start, step_n, 3 * pairs.n, of=self.name).reshape(2, 3, pairs.n)
        found = self._surprise(table, pairs, rows, drawn[0, 2])
        wrong = loss_over(pairs, self.loss, table.clip)
        return _Pane(codes, rows, table.risk(rows), wrong, found, drawn[:, :2].transpose(1, 0, 2), NO_HOURS)

    def _surprise(self, table: ErrorTable, pairs: Pairs, rows: Floats, uniforms: Floats) -> Floats:
        """Of each pair, shape (n,): uniform, whatever the inputs, while what half A says of them is right."""
        if table.ladder is None:
            return surprise(pairs, table.risk(rows), self.labels, uniforms)
        return expected_rank(table.ladder, rows, figure_of(pairs, self.loss), uniforms)

    def _folded(self, state: GivenInputsState, table: ErrorTable, weights: Reweighting, pane: _Pane) -> GivenInputsState:
        """Bet on the pane by the weights as they were before it; none on labels where it proves that inputs have moved."""
        rates = {"alpha": self.alpha, "level": self.level}
        log_bets, inputs = ranked_within(state.inputs, weights.weight, pane.risk, pane.hours, pane.uniforms[0])
        on_inputs = grown(state.on_inputs, log_bets, **rates)
        if not weights.is_open:
            log10_e, rate = log10_of(on_inputs, RANK_WEIGHTS), self.alpha * self.delta / 2.0
            weights = watched(weights, pane.rows, log10_e, alpha=rate, delta=self.delta / 2.0)
            if weights.is_open:
                weights = opened(weights, table, pane.codes, pane.hours)
                return replace(state, weights=weights, on_inputs=on_inputs, is_over=True, step_n=state.step_n + 1)
        log_bets, labels = ranked_within(state.labels, weights.weight, pane.surprise, pane.hours, pane.uniforms[1])
        is_misfit = self._is_reached(on_inputs)  # ranks of labels by weights that are wrong are no evidence, nor were those before
        on_labels = state.on_labels
        if is_misfit and weights.is_open:
            on_labels, labels = no_wealth(len(RANK_WEIGHTS), is_e_process=True), forgotten(labels)
        elif not is_misfit and (not weights.is_open or weights.since_n >= self.least_weighted_n):
            on_labels = grown(on_labels, log_bets, **rates)
        log10_e = log10_of(on_labels if self.is_about_labels else on_inputs, RANK_WEIGHTS)
        unexplained = pane.wrong - pane.risk
        sums = np.array([x.sum() for x in (pane.risk, pane.risk**2, unexplained, unexplained**2)])
        return replace(
            state,
            inputs=inputs,
            labels=labels,
            weights=taken(weights, pane.codes, pane.hours),
            on_inputs=on_inputs,
            on_labels=on_labels,
            recent=add_sums(state.recent, len(pane.risk), sums, log10_e=log10_e, alpha=self._called(on_labels)),
            n=state.n + len(pane.risk),
            step_n=state.step_n + 1,
        )

    def _called(self, wealth: Wealth) -> float:
        """1 / the wealth that is called a shift."""
        return self.level if wealth.is_e_process else self.alpha

    def _is_reached(self, wealth: Wealth) -> bool:
        return is_reached(log10_of(wealth, RANK_WEIGHTS), self._called(wealth))

    def _reference_n(self, state: GivenInputsState) -> int:
        return 0 if state.table is None else len(state.table.learn) + len(state.table.hold)

    def _verdict(self, state: GivenInputsState) -> Verdict:
        wealth = state.on_labels if self.is_about_labels else state.on_inputs
        log10_e, limit = log10_of(wealth, RANK_WEIGHTS) if state.step_n else 0.0, -math.log10(self._called(wealth))
        if state.is_over and not self.is_about_labels:
            log10_e = max(log10_e, limit)
        is_alarm = log10_e >= limit
        n, sums = latest(state.recent, is_alarm=is_alarm)
        value, low, high = self._figures(state, n, sums)
        outcome, because = self._outcome(state, n, is_alarm=is_alarm)
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=Score(distance=log10_e, limit=limit),
            value=value,
            low=low,
            high=high,
            n=n,
            because=because if n == 0 else f"{because}: {self._told(state, n, value, low, high)}",
        )

    def _figures(self, state: GivenInputsState, n: int, sums: Floats) -> tuple[float, float, float]:
        """How much higher production's mean is than half B's weighted one: of the risk, or of the loss that it leaves unexplained."""
        clip = 1.0 if state.table is None else state.table.clip
        if n == 0 or state.weights is None:
            return 0.0, -clip, clip
        reference = state.wrong - state.risk if self.is_about_labels else state.risk
        total, squares = sums[2:] if self.is_about_labels else sums[:2]
        weight = state.weights.weight / state.weights.weight.sum()
        mean, mean_now = float(weight @ reference), float(total) / n
        spread = math.sqrt(float(weight**2 @ (reference - mean) ** 2) + max(0.0, float(squares) / n - mean_now**2) / n)
        value = mean_now - mean
        return clip * value, clip * max(-1.0, value - _WIDTH * spread), clip * min(1.0, value + _WIDTH * spread)

    def _outcome(self, state: GivenInputsState, n: int, *, is_alarm: bool) -> tuple[Outcome, str]:
        if (known_n := self._reference_n(state)) < self.min_n or state.weights is None:
            return Outcome.INSUFFICIENT, f"{known_n} labelled rows are kept for the bound, {self.min_n} are needed"
        if n == 0 and not is_alarm:
            return Outcome.INSUFFICIENT, "no labelled records yet" + (" since the inputs moved" if state.weights.is_open else "")
        return self._said(state, state.weights, is_alarm=is_alarm)

    def _said(self, state: GivenInputsState, weights: Reweighting, *, is_alarm: bool) -> tuple[Outcome, str]:
        if is_alarm:
            is_later = weights.is_open and not state.is_over
            return Outcome.ALARM, "no weights explain how the inputs moved" if is_later else "inputs of labelled records moved"
        return Outcome.OK, "weights explain the inputs" if weights.is_open else "no evidence that inputs of labelled records moved"

    def _told(self, state: GivenInputsState, n: int, value: float, low: float, high: float) -> str:
        about = f"{self.loss_name} that the inputs do not explain" if self.is_about_labels else f"{self.loss_name} expected by the inputs"
        verb, form = ("are", "+.3f") if self.loss is Loss.ERROR else ("is", "+.3g")
        rows = f", bound rows weigh like {effective_n(state.weights.weight):.0f}" if state.weights is not None else ""
        return f"{about} {verb} {value:{form}} on the last {n} labelled records, between {low:{form}} and {high:{form}}{rows}"


@register("conformal_given_inputs")
@dataclass(frozen=True, kw_only=True)
class ConformalGivenInputs(ConformalInputs):
    """Has what is right for the same inputs moved (concept, or label shift), inputs moved or not?

    As `conformal_inputs`, whose score of an input is joined by what is right: how surprising that is (`error_table.surprise`, of what is
    no class `ladder`), which is uniform whatever the inputs while what was learnt of them is right; and while the weights are right,
    whatever was learnt. No bet is made while weights do not explain the inputs.
    """

    is_about_labels: ClassVar[bool] = True

    def _said(self, state: GivenInputsState, weights: Reweighting, *, is_alarm: bool) -> tuple[Outcome, str]:
        like_n = effective_n(weights.weight)
        if state.is_over or self._is_reached(state.on_inputs):
            return Outcome.INSUFFICIENT, "the inputs moved and no weights explain yet how, so that their labels cannot be compared"
        if like_n < _LEAST_EFFECTIVE_N:
            return Outcome.INSUFFICIENT, f"the inputs moved to where the reference has too few rows ({_LEAST_EFFECTIVE_N:.0f} are needed)"
        among = "the same inputs, which moved as well," if weights.is_open else "the same inputs"
        if is_alarm and self.least_weighted_n and weights.is_moving:
            return Outcome.INSUFFICIENT, f"{self.right} {among} seems to have changed, but the inputs may be moving as well"
        if is_alarm:
            return Outcome.ALARM, f"{self.right} {among} has changed"
        return Outcome.OK, f"no evidence that {self.right} {among} has changed"


def _anew(state: GivenInputsState) -> GivenInputsState:
    """Inputs have moved, or the weights are far better known: what came before is forgotten, for it was compared by others."""
    begun = no_wealth(len(RANK_WEIGHTS), is_e_process=True)
    inputs, labels = forgotten(state.inputs), forgotten(state.labels)
    return replace(state, inputs=inputs, labels=labels, on_inputs=begun, on_labels=begun, recent=no_sums(4), n=0, is_over=False)
