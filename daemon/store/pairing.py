"""From joined labels to labelled pairs: what a label says beside what was answered, by the model's task."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from daemon.settings_encoder import LENGTH
from daemon.store.answers import score_matrix
from daemon.store.asked import asked_columns, length
from daemon.store.values import numbers, objects
from detectors.fairness.intersection import joint_groups
from detectors.types import Pairs
from retrain.dataset.rows import text_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from daemon.settings import ModelSettings
    from daemon.store.answers import Output
    from daemon.store.closed import Join
    from daemon.store.ports import Label, Said

    Floats = NDArray[np.float64]
    Objects = NDArray[np.object_]


class Truth(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What should have been answered: one of them, or none."""

    label: str | None = None
    value: float | None = None
    text: str | None = None
    score: float | None = None


class Pairing:
    """Of one model. Classes meet classes, numbers numbers; a text is judged, or compared with the wanted one."""

    def __init__(self, model: ModelSettings) -> None:
        self._task, self._labels, self._range, self._protected = model.task, model.labels, model.score_range, model.protected()
        self._paired = model.paired()
        wanted = model.monitors.performance
        self._least = wanted.least_label_probability if wanted is not None else None
        self._crossed = model.monitors.fairness.crossed() if model.monitors.fairness is not None else []

    def fits(self, output: Output, truth: Said) -> bool:
        """Whether the truth says something about the answer, of the kind that the task is judged by."""
        if self._task.endswith("classification"):
            return output.label is not None and truth.label is not None
        if self._task == "tabular-regression":
            return _is_number(output.value) and _is_number(truth.value)
        return quality_of(output, truth, self._range) is not None

    def made(
        self,
        outputs: Sequence[Output],
        truths: Sequence[Said],
        groups: Mapping[str, Objects],
        weight: Floats | None = None,
        *,
        inputs: Sequence[Mapping[str, Any]] = (),
        at: Floats | None = None,
    ) -> Pairs:
        """Pairs of answers and truths that fit each other, shape (n,), answered `at`.

        `inputs`: what was asked, of each or of none (see `inputs_of`).
        """
        groups = joint_groups(groups, self._crossed)
        columns = asked_columns(self._paired, inputs) if len(inputs) == len(outputs) else {}
        if self._task.endswith("classification"):
            return Pairs(
                predicted=objects([output.label for output in outputs]),
                label=objects([truth.label for truth in truths]),
                scores=score_matrix([output.scores for output in outputs], self._labels),
                groups=groups,
                weight=weight,
                at=at,
                columns=columns,
            )
        nothing = objects([None] * len(outputs))
        judged: dict[str, Any] = {"predicted": nothing, "label": nothing, "groups": groups, "weight": weight, "at": at}
        if self._task == "tabular-regression":
            given, value = _floats([output.value for output in outputs]), _floats([truth.value for truth in truths])
            return Pairs(**judged, predicted_value=given, value=value, columns=columns)
        quality = _floats([quality_of(output, truth, self._range) for output, truth in zip(outputs, truths, strict=True)])
        columns[f"output.text{LENGTH}"] = numbers([length(output.text) for output in outputs])
        return Pairs(**judged, quality=quality, columns=columns)

    def _planned(self, label: Label) -> float:
        """The chance with which the label was planned; 1 where plans are even and for one that was not planned."""
        return 1.0 if self._least is None or label.probability is None else max(self._least, label.probability)

    def is_pair(self, join: Join) -> bool:
        """Whether a label that found its record makes a pair."""
        return join.state == "joined" and join.output is not None and self.fits(join.output, join.held.label)

    def pairs(self, joins: Iterable[Join]) -> Pairs:
        """Of those that are pairs, in their order."""
        kept = [(join, join.output) for join in joins if join.output is not None and self.is_pair(join)]
        weights = np.array([1.0 / (join.pi * self._planned(join.held.label)) for join, _ in kept], dtype=np.float64)  # (n,)
        groups = {name: objects([join.groups[name] for join, _ in kept]) for name in self._protected}
        weight = None if np.all(weights == 1.0) else weights
        inputs, at = [join.inputs for join, _ in kept], np.array([join.at for join, _ in kept], dtype=np.float64)
        return self.made([output for _, output in kept], [join.held.label for join, _ in kept], groups, weight, inputs=inputs, at=at)


def quality_of(output: Output, truth: Said, score_range: Sequence[float]) -> float | None:
    """A judgement brought to [0, 1]; a wanted text is met (1) or not (0), but for case, spacing and Unicode form; None = neither.

    A judgement outside the range is none: with the wrong range set, a monitor that stays empty is seen, a clipped figure is not.
    """
    if truth.score is not None:
        low, high = score_range
        return (truth.score - low) / (high - low) if low <= truth.score <= high else None
    if truth.text is not None and output.text is not None:
        return float(text_digest(truth.text) == text_digest(output.text))
    return None


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array(values, dtype=np.float64)
