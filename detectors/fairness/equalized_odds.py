"""Equalised odds: whether groups get the same true and false positive rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.fairness.gap import Groups, cells, check_settings, gap_interval, gap_verdict, groups_of
from detectors.performance.rate import Unused
from detectors.registry import register
from detectors.types import Eats, Kind, Score

if TYPE_CHECKING:
    from detectors.types import Reference, Verdict, Window


@register("equalized_odds")
@dataclass(frozen=True, kw_only=True)
class EqualizedOdds:
    """Equalised odds difference: the larger of the gaps in true and in false positive rate between groups, with an exact interval.

    fairlearn's definition, computed by its MetricFrame on the confusion counts as weights. n = labelled pairs of the judged groups.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.GROUPS})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "the interval holds with at least 1 - alpha at one look, for every n and number of groups"
    assumption: ClassVar[str] = "pairs independent; speaks of labelled records of known groups only; one sampling ratio"
    cost: ClassVar[str] = "fairlearn on 4 weighted rows a group, some 30 ms a look; nothing per record; needs labels and groups"
    source: ClassVar[str] = "Hardt, Price & Srebro 2016 (equalised odds); fairlearn (definition of the difference); Clopper & Pearson 1934"

    by: str
    """Protected column, bare name: "age_band"."""
    positive: str
    """The label that counts as the favourable answer; all others are the rest."""
    maximum: float = 0.1
    """Alarm when the interval's lower end is above this."""
    alpha: float = 0.05
    """The interval holds with 1 - alpha."""
    min_n: int = 50
    """A group with fewer labelled pairs is not judged."""

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        check_settings(self.maximum, self.alpha, self.min_n)

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(by="age_band", positive="positive")

    @property
    def subject(self) -> str:
        """By one column."""
        return f"equalized_odds_difference[by={self.by}]"

    def start(self, reference: Reference) -> Unused:  # noqa: ARG002 (a gap needs no reference)
        """Nothing is kept."""
        return Unused()

    def step(self, state: Unused, data: Window) -> tuple[Unused, Verdict]:
        """One look at a window."""
        groups = groups_of(data, by=self.by, positive=self.positive, min_n=self.min_n, needs_both_labels=True)
        figure = None if len(groups.judged) < 2 else equalized_odds_gap(groups, self.alpha)  # noqa: PLR2004 (a gap is between two)
        parts = {
            group: f"true positive rate {r.tp / (r.tp + r.fn):.3f}, false {r.fp / (r.fp + r.tn):.3f} (n = {sum(r)})"
            for group, r in groups.judged.items()
        }
        verdict = gap_verdict(groups, detector=self.name, subject=self.subject, maximum=self.maximum, figure=figure, parts=parts)
        return state, verdict


def equalized_odds_gap(groups: Groups, alpha: float) -> tuple[float, float, float]:
    """Value by fairlearn, and the ends of its interval, all in [0, 1]; every group has both true labels."""
    from fairlearn.metrics import MetricFrame, false_positive_rate, true_positive_rate  # noqa: PLC0415 (slow to import: when first used)

    rows = cells(groups)
    weights = {"sample_weight": rows["weight"]}
    frame = MetricFrame(
        metrics={"tpr": true_positive_rate, "fpr": false_positive_rate},
        y_true=rows["truth"],
        y_pred=rows["answer"],
        sensitive_features=rows["group"],
        sample_params={"tpr": weights, "fpr": weights},
    )
    counts = groups.judged.values()
    families = [[(r.tp, r.tp + r.fn) for r in counts], [(r.fp, r.fp + r.tn) for r in counts]]
    return float(frame.difference(method="between_groups").max()), *gap_interval(families, alpha)
