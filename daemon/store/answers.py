"""What models answered, with the scores of many records as one matrix."""

from __future__ import annotations

import operator
import struct
from itertools import chain, repeat, starmap
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_CLASSES = 100
"""Of more classes the scores are not kept as columns (the log has them)."""


class Output(msgspec.Struct, frozen=True, gc=False):
    """What of an answer is read."""

    label: str | None = None
    scores: dict[str, float] | None = None
    text: str | None = None
    value: float | None = None


class WholeOutput(Output, frozen=True, gc=False, forbid_unknown_fields=True):
    """An answer that has nothing else."""


class Answers:
    """Reads the scores of one model's answers; made once for its labels, in their order.

    Scores of these labels alone are decoded into a struct, which takes half of a dictionary's time; all other ones into dictionaries.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._index = {label: i for i, label in enumerate(labels)}
        self.types: list[Any] = [WholeOutput, Output]
        """Of answers, the quickest one first: what one cannot decode the next one can. All but the last have no field that is not read."""
        self._known: Any = None
        if 2 <= len(labels) <= MOST_CLASSES:  # noqa: PLR2004 (one class has nothing to be told from)
            fields = {f"l{i}": label for i, label in enumerate(labels)}
            try:
                options: dict[str, Any] = {"rename": fields, "frozen": True, "gc": False}
                self._known = msgspec.defstruct("Scores", [(f, float | None, None) for f in fields], forbid_unknown_fields=True, **options)
            except ValueError:  # a label that no field can be called, with a quote in it
                return
            self.types.insert(
                0,
                msgspec.defstruct(
                    "KnownOutput",
                    [("scores", self._known | None, None)],
                    bases=(WholeOutput,),
                    frozen=True,
                    gc=False,
                    forbid_unknown_fields=True,
                ),
            )
            self._pick = operator.attrgetter(*fields)
            self._pack = struct.Struct(f"{len(fields)}d").pack

    def scores(self, labels: Sequence[str | None], found: Sequence[Any]) -> tuple[Floats, Floats | None]:
        """(score of each label, (n,); `score_matrix`, (n, k)) of `found`, the answers' scores."""
        if not any(type(scores) is self._known for scores in found):
            own = [scores.get(label) if scores and label is not None else None for label, scores in zip(labels, found, strict=True)]
            return np.array(own, dtype=np.float64), score_matrix(found, self._labels)
        matrix = self._matrix(found)
        find: Callable[[Any, int], int] = self._index.get
        columns = np.fromiter(map(find, labels, repeat(-1)), np.intp, len(labels))
        own_scores = np.where(columns < 0, np.nan, matrix[np.arange(len(matrix)), columns])
        return own_scores, None if np.isnan(matrix).all() else with_rest(matrix)

    def _matrix(self, found: Sequence[Any]) -> Floats:
        k = len(self._labels)
        try:
            return np.frombuffer(b"".join(starmap(self._pack, map(self._pick, found)))).reshape(-1, k)
        except (AttributeError, struct.error):  # scores, or one of them, are missing
            nothing = (None,) * k
            return np.array([nothing if scores is None else self._pick(scores) for scores in found], dtype=np.float64).reshape(-1, k)


def score_matrix(found: Sequence[Mapping[str, float] | None], labels: Sequence[str]) -> Floats | None:
    """Scores in the order of the labels, (n, k), NaN = not given; a single one that is missing in a row is what the others leave of 1.

    None when no row has any, or the classes are not known (or too many).
    """
    k = len(labels)
    if not 2 <= k <= MOST_CLASSES or not any(found):  # noqa: PLR2004 (one class has nothing to be told from)
        return None
    try:
        pick: Callable[[Any], tuple[float, ...]] = operator.itemgetter(*labels)
        rows = chain.from_iterable(map(pick, found))
        return np.fromiter(rows, np.float64, len(found) * k).reshape(-1, k)
    except (KeyError, TypeError):  # a score or a whole row is missing
        return with_rest(np.array([[row.get(label) if row else None for label in labels] for row in found], dtype=np.float64))


def with_rest(scores: Floats) -> Floats:
    """A single score that is missing in a row, (n, k), is what the others leave of 1."""
    missing = np.isnan(scores)
    if not missing.any():
        return scores
    one = missing.sum(axis=1) == 1
    rest = np.clip(1.0 - np.nansum(scores, axis=1), 0.0, 1.0)
    return np.where(missing & one[:, None], rest[:, None], scores)
