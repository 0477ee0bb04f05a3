"""Labelled traffic of a regression and of judged answers whose world moves, through the detectors that explain."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from detectors.registry import build
from detectors.types import Outcome, Pairs, Verdict
from tests.statistical.explained import COLUMNS, cell, first_said, followed, inputs


@dataclass(frozen=True, kw_only=True)
class World:
    """What the second part of a stream is like; the defaults are what the first part and the reference are like."""

    inputs: float = 0.0
    """Shift of the means of a and b, in standard deviations: to where the model is further off, or answers are judged worse."""
    concept: float = 0.0
    """What is right for the same inputs moves, in units of its noise; of judgements their logit falls."""
    spread: float = 1.0
    """The noise of what is right for the same inputs grows so many times (numbers)."""
    hidden: bool = False
    """In reference and stream alike much is lost where b c > 0.5, which no sum over columns foretells; c moves instead of a."""
    target: float = 0.0
    """What is right comes from its own distribution, tilted by exp(target value): what leads to it stays as it was (numbers)."""


def numbers(rng: np.random.Generator, n: int, world: World) -> Pairs:
    """The model knows a and has a bias: what is right also depends on b, curved, and on the channel; b tells how noisy it is."""
    if world.target:
        many = numbers(rng, 12 * n, World(inputs=world.inputs))
        assert many.value is not None
        tilted = np.exp(world.target * (many.value - many.value.max()))
        return many.take(rng.choice(many.n, n, replace=False, p=tilted / tilted.sum()))
    (a, b, c), is_shop, columns = inputs(rng, n, world.inputs, hidden=world.hidden)
    noise = (0.4 + 0.8 * expit(b)) * world.spread
    value = 2.0 * a + 0.5 * (b * b - 1.0) + is_shop + noise * (rng.normal(size=n) + world.concept)
    if world.hidden:
        value += 3.0 * (b * c > 0.5)
    nothing = np.full(n, None, dtype=object)
    return Pairs(predicted=nothing, label=nothing, predicted_value=2.0 * a + 0.2, value=value, columns=columns)


def judged(rng: np.random.Generator, n: int, world: World, *, grades: int = 4) -> Pairs:
    """Grades from 0 to 1 in so many steps; 1: good or bad."""
    (a, b, c), is_shop, columns = inputs(rng, n, world.inputs, hidden=world.hidden)
    logit = 1.8 - 0.9 * a - 0.4 * (b * b - 1.0) - 0.5 * is_shop - world.concept
    if world.hidden:
        logit -= 2.5 * (b * c > 0.5)
    nothing = np.full(n, None, dtype=object)
    return Pairs(predicted=nothing, label=nothing, quality=rng.binomial(grades, expit(logit)) / grades, columns=columns)


def thumbs(rng: np.random.Generator, n: int, world: World) -> Pairs:
    """Judged as good or bad."""
    return judged(rng, n, world, grades=1)


DRAWN = {"numbers": numbers, "grades": judged, "thumbs": thumbs}


def stream(kind: str, seed: int, world: World, *, alpha: float, **sizes: int) -> list[dict[str, Verdict]]:
    """The two detectors' verdicts after each pane of the second part: "inputs" and "given inputs"."""
    rng, calm, pairs = np.random.default_rng(seed), World(hidden=world.hidden), DRAWN[kind]
    suffix = "value" if kind == "numbers" else "judged"
    detectors = {w: build(f"conformal_{w.replace(' ', '_')}_{suffix}", columns=COLUMNS, alpha=alpha) for w in ("inputs", "given inputs")}
    return followed(detectors, lambda n: pairs(rng, n, calm), lambda n: pairs(rng, n, world), **sizes)


def called(found: list[dict[str, Verdict]]) -> dict[str, int]:
    """Word -> first pane in which it is ever said."""
    return first_said({word: v.outcome is Outcome.ALARM for word, v in verdicts.items()} for verdicts in found)


WORLDS = {
    "nothing moves": World(),
    "inputs": World(inputs=0.7),
    "inputs, far": World(inputs=1.5),
    "inputs, to where hidden errors are": World(inputs=1.0, hidden=True),
    "concept, small": World(concept=0.3),
    "concept": World(concept=0.6),
    "concept, noise doubled": World(spread=2.0),
    "inputs and concept": World(inputs=0.7, concept=0.6),
    "inputs, far, and concept": World(inputs=1.5, concept=0.6),
    "what is right comes more often from above": World(target=0.3),
}


def main() -> None:
    """The table of docs/decisions/0023; arguments: streams a world, kinds."""
    streams = int(sys.argv[1])
    kinds = sys.argv[2:] or [*DRAWN]
    print("| what moves | " + " | ".join(f"{kind}: {word}" for kind in kinds for word in ("inputs", "given inputs")) + " |")
    print("|---" * (1 + 2 * len(kinds)) + "|")
    for name, world in WORLDS.items():
        cells = []
        for kind in kinds:
            if kind != "numbers" and (world.target or world.spread != 1.0):
                cells += ["", ""]
                continue
            found = [called(stream(kind, seed, world, alpha=1e-5)) for seed in range(streams)]
            cells += [cell(found, word) for word in ("inputs", "given inputs")]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
