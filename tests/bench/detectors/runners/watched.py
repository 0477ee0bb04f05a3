"""What rivals watch of a case, by name: its columns, or one figure of each labelled pair or record; of all rows or of each group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from protocol import Columns, View

    Kinds = Mapping[str, str]

_LEAST = float(np.finfo(np.float64).eps)
_COLUMNS = ("numeric", "category", "text", "embedding")


def views(reference: Columns, panes: Sequence[Columns], about: Mapping[str, Any]) -> dict[str, View]:
    """What a row's name ends with -> what the rule reads. Figures are NaN where there is none, so that panes keep their length."""
    kinds = about["kinds"]
    asked = about["watched"] or (("errors",) if kinds.get("pairs.label") == "pair" else ("columns",))
    return {f" ({name})" if len(asked) > 1 else "": _view(name, reference, panes, kinds) for name in asked}


def _view(name: str, reference: Columns, panes: Sequence[Columns], kinds: Kinds) -> View:
    if name == "columns":
        return reference, panes, {column: kinds[column] for column in protocol.named(kinds, *_COLUMNS)}
    what, _, by = name.partition(" by ")
    figure, kind = FIGURES[what]
    of = [{what: figure(rows, kinds)} for rows in (reference, *panes)]
    if by:
        groups = sorted(set(protocol.known(reference[f"group.{by}"])))
        of = [
            {f"{what} of {group}": np.where(rows[f"group.{by}"] == group, found[what], np.nan) for group in groups}
            for rows, found in zip((reference, *panes), of, strict=True)
        ]
    return of[0], of[1:], dict.fromkeys(of[0], kind)


def _errors(rows: Columns, kinds: Kinds) -> np.ndarray:
    """Whether the answer was wrong."""
    del kinds
    is_wrong = np.asarray(rows["pairs.predicted"] != rows["pairs.label"], dtype=np.float64)
    return np.where(protocol.is_known(rows["pairs.label"]), is_wrong, np.nan)


def _answers(rows: Columns, kinds: Kinds) -> np.ndarray:
    """Whether the answer was not the last of the classes, the favourable one."""
    return np.asarray(protocol.latest(rows, "pairs.predicted") != protocol.classes(kinds)[-1], dtype=np.float64)


def _scores(rows: Columns, kinds: Kinds) -> np.ndarray:
    """Of the last class."""
    return protocol.latest(rows, protocol.SCORES + protocol.classes(kinds)[-1])


def _log_loss(rows: Columns, kinds: Kinds) -> np.ndarray:
    """-ln of the probability of the label, in nats."""
    found = np.full(len(rows["pairs.label"]), np.nan)
    for name in protocol.classes(kinds):
        is_it = rows["pairs.label"] == name
        found[is_it] = -np.log(np.clip(rows[protocol.SCORES + name][is_it], _LEAST, 1.0))
    return found


def _missing(rows: Columns, kinds: Kinds) -> np.ndarray:
    """Whether any number or category is missing."""
    return np.any([~protocol.is_known(rows[name]) for name in protocol.named(kinds, "numeric", "category")], axis=0).astype(np.float64)


def _wrong_types(rows: Columns, kinds: Kinds) -> np.ndarray:
    """Whether any value does not read as its column's kind."""
    return np.max([rows[name] for name in protocol.named(kinds, "fault")], axis=0)


FIGURES: dict[str, tuple[Callable[[Columns, Kinds], np.ndarray], str]] = {
    "errors": (_errors, "binary"),
    "answers": (_answers, "binary"),
    "scores": (_scores, "numeric"),
    "log loss": (_log_loss, "loss"),
    "absolute errors": (lambda rows, _: np.abs(rows["pairs.predicted"] - rows["pairs.label"]), "loss"),
    "residuals": (lambda rows, _: rows["pairs.predicted"] - rows["pairs.label"], "numeric"),
    "judgements": (lambda rows, _: 1.0 - rows["pairs.quality"], "loss"),
    "missing values": (_missing, "binary"),
    "wrong types": (_wrong_types, "binary"),
    "ids again": (lambda rows, _: rows["record.id.again"], "binary"),
    "contents again": (lambda rows, _: rows["record.content.again"], "binary"),
}
"""Name -> (figure of each row, how it is read). "numeric": either way matters; "loss": more is worse; "binary": 0 or 1, 1 is worse."""
