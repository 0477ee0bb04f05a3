"""Scenarios from river's generators: a model learnt on one concept meets another, and inputs that move."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.bench.detectors.case import Scenario
from tests.bench.detectors.errors import answered, pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.bench.detectors.case import Rows

    Floats = NDArray[np.float64]

_POOL_N = 20_000
"""Rows made once of each generator; streams draw from them."""
_LEARN_N = 5000
_NUMERIC: dict[str, dict[str, dict[str, Any]]] = {"retuned conformal_numeric": {"conformal_numeric": {}}}


def _make(name: str, **settings: Any) -> Any:
    from river.datasets import synth

    return getattr(synth, name)(**settings)


@cache
def _pool(name: str, settings: tuple[tuple[str, Any], ...]) -> tuple[Floats, NDArray[np.int64]]:
    """(x, y) of a generator."""
    rows = list(_make(name, **dict(settings)).take(_POOL_N))
    x = np.array([[float(value) for value in features.values()] for features, _ in rows])
    return x, np.array([int(y) for _, y in rows])


@cache
def _wrong(name: str, before: tuple[tuple[str, Any], ...], after: tuple[tuple[str, Any], ...]) -> tuple[Any, ...]:
    """(label, is wrong) of a decision tree learnt on the first concept: on rows of it that it never saw, and on the second."""
    from sklearn.tree import DecisionTreeClassifier

    (x, y), (x2, y2) = _pool(name, before), _pool(name, after)
    tree = DecisionTreeClassifier(min_samples_leaf=20, random_state=0).fit(x[:_LEARN_N], y[:_LEARN_N])
    return y[_LEARN_N:], tree.predict(x[_LEARN_N:]) != y[_LEARN_N:], y2, tree.predict(x2) != y2


def _concept(name: str, before: dict[str, Any], after: dict[str, Any]) -> Callable[[np.random.Generator, Floats], Rows]:
    """Rows of the second concept with probability `much`: river's ConceptDriftStream."""

    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        y, wrong, y2, wrong2 = _wrong(name, tuple(before.items()), tuple(after.items()))
        at, at2, is_new = rng.integers(0, len(y), len(much)), rng.integers(0, len(y2), len(much)), rng.random(len(much)) < much
        return answered(np.where(is_new, wrong2[at2], wrong[at]), np.where(is_new, y2[at2], y[at]))

    return draw


def _inputs(name: str, before: dict[str, Any], after: dict[str, Any]) -> Callable[[np.random.Generator, Floats], Rows]:
    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        x, x2 = _pool(name, tuple(before.items()))[0], _pool(name, tuple(after.items()))[0]
        at, is_new = rng.integers(0, _POOL_N, len(much)), rng.random(len(much)) < much
        rows = np.where(is_new[:, None], x2[at], x[at])
        return {f"x{column}": rows[:, column] for column in range(rows.shape[1])}

    return draw


SCENARIOS = (
    pairs(
        "river-sea",
        "river SEA: a tree learnt on variant 0 meets variant 2 (10 % label noise)",
        _concept("SEA", {"variant": 0, "noise": 0.1, "seed": 1}, {"variant": 2, "noise": 0.1, "seed": 2}),
    ),
    pairs(
        "river-agrawal-gradual",
        "river Agrawal: a tree learnt on function 0 meets function 2 over 20 panes",
        _concept(
            "Agrawal",
            {"classification_function": 0, "perturbation": 0.1, "seed": 1},
            {"classification_function": 2, "perturbation": 0.1, "seed": 2},
        ),
        profile="gradual",
    ),
    pairs(
        "river-hyperplane-recurring",
        "river Hyperplane (10 features): another plane in 4 of every 12 panes",
        _concept("Hyperplane", {"n_features": 10, "noise_percentage": 0.05, "seed": 1}, {"n_features": 10, "seed": 7}),
        profile="recurring",
    ),
    Scenario(
        id="river-rbf-inputs",
        says="river RandomRBF: centroids of another seed mixed in, over 20 panes up to a half; labels play no part",
        kinds={f"x{at}": "numeric" for at in range(5)},
        draw=lambda rng, much: _inputs(
            "RandomRBF",
            {"seed_model": 1, "seed_sample": 1, "n_features": 5, "n_centroids": 20},
            {"seed_model": 2, "seed_sample": 2, "n_features": 5, "n_centroids": 20},
        )(rng, 0.5 * much),
        ours=_NUMERIC,
        profile="gradual",
        null=(16, 120),
        drift=(24, 8, 32),
    ),
)
