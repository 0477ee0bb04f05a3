"""Kinds of whole models: settings as a person writes them, and a quiet world of each, another one for every life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.settings import ModelSettings

Rng = np.random.Generator
Row = dict[str, Any]
"""As it is posted: `inputs`, `segments`, `output`; and the `label` that comes later."""
Draw = Callable[[int], list[Row]]
"""Some rows of one world, independent of each other."""
PROMISED_N = 20
"""Panes between false alarms that every model is promised: few enough to be waited for."""
PANE_S = 60.0
_DAY_S = 86_400.0
_WORDS_N = 400
_GRADES = (1, 2, 3, 4, 5)


@dataclass(frozen=True, kw_only=True)
class ModelKind:
    name: str
    says: str
    task: str
    columns: dict[str, Any]
    world: Callable[[Rng], Draw]
    labels: tuple[str, ...] = ()
    monitors: dict[str, Any] = field(default_factory=dict)
    further: dict[str, Any] = field(default_factory=dict)
    """Settings of the model beside these."""

    def settings(self, panes: float = PROMISED_N) -> ModelSettings:
        """`panes`: what is promised between false alarms."""
        watched = {"mean_days_between_false_alarms": panes * PANE_S / _DAY_S, "pane_s": PANE_S, **self.monitors}
        said = {"name": self.name.replace(" ", "-"), "task": self.task, "labels": list(self.labels), "columns": self.columns}
        return ModelSettings.model_validate({**said, "monitors": watched, **self.further})


def _table(rng: Rng, numbers: int, categories: int) -> Callable[[int], tuple[NDArray[np.float64], list[dict[str, Any]]]]:
    """Numbers that share a factor (some skewed, some whole, some with gaps) and categories, the first of which goes with the factor."""
    loads, skewed = rng.uniform(0.2, 0.9, numbers), rng.random(numbers) < 0.3
    whole, gaps = rng.random(numbers) < 0.3, np.where(rng.random(numbers) < 0.4, rng.uniform(0.01, 0.1, numbers), 0.0)
    shares = [rng.dirichlet(np.full(4, 2.0)) for _ in range(categories)]

    def draw(n: int) -> tuple[NDArray[np.float64], list[dict[str, Any]]]:
        factor = rng.normal(size=n)
        x = loads * factor[:, None] + np.sqrt(1.0 - loads**2) * rng.normal(size=(n, numbers))
        told = np.where(skewed, np.exp(0.5 * x), x)
        told = np.where(whole, np.round(4.0 * told), told)
        missing = rng.random((n, numbers)) < gaps
        picked = np.stack([rng.choice(4, n, p=p) for p in shares], axis=1)
        picked[:, 0] = np.where(factor > 1.0, 0, picked[:, 0])
        rows = [
            {
                **{f"x{j}": None if missing[i, j] else float(told[i, j]) for j in range(numbers)},
                **{f"c{j}": f"v{picked[i, j]}" for j in range(categories)},
            }
            for i in range(n)
        ]
        return factor, rows

    return draw


def _columns(numbers: int, categories: int) -> dict[str, str]:
    return {f"x{j}": "numeric" for j in range(numbers)} | {f"c{j}": "category" for j in range(categories)}


def _answered(rng: Rng, logit: NDArray[np.float64]) -> list[tuple[dict[str, Any], str]]:
    """(output, label) of a model whose scores are calibrated."""
    yes = 1.0 / (1.0 + np.exp(-logit))
    label = np.where(rng.random(len(yes)) < yes, "yes", "no")
    said = np.where(yes >= 0.5, "yes", "no")
    return [
        ({"label": str(s), "scores": {"no": float(1.0 - p), "yes": float(p)}}, str(t)) for s, p, t in zip(said, yes, label, strict=True)
    ]


def _classes(numbers: int, categories: int) -> Callable[[Rng], Draw]:
    def world(rng: Rng) -> Draw:
        table, base, slope = _table(rng, numbers, categories), rng.normal(0.0, 0.5), rng.uniform(2.0, 4.0)

        def draw(n: int) -> list[Row]:
            factor, inputs = table(n)
            told = _answered(rng, base + slope * factor + 0.5 * rng.normal(size=n))
            return [{"inputs": x, "output": output, "label": label} for x, (output, label) in zip(inputs, told, strict=True)]

        return draw

    return world


def _protected(rng: Rng) -> Draw:
    """Two columns of groups, as bad in all of them; one group is small."""
    of_classes, share = _classes(3, 1)(rng), rng.uniform(0.2, 0.5)

    def draw(n: int) -> list[Row]:
        old, woman = rng.random(n) < share, rng.random(n) < 0.5
        groups = [{"age_band": "old" if a else "young", "sex": "f" if b else "m"} for a, b in zip(old, woman, strict=True)]
        return [{**row, "segments": own} for row, own in zip(of_classes(n), groups, strict=True)]

    return draw


def _numbers(rng: Rng) -> Draw:
    """Errors with heavier tails than normal ones."""
    table, slope = _table(rng, 4, 1), rng.uniform(1.0, 3.0)

    def draw(n: int) -> list[Row]:
        factor, inputs = table(n)
        value = 50.0 + 10.0 * slope * factor + 3.0 * rng.normal(size=n)
        answer = value + rng.standard_t(5, size=n)
        return [{"inputs": x, "output": {"value": a}, "label": v} for x, a, v in zip(inputs, answer.tolist(), value.tolist(), strict=True)]

    return draw


def _texts(rng: Rng, least: int, most: int) -> Callable[[NDArray[np.bool_]], list[str]]:
    """Of words as frequent as words are; every tenth word is of the one topic or the other."""
    words = np.array(["".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 10))) for _ in range(_WORDS_N)])
    shares = 1.0 / np.arange(1, _WORDS_N + 1)
    shares /= shares.sum()

    def draw(is_first: NDArray[np.bool_]) -> list[str]:
        sizes = rng.integers(least, most, len(is_first))
        picked = np.split(words[rng.choice(_WORDS_N, int(sizes.sum()), p=shares)], np.cumsum(sizes)[:-1])
        topics = [f"topic{'a' if first else 'b'}{rng.integers(8)}" for first in is_first]
        return [" ".join([*some, topic]).capitalize() + "." for some, topic in zip(picked, topics, strict=True)]

    return draw


def _reviews(rng: Rng) -> Draw:
    texts, slope = _texts(rng, 6, 16), rng.uniform(2.0, 4.0)

    def draw(n: int) -> list[Row]:
        told = _answered(rng, slope * rng.normal(size=n))
        asked = texts(np.array([output["label"] == "yes" for output, _ in told]))
        return [{"inputs": {"text": x}, "output": output, "label": label} for x, (output, label) in zip(asked, told, strict=True)]

    return draw


def _answers(rng: Rng) -> Draw:
    """Answers that are graded from 1 to 5."""
    asked, answered, grades = _texts(rng, 5, 12), _texts(rng, 10, 30), rng.dirichlet([1.0, 1.0, 2.0, 6.0, 10.0])

    def draw(n: int) -> list[Row]:
        topic = rng.random(n) < 0.5
        rows = zip(asked(topic), answered(topic), rng.choice(_GRADES, n, p=grades).tolist(), strict=True)
        return [{"inputs": {"prompt": x}, "output": {"text": y}, "label": grade} for x, y, grade in rows]

    return draw


_TWO = ("no", "yes")
KINDS = (
    ModelKind(
        name="five columns",
        says="a classifier of 3 numbers and 2 categories that depend on each other, some with gaps, ties or skewed",
        task="tabular-classification",
        labels=_TWO,
        columns=_columns(3, 2),
        world=_classes(3, 2),
    ),
    ModelKind(
        name="twenty columns",
        says="the same with 14 numbers and 6 categories",
        task="tabular-classification",
        labels=_TWO,
        columns=_columns(14, 6),
        world=_classes(14, 6),
    ),
    ModelKind(
        name="texts",
        says="a classifier of one text",
        task="text-classification",
        labels=_TWO,
        columns={"text": "text"},
        world=_reviews,
    ),
    ModelKind(
        name="numbers",
        says="a regression on 4 numbers and a category, errors with heavy tails",
        task="tabular-regression",
        columns=_columns(4, 1),
        world=_numbers,
    ),
    ModelKind(
        name="judged answers",
        says="a prompt, an answer and a grade of 1 to 5",
        task="text-generation",
        columns={"prompt": "text"},
        world=_answers,
        further={"score_range": [1, 5]},
    ),
    ModelKind(
        name="segments",
        says="five columns, each watched within the values of one of them, and so are loss and metric",
        task="tabular-classification",
        labels=_TWO,
        columns=_columns(3, 2),
        world=_classes(3, 2),
        monitors={"segments": ["c1"]},
    ),
    ModelKind(
        name="fairness",
        says="4 columns and two protected ones, four metrics between their groups",
        task="tabular-classification",
        labels=_TWO,
        columns=_columns(3, 1) | {g: {"kind": "category", "protected": True} for g in ("age_band", "sex")},
        world=_protected,
        monitors={
            "fairness": {
                "by": ["age_band", "sex"],
                "metrics": ["equalized_odds_difference", "demographic_parity_ratio", "score_difference", "calibration_difference"],
            }
        },
    ),
)


def kind_of(name: str) -> ModelKind:
    return next(k for k in KINDS if k.name == name)
