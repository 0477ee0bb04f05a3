"""Labelled traffic of a classifier whose world moves in one way or another, through the detectors that explain."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from detectors.registry import build
from detectors.types import Outcome, Pairs, Verdict
from tests.statistical.explained import COLUMNS, cell, first_said, followed, inputs

LABELS = ("no", "yes")
DETECTORS = ("conformal_inputs", "conformal_given_inputs", "conformal_given_classes")


@dataclass(frozen=True, kw_only=True)
class World:
    """What the second part of a stream is like; the defaults are what the first part and the reference are like."""

    inputs: float = 0.0
    """Shift of the means of a and b, in standard deviations: the model is wrong more often, or less, about the inputs that come now."""
    concept: float = 0.0
    """Share of records for which the right label is turned round."""
    hidden: bool = False
    """In reference and stream alike six in ten labels are turned round where b c > 0.5, which no sum over columns foretells; c moves."""
    yes_ratio: float | None = None
    """Share of "yes" among the true labels, drawn by class; None = what the inputs lead to."""


def pairs(rng: np.random.Generator, n: int, world: World) -> Pairs:
    """The model knows a and has a bias: what is right also depends on b, curved, and on the channel."""
    if world.yes_ratio is not None:
        return _of_shares(rng, n, world)
    return _drawn(rng, n, world)


def _drawn(rng: np.random.Generator, n: int, world: World) -> Pairs:
    (a, b, c), is_shop, columns = inputs(rng, n, world.inputs, hidden=world.hidden)
    logit = 2.5 * a + 0.7 * (b * b - 1.0) + is_shop
    is_turned = c > np.quantile(rng.normal(size=4000), 1.0 - world.concept) if world.concept else np.zeros(n, dtype=bool)
    if world.hidden:
        is_turned |= (b * c > 0.5) & (rng.random(n) < 0.6)
    truth = rng.random(n) < expit(np.where(is_turned, -logit, logit))
    yes = expit(2.5 * a + 0.2)
    names = np.array(LABELS, dtype=object)
    return Pairs(
        predicted=names[(yes > 0.5).astype(int)], label=names[truth.astype(int)], scores=np.column_stack([1.0 - yes, yes]), columns=columns
    )


def _of_shares(rng: np.random.Generator, n: int, world: World) -> Pairs:
    many = _drawn(rng, 12 * n, World(inputs=world.inputs, concept=world.concept))
    is_yes = rng.random(n) < (world.yes_ratio or 0.0)
    yes, no = np.flatnonzero(many.label == "yes"), np.flatnonzero(many.label == "no")
    rows = np.empty(n, dtype=np.int64)
    rows[is_yes], rows[~is_yes] = yes[: is_yes.sum()], no[: n - is_yes.sum()]
    return many.take(rows)


def stream(seed: int, world: World, *, alpha: float, **sizes: int) -> list[dict[str, Verdict]]:
    """The detectors' verdicts after each pane of the second part, by name."""
    rng, calm = np.random.default_rng(seed), World(hidden=world.hidden)
    columns: dict[str, Any] = {"columns": COLUMNS}
    detectors = {n: build(n, labels=LABELS, alpha=alpha, **(columns if n != "conformal_given_classes" else {})) for n in DETECTORS}
    return followed(detectors, lambda n: pairs(rng, n, calm), lambda n: pairs(rng, n, world), **sizes)


def called(found: list[dict[str, Verdict]]) -> dict[str, int]:
    """Word -> first pane in which it is ever said: as the diagnosis of an incident does, "concept" where both martingales are."""
    panes = []
    for verdicts in found:
        moved, given_inputs, given_classes = (verdicts[name].outcome is Outcome.ALARM for name in DETECTORS)
        said = {"inputs": moved, "given inputs": given_inputs, "given classes": given_classes, "concept": given_inputs and given_classes}
        panes.append(said)
    return first_said(panes)


WORLDS = {
    "nothing moves": World(),
    "inputs": World(inputs=0.7),
    "inputs, far": World(inputs=1.5),
    "inputs, to where hidden errors are": World(inputs=1.0, hidden=True),
    "concept, 15 %": World(concept=0.15),
    "concept, 30 %": World(concept=0.3),
    "inputs and concept": World(inputs=0.7, concept=0.3),
    "inputs, far, and concept": World(inputs=1.5, concept=0.3),
    "shares: yes from 52 to 25 %": World(yes_ratio=0.25),
    "shares: yes from 52 to 10 %": World(yes_ratio=0.1),
}


def main() -> None:
    """The table of docs/decisions/0019; argument: streams a world."""
    streams = int(sys.argv[1])
    print("| what moves | inputs | given inputs | given classes | concept |\n|---|---|---|---|---|")
    for name, world in WORLDS.items():
        found = [called(stream(seed, world, alpha=1e-5)) for seed in range(streams)]
        cells = [cell(found, word) for word in ("inputs", "given inputs", "given classes", "concept")]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
