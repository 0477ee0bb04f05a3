"""Labelled rows in two halves, and the loss to expect of an answer: learnt on half A, so that half B is as new to it as production is.

A loss is in [0, 1]: of classes an error, 0 or 1; of numbers the absolute error over its clip (see `loss`); of judged answers 1 less the
judgement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from detectors.performance.scored import numbered
from detectors.sequential.ladder import Ladder, ladder_of
from detectors.sequential.logistic import fit, logits
from detectors.sequential.loss import Loss, clip_of
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
VALUE = "output.value"
"""The same of an answer that is a number."""


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
    """Of the loss to expect, on `features`: of classes the chance that the answer is wrong."""
    clip: float = 1.0
    """A loss is divided by it, and 1 where it is larger."""
    ladder: Ladder | None = None
    """Of what is not a class: how far off the answer is, with its sign; or how badly it was judged."""

    def encode(self, columns: Columns, n: int) -> Codes:
        """Codes of n rows."""
        return encode(Coding(self.knots, self.names), self.subjects, columns, n)

    def features(self, codes: Codes) -> Floats:
        """Shape (n, features)."""
        return normal_features(Coding(self.knots, self.names), self.subjects, codes)

    def risk(self, rows: Floats) -> Floats:
        """Loss to expect, of rows of `features`, shape (n,)."""
        return np.asarray(expit(logits(self.coefficients, rows)), dtype=np.float64)


def table_of(bound: Pairs, columns: Sequence[str], loss: Loss = Loss.ERROR) -> ErrorTable | None:
    """Of labelled reference pairs that have the loss, and these of their columns; None below eight pairs."""
    if bound.n < 8:  # noqa: PLR2004 (two halves of four)
        return None
    traces = asked_of(bound, columns)
    kept, is_learnt = halves(bound.n)
    learn_rows = {c: values[kept[is_learnt]] for c, values in traces.items()}
    coding, subjects = coding_of(learn_rows), tuple(traces)
    learn = encode(coding, subjects, learn_rows, int(is_learnt.sum()))
    hold = encode(coding, subjects, {c: values[kept[~is_learnt]] for c, values in traces.items()}, int((~is_learnt).sum()))
    rows, learnt, clip = normal_features(coding, subjects, learn), bound.take(kept[is_learnt]), clip_of(bound, loss, ())
    return ErrorTable(
        subjects=subjects,
        knots=coding.knots,
        names=coding.names,
        learn=learn,
        hold=hold,
        kept=kept[~is_learnt],
        coefficients=fit(rows, loss_over(learnt, loss, clip), np.ones(len(rows))),
        clip=clip,
        ladder=None if loss is Loss.ERROR else ladder_of(rows, figure_of(learnt, loss)),
    )


def loss_over(pairs: Pairs, loss: Loss, clip: float) -> Floats:
    """In [0, 1], shape (n,); NaN = a pair has none."""
    return np.minimum(loss.of(pairs, ()) / clip, 1.0)


def figure_of(pairs: Pairs, loss: Loss) -> Floats:
    """What is compared with others of the same inputs, shape (n,): how much a number is above its answer, or how badly one was judged."""
    if loss is Loss.ABSOLUTE_ERROR and pairs.value is not None and pairs.predicted_value is not None:
        return pairs.value - pairs.predicted_value
    return loss.of(pairs, ())


def with_loss(pairs: Pairs, loss: Loss) -> Pairs:
    """Those that have one."""
    is_there = np.isfinite(loss.of(pairs, ()))
    return pairs if is_there.all() else pairs.take(is_there)


def asked_of(pairs: Pairs, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """`inputs_of` labelled pairs."""
    if pairs.predicted_value is not None:
        return {c: pairs.columns[c] for c in wanted if c in pairs.columns} | {VALUE: pairs.predicted_value}
    if pairs.quality is not None:
        return {c: pairs.columns[c] for c in wanted if c in pairs.columns}
    return inputs_of(pairs.columns, pairs.predicted, pairs.scores, wanted)


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
