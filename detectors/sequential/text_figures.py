"""The texts' own figures move away from the reference's: length, setting, new words. One pane may be enough."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from detectors.combine import mean_e_detector, mean_e_value
from detectors.of_reference import of_reference, same_in_reference
from detectors.registry import register
from detectors.rhythm import Rhythm, why_not_yet
from detectors.sequential.bets import check_rates, is_reached
from detectors.sequential.conformal_numeric import ConformalNumeric, NumericState
from detectors.sequential.ranks import reference_radius
from detectors.sequential.recent import add_sums, begun, latest, no_sums
from detectors.sequential.text_measures import MEASURES, known_words, measured
from detectors.sequential.way_back import not_over
from detectors.sketches.records import AT
from detectors.thinning import drawn_rows
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Reference, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_N = len(MEASURES)
_LEARN_N, _KNOWN_N, _PANE_N = 2_048, 16_384, 4_000
_OF_TIES = "; what evidence there is comes from the random order of equal figures, and is no alarm"


@dataclass(frozen=True, kw_only=True)
class FiguresState:
    """A state of `conformal_numeric` for each figure."""

    known: NDArray[np.uint32] = of_reference()
    """Hashed words of half of the reference texts, sorted."""
    means: Floats = same_in_reference()
    """Of each figure in the reference, and the share of missing texts."""
    figures: tuple[NumericState, ...]
    recent: Floats = field(default_factory=lambda: no_sums(_N + 1))
    """Sums of each figure over texts that are there, and missing texts."""
    is_on: bool = False
    """Whether it alarmed, and a figure's change is not over since (see `way_back`)."""


@register("text_figures")
@dataclass(frozen=True, kw_only=True)
class TextFigures:
    """Seven figures of each text, each watched as a column of numbers by `conformal_numeric`; their mean is the evidence.

    Length, characters a word; shares of capitals, of punctuation, of digits and of characters outside ASCII; share of words that half of
    the reference has in none of its texts. Nothing is learnt on the way, so that the first pane of a change can already alarm;
    `text_witness`, which learns what the change is, sees those that leave all seven alone. New words are ranked among the reference's other
    half, all else among the whole of it. A mean of e-detectors is one; seven cost log10(7) = 0.85 of the evidence. A figure whose evidence
    is of ties (see `ties`) has no part in an alarm. An alarm stays on while a figure's change does (see `way_back`). `value` is the largest
    distance of a figure from the reference's, its interval holds for all of them together.
    """

    column: str
    """Subject of the column: "input.text", "output.text"."""
    alpha: float
    """1 / mean panes between false alarms."""
    delta: float = 0.01
    """Chance that the reference is further off than the radius of any figure; then the promise is void for the epoch."""
    rhythm: Rhythm = Rhythm.NONE
    """Which texts are compared with each other."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.TEXT})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with texts"
    assumption: ClassVar[str] = (
        "reference texts are independent draws; given the past, a text has the reference's distribution (with a rhythm: that of its hour)"
    )
    cost: ClassVar[str] = "15 microseconds a short text (first 4,000 of a pane); state of at most 7 x 512 cells (with a rhythm 7 x 4,096)"
    source: ClassVar[str] = "Vovk et al. 2021, Retrain or not retrain; Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532"

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)

    @classmethod
    def example(cls) -> TextFigures:
        """For contract tests and documentation."""
        return cls(column="input.text", alpha=0.01, delta=0.01)

    @property
    def subject(self) -> str:
        """The column."""
        return self.column

    def start(self, reference: Reference) -> FiguresState:
        """Words of half of the reference texts, drawn, are known (of a large reference 2,048); figures of at most 16,384, drawn."""
        texts = reference.columns.get(self.column, np.empty(0, dtype=object))
        rows = drawn_rows(len(texts), _KNOWN_N)
        learnt = np.random.default_rng(len(rows)).permutation(rows)[: min(math.ceil(len(rows) / 2), _LEARN_N)]  # as `halves` draws
        known = known_words(texts[learnt].tolist())
        figures = measured(texts[rows].tolist(), known)
        is_free = ~np.isin(rows, learnt)
        states = []
        for i, inner in enumerate(self._inner()):
            kept = is_free if i == _N - 1 else np.ones(len(rows), dtype=np.bool_)
            columns = {inner.column: figures[kept, i], **_times(reference.columns, len(texts), rows[kept])}
            states.append(inner.start(replace(reference, columns=columns)))
        figures[~is_free, -1] = np.nan  # their own words are known
        return FiguresState(known=known, means=_means(figures), figures=tuple(states))

    def step(self, state: FiguresState, data: Increment) -> tuple[FiguresState, Verdict]:
        """One closed pane; one without texts is no step."""
        texts = data.columns.get(self.column, np.empty(0, dtype=object))
        rows = np.arange(min(len(texts), _PANE_N))
        figures = measured(texts[rows].tolist(), state.known)
        times = _times(data.columns, len(texts), rows)
        stepped = [
            inner.step(own, replace(data, columns={inner.column: figures[:, i], **times}))
            for i, (inner, own) in enumerate(zip(self._inner(), state.figures, strict=True))
        ]
        verdicts = [verdict for _, verdict in stepped]
        if len(rows) and any(verdict.n for verdict in verdicts):
            log10_e = self._evidence(verdicts).log10_e
            sums = np.append(np.nansum(figures, axis=0), np.isnan(figures[:, 0]).sum())
            recent = add_sums(state.recent, len(rows), sums, log10_e=log10_e, alpha=self.alpha)
            state = self._kept_on(replace(state, figures=tuple(own for own, _ in stepped), recent=recent), verdicts)
        return state, self._verdict(state, verdicts)

    def _kept_on(self, state: FiguresState, verdicts: Sequence[Verdict]) -> FiguresState:
        """With an alarm on, until no figure's change is."""
        is_new = is_reached(self._evidence(self._moved(state, verdicts)).log10_e, self.alpha)
        is_on = is_new or (state.is_on and any(own.log_back is not None for own in state.figures))
        return replace(state, is_on=is_on, recent=begun(state.recent) if is_on and not state.is_on else state.recent)

    def _inner(self) -> list[ConformalNumeric]:
        """One for each figure; their deltas add up to this one's."""
        return [
            ConformalNumeric(column=f"{self.subject}.{m.name}", alpha=self.alpha, delta=self.delta / _N, rhythm=self.rhythm)
            for m in MEASURES
        ]

    def _evidence(self, verdicts: Sequence[Verdict]) -> EDetectorValue:
        found = [verdict.evidence for verdict in verdicts if isinstance(verdict.evidence, EDetectorValue)]
        return replace(mean_e_detector(found, alpha=self.alpha), delta=self.delta)

    def _verdict(self, state: FiguresState, verdicts: list[Verdict]) -> Verdict:
        evidence, moved = self._evidence(verdicts), self._moved(state, verdicts)
        is_alarm = state.is_on
        n, sums = latest(state.recent, is_alarm=is_reached(self._evidence(moved).log10_e, self.alpha))
        told = [verdict for verdict in verdicts if verdict.n]
        if n == 0 or not told:
            outcome, because = Outcome.INSUFFICIENT, why_not_yet(max(s.reference_n for s in state.figures), self.rhythm)
            value, low, high = 0.0, 0.0, 1.0
        else:
            value = max(verdict.value for verdict in told)
            more = [reference_radius(v.n, 0.05 / _N) - reference_radius(v.n, 0.05) for v in told]  # so that all hold at once
            low = max(max(0.0, v.low - m) for v, m in zip(told, more, strict=True))
            high = max(min(1.0, v.high + m) for v, m in zip(told, more, strict=True))
            outcome = Outcome.ALARM if is_alarm else Outcome.OK
            because = self._because(state, moved, n, sums) if is_alarm else f"no figure of the last {n} texts has moved"
            because += _OF_TIES if is_reached(evidence.log10_e, self.alpha) and not is_alarm else ""
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=evidence,
            value=value,
            low=low,
            high=high,
            n=n,
            because=because,
            e_value=mean_e_value([verdict.e_value for verdict in verdicts if verdict.e_value is not None]),
        )

    def _moved(self, state: FiguresState, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """The same, without the evidence of figures whose evidence is of ties."""
        nothing = EDetectorValue(log10_e=-300.0, alpha=self.alpha, delta=self.delta / _N)
        each = zip(self._inner(), state.figures, verdicts, strict=True)
        return [replace(verdict, evidence=nothing) if inner.is_of_ties(own) else verdict for inner, own, verdict in each]

    def _because(self, state: FiguresState, verdicts: list[Verdict], n: int, sums: Floats) -> str:
        """By the figure that brought the most evidence, of those whose change is on."""
        now, missing = sums[:-1] / max(1.0, n - sums[-1]), sums[-1] / n
        if missing - state.means[-1] > 0.5 * max(verdict.value for verdict in verdicts):
            return f"texts are missing: {missing:.0%} of the last {n}, {state.means[-1]:.0%} of the reference"
        found = [v.evidence.log10_e if isinstance(v.evidence, EDetectorValue) else -np.inf for v in verdicts]
        first = max(range(_N), key=lambda i: (state.figures[i].log_back is not None, found[i]))
        measure, verdict = MEASURES[first], verdicts[first]
        said = measure.more if now[first] > state.means[first] else measure.less
        now_is, was = (f"{100.0 * x:.3g}%" if measure.is_share else f"{x:.3g}" for x in (now[first], state.means[first]))
        timed = "" if self.rhythm is Rhythm.NONE else f", compared {self.rhythm.words}"
        means = f"on average {now_is} {measure.unit} in the last {n} texts, {was} in the reference"
        return f"{said}: {means} ({verdict.value:.2f} apart{timed})" + not_over(state.figures[first], n, of="texts")


def _times(columns: Mapping[str, NDArray[Any]], n: int, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """When these rows were, if that is known of all n."""
    ats = columns.get(AT)
    return {} if ats is None or len(ats) != n else {AT: ats[rows]}


def _means(figures: Floats) -> Floats:
    """Of each figure over the texts that have it, and the share of missing texts, shape (measures + 1,)."""
    is_there = ~np.isnan(figures)
    return np.append(np.nansum(figures, axis=0) / np.maximum(1, is_there.sum(axis=0)), 1.0 - is_there[:, 0].sum() / max(1, len(figures)))
