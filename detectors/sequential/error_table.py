"""Labelled rows in two halves, and how likely an answer is wrong: learnt on half A, so that half B is as new to it as production is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from detectors.performance.scored import numbered
from detectors.sequential.logistic import fit, logits
from detectors.sequential.row_bets import halves
from detectors.sequential.table import Coding, coding_of, encode, normal_features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from detectors.types import Pairs

    Floats = NDArray[np.float64]
    Codes = NDArray[np.uint8]
    Columns = Mapping[str, NDArray[Any]]

OUTPUTS = ("output.label", "output.confidence", "output.margin")
"""What of an answer is an input's trace: the label, the highest score, and by how much it leads (of more than two classes)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorTable:
    """At most 512 + 1,536 labelled rows as codes (see `table`), shape (rows, columns)."""

    subjects: tuple[str, ...]
    knots: dict[str, Floats]
    names: dict[str, tuple[str, ...]]
    learn: Codes
    hold: Codes
    kept: NDArray[np.int64]
    """Which of the reference's pairs half B is."""
    coefficients: Floats
    """Of the chance that an answer is wrong, on `features`."""

    def encode(self, columns: Columns, n: int) -> Codes:
        """Codes of n rows."""
        return encode(Coding(self.knots, self.names), self.subjects, columns, n)

    def features(self, codes: Codes) -> Floats:
        """Shape (n, features)."""
        return normal_features(Coding(self.knots, self.names), self.subjects, codes)

    def risk(self, rows: Floats) -> Floats:
        """Chance that the answer is wrong, of rows of `features`, shape (n,)."""
        return np.asarray(expit(logits(self.coefficients, rows)), dtype=np.float64)


def table_of(bound: Pairs, columns: Sequence[str]) -> ErrorTable | None:
    """Of labelled reference pairs and these of their columns; None below eight pairs."""
    if bound.n < 8:  # noqa: PLR2004 (two halves of four)
        return None
    traces = inputs_of(bound.columns, bound.predicted, bound.scores, columns)
    kept, is_learnt = halves(bound.n)
    learn_rows = {c: values[kept[is_learnt]] for c, values in traces.items()}
    coding, subjects = coding_of(learn_rows), tuple(traces)
    learn = encode(coding, subjects, learn_rows, int(is_learnt.sum()))
    hold = encode(coding, subjects, {c: values[kept[~is_learnt]] for c, values in traces.items()}, int((~is_learnt).sum()))
    rows, wrong = normal_features(coding, subjects, learn), bound.loss[kept[is_learnt]] > 0.0
    coefficients = fit(rows, wrong, np.ones(len(rows)))
    return ErrorTable(
        subjects=subjects, knots=coding.knots, names=coding.names, learn=learn, hold=hold, kept=kept[~is_learnt], coefficients=coefficients
    )


def inputs_of(columns: Columns, predicted: NDArray[np.object_], scores: Floats | None, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """What a model was asked, as far as it is known: the wanted columns, and the traces of the input in the answer (`OUTPUTS`)."""
    found = {c: columns[c] for c in wanted if c in columns} | {OUTPUTS[0]: predicted}
    if scores is None:
        return found
    ordered = np.sort(np.where(np.isnan(scores), -1.0, scores), axis=1)  # (n, k)
    top = ordered[:, -1]
    found[OUTPUTS[1]] = np.where(top < 0.0, np.nan, top)
    if scores.shape[1] > 2:  # noqa: PLR2004 (of two classes the confidence says all)
        found[OUTPUTS[2]] = np.where(ordered[:, -2] < 0.0, np.nan, top - ordered[:, -2])
    return found


def surprise(pairs: Pairs, risk: Floats, labels: Sequence[str], uniforms: Floats) -> Floats:
    """How surprising each true label is given the input, shape (n,): uniform on (0, 1), whatever the inputs, while `risk` is right.

    The classes in the order "as answered", then by falling score; the chance of those before the true one and a random part of its own:
    1 - `risk` is the answer's chance, the others share `risk` by their scores (evenly at random where there are none).
    """
    place = _place_among_others(pairs, labels, uniforms)
    return np.where(pairs.loss > 0.0, 1.0 - risk + risk * place, (1.0 - risk) * uniforms)


def _place_among_others(pairs: Pairs, labels: Sequence[str], uniforms: Floats) -> Floats:
    """Chance, given that the answer is wrong, of classes likelier than the true one, and a random part of its own, shape (n,)."""
    scores = pairs.scores
    if scores is None or scores.shape[1] != len(labels) or len(labels) < 3:  # noqa: PLR2004 (of two there is one other)
        return uniforms
    rows, truth, said = np.arange(pairs.n), numbered(pairs.label, labels), numbered(pairs.predicted, labels)
    others = np.where(np.isnan(scores), 0.0, scores)
    others[rows[said >= 0], said[said >= 0]] = 0.0
    own, total = others[rows, truth], others.sum(axis=1)
    before = np.where(others > own[:, None], others, 0.0).sum(axis=1)
    is_known = (truth >= 0) & (total > 0.0)
    return np.where(is_known, (before + own * uniforms) / np.where(total > 0.0, total, 1.0), uniforms)
