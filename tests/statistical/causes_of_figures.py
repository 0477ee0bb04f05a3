"""Labelled traffic of a regression and of judged answers whose world moves, through the detectors that explain."""

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

COLUMNS = ("input.a", "input.b", "input.c", "input.channel")
_START = datetime(2026, 1, 1, tzinfo=UTC)


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


def _inputs(rng: np.random.Generator, n: int, world: World) -> tuple[NDArray[Any], NDArray[Any], dict[str, NDArray[Any]]]:
    """(a and b and c, shape (3, n); whether the channel is the shop; the columns)."""
    abc = rng.normal(size=(3, n)) + world.inputs * np.array([[1.0 - world.hidden], [1.0], [float(world.hidden)]])
    channel = rng.choice(["web", "app", "shop"], n, p=[0.5, 0.3, 0.2])
    columns: dict[str, NDArray[Any]] = {f"input.{name}": values for name, values in zip("abc", abc, strict=True)}
    return abc, channel == "shop", {**columns, "input.channel": channel.astype(object)}


def numbers(rng: np.random.Generator, n: int, world: World) -> Pairs:
    """The model knows a and has a bias: what is right also depends on b, curved, and on the channel; b tells how noisy it is."""
    if world.target:
        many = numbers(rng, 12 * n, World(inputs=world.inputs))
        assert many.value is not None
        tilted = np.exp(world.target * (many.value - many.value.max()))
        return many.take(rng.choice(many.n, n, replace=False, p=tilted / tilted.sum()))
    (a, b, c), is_shop, columns = _inputs(rng, n, world)
    noise = (0.4 + 0.8 * expit(b)) * world.spread
    value = 2.0 * a + 0.5 * (b * b - 1.0) + is_shop + noise * (rng.normal(size=n) + world.concept)
    if world.hidden:
        value += 3.0 * (b * c > 0.5)
    nothing = np.full(n, None, dtype=object)
    return Pairs(predicted=nothing, label=nothing, predicted_value=2.0 * a + 0.2, value=value, columns=columns)


def judged(rng: np.random.Generator, n: int, world: World, *, grades: int = 4) -> Pairs:
    """Grades from 0 to 1 in so many steps; 1: good or bad."""
    (a, b, c), is_shop, columns = _inputs(rng, n, world)
    logit = 1.8 - 0.9 * a - 0.4 * (b * b - 1.0) - 0.5 * is_shop - world.concept
    if world.hidden:
        logit -= 2.5 * (b * c > 0.5)
    nothing = np.full(n, None, dtype=object)
    return Pairs(predicted=nothing, label=nothing, quality=rng.binomial(grades, expit(logit)) / grades, columns=columns)


def thumbs(rng: np.random.Generator, n: int, world: World) -> Pairs:
    """Judged as good or bad."""
    return judged(rng, n, world, grades=1)


DRAWN = {"numbers": numbers, "grades": judged, "thumbs": thumbs}


def stream(
    kind: str,
    seed: int,
    world: World,
    *,
    alpha: float,
    reference_n: int = 1000,
    before_n: int = 1000,
    after_n: int = 2000,
    pane_n: int = 50,
) -> list[dict[str, Verdict]]:
    """The two detectors' verdicts after each pane of the second part: "inputs" and "given inputs"."""
    rng, calm, pairs = np.random.default_rng(seed), World(hidden=world.hidden), DRAWN[kind]
    reference = Reference(columns={}, kinds={}, sketches={}, bound=pairs(rng, reference_n, calm), digest="")
    suffix = "value" if kind == "numbers" else "judged"
    detectors = {w: build(f"conformal_{w.replace(' ', '_')}_{suffix}", columns=COLUMNS, alpha=alpha) for w in ("inputs", "given inputs")}
    states = {w: d.start(reference) for w, d in detectors.items()}
    found = []
    for i in range((before_n + after_n) // pane_n):
        at = _START + timedelta(minutes=i)
        is_after = i * pane_n >= before_n
        pane = Increment(start=at, end=at, columns={}, pairs=pairs(rng, pane_n, world if is_after else calm))
        stepped = {w: d.step(states[w], pane) for w, d in detectors.items()}
        states = {w: state for w, (state, _) in stepped.items()}
        if is_after:
            found.append({w: verdict for w, (_, verdict) in stepped.items()})
    return found


def called(found: list[dict[str, Verdict]]) -> dict[str, int]:
    """Word -> first pane in which it is ever said."""
    words: dict[str, int] = {}
    for i, verdicts in enumerate(found):
        words = {word: i for word, v in verdicts.items() if v.outcome is Outcome.ALARM} | words
    return words


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
    streams, pane_n = int(sys.argv[1]), 50
    kinds = sys.argv[2:] or [*DRAWN]
    print("| what moves | " + " | ".join(f"{kind}: {word}" for kind in kinds for word in ("inputs", "given inputs")) + " |")
    print("|---" * (1 + 2 * len(kinds)) + "|")
    for name, world in WORLDS.items():
        cells = []
        for kind in kinds:
            if kind != "numbers" and (world.target or world.spread != 1.0):
                cells += ["", ""]
                continue
            found = [called(stream(kind, seed, world, alpha=1e-5, pane_n=pane_n)) for seed in range(streams)]
            for word in ("inputs", "given inputs"):
                when = [(words[word] + 1) * pane_n for words in found if word in words]
                cells.append(f"{len(when)} of {streams}" + (f", after {np.median(when):.0f}" if when else ""))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
