"""Which labelled row may do what: train, choose a checkpoint, judge, or bound the next version's loss. Pure; no torch, no files.

The service asks `progress` while it collects labels; `retrain.dataset.build` writes what `assign` says.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrain.dataset.rows import is_human, text_digests

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from retrain.plan import DataPart

SPLITS = ("gate", "bound", "validation", "train")


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Row indices of each split (ascending by time) and how many rows were left out, by reason."""

    indices: Mapping[str, NDArray[np.int64]]
    removed: Mapping[str, int]


def assign(
    table: pa.Table,
    data: DataPart,
    planned_at: float,
    *,
    exclude: Collection[str] = (),
    train_only: Collection[str] = (),
) -> Assignment:
    """Split labelled rows; the result depends on the set of rows alone, not on their order.

    - a row without a person's label, without a text, or with a text seen before (in the table or in `exclude`, text digests) is left out;
    - a row recorded at or before `planned_at` (it may have raised the alarm) trains, never judges, and so does its whole cluster and
      whatever cluster is named in `train_only`;
    - any other cluster goes whole into one split, drawn by a salted hash among the splits that still want rows, in proportion to what
      they want; when all have enough, into train;
    - train keeps its newest `train_n` rows. The other splits may exceed their n by the rest of a cluster.
    """
    rows, removed = _eligible(table, exclude)
    at = table["at"].to_pylist()
    clusters = table["cluster"].to_pylist()
    units = {i: f"c:{clusters[i]}" if clusters[i] is not None else f"t:{digest}" for i, digest in rows}
    fixed = {units[i] for i, _ in rows if at[i] is None or at[i] <= planned_at} | {f"c:{name}" for name in train_only}
    want = wanted(data)
    split_of = dict.fromkeys(fixed, "train")
    found: dict[str, list[int]] = {name: [] for name in SPLITS}
    for i, _ in rows:
        unit = units[i]
        if unit not in split_of:
            short = [name for name in SPLITS if len(found[name]) < want[name]]
            split_of[unit] = _draw(unit, data.salt, {name: want[name] for name in short})
        found[split_of[unit]].append(i)
    surplus = max(0, len(found["train"]) - want["train"])
    if surplus:
        removed["surplus"] = surplus
        found["train"] = found["train"][surplus:]
    return Assignment(indices={name: np.asarray(kept, dtype=np.int64) for name, kept in found.items()}, removed=dict(removed))


def wanted(data: DataPart) -> dict[str, int]:
    """Split -> rows that the plan asks for."""
    return {"gate": data.gate_n, "bound": data.bound_n, "validation": data.validation_n, "train": data.train_n}


def progress(
    table: pa.Table, data: DataPart, planned_at: float, *, exclude: Collection[str] = (), train_only: Collection[str] = ()
) -> dict[str, tuple[int, int]]:
    """Split -> (rows there are, rows wanted): collecting is over when no split is short."""
    indices = assign(table, data, planned_at, exclude=exclude, train_only=train_only).indices
    return {name: (len(indices[name]), n) for name, n in wanted(data).items()}


def _eligible(table: pa.Table, exclude: Collection[str]) -> tuple[list[tuple[int, str]], Counter[str]]:
    """(index, text digest) of the usable rows in order of (at, id), and the others counted by reason."""
    at, ids, texts = (table[name].to_pylist() for name in ("at", "id", "text"))
    labels, sources = (table[name].to_pylist() for name in ("label", "source"))
    digests = text_digests(table)
    seen: set[str] = set()
    removed: Counter[str] = Counter()
    kept: list[tuple[int, str]] = []
    for i in sorted(range(table.num_rows), key=lambda j: (-np.inf if at[j] is None else at[j], ids[j])):
        reason = _reason(texts[i], labels[i], sources[i])
        if reason is None and digests[i] in exclude:
            reason = "sealed"
        if reason is None and digests[i] in seen:
            reason = "duplicate"
        if reason is not None:
            removed[reason] += 1
            continue
        seen.add(digests[i])
        kept.append((i, digests[i]))
    return kept, removed


def _reason(text: str | None, label: str | None, source: str | None) -> str | None:
    if label is None:
        return "unlabelled"
    if not is_human(source):
        return "own_output"
    return None if text and text.strip() else "no_text"


def _draw(unit: str, salt: str, shares: Mapping[str, int]) -> str:
    """One of `shares` in proportion, the same for the same unit, salt and shares."""
    total = sum(shares.values())
    if total == 0:
        return "train"
    digest = hashlib.blake2b(unit.encode("utf-8", "surrogatepass"), key=hashlib.sha256(salt.encode()).digest(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64 * total
    for name, share in shares.items():
        if place < share:
            return name
        place -= share
    return "train"
