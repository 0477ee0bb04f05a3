"""A scenario, and the case that is made of it: quiet and drifting streams with a fresh reference each, as one npz file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Rows = dict[str, NDArray[Any]]
    Draw = Callable[[np.random.Generator, NDArray[np.float64]], Rows]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One world with one kind of change. The id is permanent: results of other versions are compared by it."""

    id: str
    says: str
    """What changes, in words."""
    kinds: Mapping[str, str]
    """Column -> how it is read.

    "numeric", "category", "text", "embedding": of all records. "pair": classes and groups of labelled pairs, `pairs.predicted`,
    `pairs.label`, `group.NAME`. "pair-number": numbers of labelled pairs, `pairs.scores.CLASS`, `pairs.quality`, or, where answers are
    numbers, `pairs.predicted` and `pairs.label`. A record whose label or quality is missing is no pair, and its scores are there all the
    same. Where pairs are of earlier records, since labels are late, `latest.pairs.predicted` and `latest.pairs.scores.CLASS` are of those
    that came. "fault": `wrong.COLUMN`, 1 = the value does not read as the column's kind. "key": `record.id`, `record.content`, whole
    numbers.
    """
    draw: Draw
    """(rng, how much of the change applies to each row: 0 to 1, shape (n,)) -> rows; categories and texts as codes, -1 = missing."""
    ours: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """Row of the table -> our detectors in it -> their settings."""
    watched: tuple[str, ...] = ()
    """What rivals read, by names of runners/watched.py, each in a row of its own; () = errors of labelled pairs, otherwise all columns."""
    profile: str = "abrupt"
    """"abrupt", "gradual" (over 20 panes) or "recurring" (4 panes of every 12)."""
    vocabularies: Callable[[], Mapping[str, Sequence[str]]] = dict
    """Column -> what its codes stand for."""
    pane_n: int = 100
    reference_n: int = 1000
    null: tuple[int, int] = (32, 120)
    """Quiet streams and their panes: as many streams as two or three minutes of CPU score by all rules."""
    drift: tuple[int, int, int] = (48, 10, 30)
    """Drifting streams, panes before the change, panes after it."""
    skip: tuple[str, ...] = ()
    """Rows that would take hours here: left out, and the page says so."""


PROFILES: dict[str, Callable[[NDArray[np.int64]], NDArray[np.float64]]] = {
    "abrupt": lambda after: (after >= 0).astype(np.float64),
    "gradual": lambda after: np.clip((after + 1) / 20.0, 0.0, 1.0),
    "recurring": lambda after: ((after >= 0) & (after % 12 < 4)).astype(np.float64),
}
"""Panes since the change (negative before it) -> how much of it applies."""


def seed_of(name: str) -> int:
    """Of a scenario's id: the first eight bytes of its SHA-256, so that a new scenario changes no other."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def made(scenario: Scenario) -> dict[str, NDArray[Any]]:
    """All arrays of a scenario's case; quiet streams are seeded by (its seed, 0, number), drifting ones by (its seed, 1, number)."""
    seed = seed_of(scenario.id)
    parts: dict[str, list[tuple[Rows, Rows]]] = {"null": [], "drift": []}
    streams, panes = scenario.null
    for at in range(streams):
        parts["null"].append(_stream(scenario, np.random.default_rng([seed, 0, at]), np.zeros(panes)))
    streams, before, after = scenario.drift
    much = PROFILES[scenario.profile](np.arange(before + after) - before)
    for at in range(streams):
        parts["drift"].append(_stream(scenario, np.random.default_rng([seed, 1, at]), much))
    arrays: dict[str, NDArray[Any]] = {}
    for part, rows in parts.items():
        for name in scenario.kinds:
            arrays[f"reference/{part}/{name}"] = np.stack([reference[name] for reference, _ in rows])
            arrays[f"stream/{part}/{name}"] = np.stack([stream[name] for _, stream in rows])
    about = {
        "kinds": dict(scenario.kinds),
        "watched": scenario.watched,
        "pane_n": scenario.pane_n,
        "change": before,
        "vocabularies": _vocabularies(scenario),
    }
    return {"about": np.asarray(json.dumps(about)), **arrays}


def _vocabularies(scenario: Scenario) -> dict[str, list[str]]:
    known = scenario.vocabularies()
    return {name: list(known[name]) for name, kind in scenario.kinds.items() if kind in {"category", "text", "pair"}}


def _stream(scenario: Scenario, rng: np.random.Generator, much: NDArray[np.float64]) -> tuple[Rows, Rows]:
    """One draw for reference and stream together: a world that differs from stream to stream stays the same within one."""
    shift = np.concatenate([np.zeros(scenario.reference_n), np.repeat(much, scenario.pane_n)])
    rows = {name: _small(values, scenario.kinds[name]) for name, values in scenario.draw(rng, shift).items()}
    cut = scenario.reference_n
    return {name: values[:cut] for name, values in rows.items()}, {name: values[cut:] for name, values in rows.items()}


def _small(values: NDArray[Any], kind: str) -> NDArray[Any]:
    return values.astype(np.float32 if values.dtype.kind == "f" else np.int32 if kind == "key" else np.int16)


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Of the content: what a cached result is keyed by."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(arrays[name]).tobytes() if name != "about" else str(arrays[name]).encode())
    return sha.hexdigest()[:16]


def write(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """For the runners."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub wants bool for allow_pickle
