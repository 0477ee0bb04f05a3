"""Labelled traffic of a classifier whose world moves in one way or another, through the detectors that explain."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from detectors.registry import build
from detectors.types import Increment, Outcome, Pairs, Reference, Verdict

LABELS = ("no", "yes")
COLUMNS = ("input.a", "input.b", "input.c", "input.channel")
DETECTORS = ("conformal_inputs", "conformal_given_inputs", "conformal_given_classes")
_START = datetime(2026, 1, 1, tzinfo=UTC)


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
    a, b, c = rng.normal(size=(3, n)) + world.inputs * np.array([[1.0 - world.hidden], [1.0], [float(world.hidden)]])
    channel = rng.choice(["web", "app", "shop"], n, p=[0.5, 0.3, 0.2])
    logit = 2.5 * a + 0.7 * (b * b - 1.0) + (channel == "shop")
    is_turned = c > np.quantile(rng.normal(size=4000), 1.0 - world.concept) if world.concept else np.zeros(n, dtype=bool)
    if world.hidden:
        is_turned |= (b * c > 0.5) & (rng.random(n) < 0.6)
    truth = rng.random(n) < expit(np.where(is_turned, -logit, logit))
    yes = expit(2.5 * a + 0.2)
    names = np.array(LABELS, dtype=object)
    columns: dict[str, NDArray[Any]] = {"input.a": a, "input.b": b, "input.c": c, "input.channel": channel.astype(object)}
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


def stream(
    seed: int,
    world: World,
    *,
    alpha: float,
    reference_n: int = 1000,
    before_n: int = 1000,
    after_n: int = 2000,
    pane_n: int = 50,
) -> list[dict[str, Verdict]]:
    """The detectors' verdicts after each pane of the second part, by name."""
    rng, calm = np.random.default_rng(seed), World(hidden=world.hidden)
    reference = Reference(columns={}, kinds={}, sketches={}, bound=pairs(rng, reference_n, calm), digest="")
    columns: dict[str, Any] = {"columns": COLUMNS}
    detectors = [build(n, labels=LABELS, alpha=alpha, **(columns if n != "conformal_given_classes" else {})) for n in DETECTORS]
    states = [d.start(reference) for d in detectors]
    found = []
    for i in range((before_n + after_n) // pane_n):
        is_after = i * pane_n >= before_n
        at = _START + timedelta(minutes=i)
        pane = Increment(start=at, end=at, columns={}, pairs=pairs(rng, pane_n, world if is_after else calm))
        stepped = [d.step(state, pane) for d, state in zip(detectors, states, strict=True)]
        states = [state for state, _ in stepped]
        if is_after:
            found.append({verdict.detector: verdict for _, verdict in stepped})
    return found


def called(found: list[dict[str, Verdict]]) -> dict[str, int]:
    """Word -> first pane in which it is ever said: as the diagnosis of an incident does, "concept" where both martingales are."""
    words: dict[str, int] = {}
    for i, verdicts in enumerate(found):
        moved, given_inputs, given_classes = (verdicts[name].outcome is Outcome.ALARM for name in DETECTORS)
        said = {"inputs": moved, "given inputs": given_inputs, "given classes": given_classes, "concept": given_inputs and given_classes}
        words = {word: i for word, is_said in said.items() if is_said} | words
    return words


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
    """The table of docs/critiques.md; argument: streams a world."""
    streams, pane_n = int(sys.argv[1]), 50
    print("| what moves | inputs | given inputs | given classes | concept |\n|---|---|---|---|---|")
    for name, world in WORLDS.items():
        found = [called(stream(seed, world, alpha=1e-5, pane_n=pane_n)) for seed in range(streams)]
        cells = []
        for word in ("inputs", "given inputs", "given classes", "concept"):
            when = [(words[word] + 1) * pane_n for words in found if word in words]
            cells.append(f"{len(when)} of {streams}" + (f", after {np.median(when):.0f}" if when else ""))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
