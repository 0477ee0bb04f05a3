"""From a plan to the files that training and judging read, with a manifest. Deterministic: equal inputs give equal bytes. No torch."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from detectors.types import digest_of
from retrain.dataset.rows import SCHEMA, is_human, read_rows, text_digests, write_rows
from retrain.dataset.split import assign
from retrain.types import Permanent, Reason
from retrain.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from retrain.layout import RunFolder
    from retrain.plan import DataPart, Plan

LEARNED = ("train", "validation")
JUDGED = ("gate", "bound", "old_domain")
REPLAY_VALIDATION_SHARE = 8
"""At most every eighth replay row chooses checkpoints, so that a checkpoint that forgot the old domain is not chosen."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was built, beside the files."""

    plan_digest: str
    data_digest: str
    """Over all files: names the data set."""
    counts: dict[str, int]
    labels: dict[str, dict[str, int]]
    digests: dict[str, str]
    """File -> SHA-256 of its bytes."""
    removed: dict[str, int]
    """Reason -> rows left out."""
    replayed: int
    """Rows of earlier trainings in train."""


def build(plan: Plan, plan_folder: Path, run: RunFolder) -> Manifest:
    """Write all files of the data set, the manifest last. `Permanent(NOT_ENOUGH_LABELS)` when nothing is left to train on."""
    data, removed = plan.data, Counter[str]()
    planned_at = moment(plan.created_at)
    collected = _known_labels(_read(plan_folder, data.collected), plan, removed)
    replay = _human(_known_labels(_read(plan_folder, data.replay), plan, removed), removed)
    old_domain = _known_labels(_read(plan_folder, data.old_domain), plan, removed)
    sealed = _digests([old_domain, *(_read(plan_folder, name) for name in data.sealed)])
    split = assign(
        collected,
        data,
        planned_at,
        exclude=sealed | _digests([replay]),
        train_only={c for c in replay["cluster"].to_pylist() if c is not None},
    )
    removed.update(split.removed)
    parts = {name: collected.take(pa.array(rows)) for name, rows in split.indices.items()}
    again, choose = _replayed(replay, data, sealed, removed)
    tables = {
        "train": pa.concat_tables([parts["train"], again]),
        "validation": pa.concat_tables([parts["validation"], choose]),
        "gate": parts["gate"],
        "bound": parts["bound"],
        "old_domain": old_domain,
    }
    unlabelled = _where(_read(plan_folder, data.unlabelled), "at", lambda at: at is not None and at > planned_at)
    tables["reference_pool"] = _reference_pool(data, unlabelled, tables)
    if not tables["train"].num_rows:
        raise Permanent(Reason.NOT_ENOUGH_LABELS, f"no row is left to train on; left out: {dict(removed)}")
    return _write(plan, tables, dict(removed), again.num_rows, run)


def verify(plan: Plan, plan_folder: Path, run: RunFolder) -> Manifest:
    """The manifest, if the files are still what it says and nothing that judges was learned from; else `Permanent`.

    LEAK when a text is in what is learned and in what judges (or in a sealed file): such a run is invalid, not repairable.
    """
    try:
        manifest = msgspec.json.decode(run.manifest.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as e:
        raise Permanent(Reason.BAD_DATA, f"{run.manifest}: {e}") from e
    if manifest.plan_digest != plan.digest:
        raise Permanent(Reason.CONFLICT, f"{run.manifest} is of plan {manifest.plan_digest}, this is {plan.digest}")
    for name, digest in manifest.digests.items():
        if _sha256(run.dataset / f"{name}.parquet") != digest:
            raise Permanent(Reason.BAD_DATA, f"{name}.parquet changed after the data set was built")
    learned = _digests(read_rows(run.dataset / f"{name}.parquet") for name in LEARNED)
    judged = _digests(read_rows(run.dataset / f"{name}.parquet") for name in JUDGED)
    leaked = learned & (judged | _digests(_read(plan_folder, name) for name in plan.data.sealed))
    if leaked:
        raise Permanent(Reason.LEAK, f"{len(leaked)} texts are learned from and judged by")
    return manifest


def moment(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 time with zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as e:
        raise Permanent(Reason.BAD_PLAN, f"created_at: {e}") from e
    if found.tzinfo is None:
        raise Permanent(Reason.BAD_PLAN, f"created_at {text!r} has no time zone; UTC is written as +00:00")
    return found.timestamp()


def _read(folder: Path, name: str | None) -> pa.Table:
    return SCHEMA.empty_table() if name is None else read_rows(folder / name)


def _where(table: pa.Table, column: str, keep: Callable[[Any], bool]) -> pa.Table:
    return table.filter(pa.array([keep(value) for value in table[column].to_pylist()], pa.bool_()))


def _known_labels(table: pa.Table, plan: Plan, removed: Counter[str]) -> pa.Table:
    """Without the rows whose label is none of the model's (a typing error must not stop a training). No label yet is another matter."""
    known = {*plan.training.labels, None}
    kept = _where(table, "label", lambda label: label in known)
    removed["unknown_label"] += table.num_rows - kept.num_rows
    return kept


def _human(table: pa.Table, removed: Counter[str]) -> pa.Table:
    labelled = _where(table, "label", lambda label: label is not None)
    kept = _where(labelled, "source", is_human)
    removed["own_output"] += labelled.num_rows - kept.num_rows
    removed["unlabelled"] += table.num_rows - labelled.num_rows
    return kept


def _digests(tables: Iterable[pa.Table]) -> set[str]:
    return {digest for table in tables for digest in text_digests(table)}


def _replayed(replay: pa.Table, data: DataPart, sealed: Collection[str], removed: Counter[str]) -> tuple[pa.Table, pa.Table]:
    """(rows that train again, rows that choose checkpoints): drawn by salted hash, the labels in the shares that they have."""
    seen: set[str] = set(sealed)
    usable: list[int] = []
    for i, digest in enumerate(text_digests(replay)):
        if digest in seen:
            removed["replay_sealed" if digest in sealed else "replay_duplicate"] += 1
        else:
            seen.add(digest)
            usable.append(i)
    ids, labels = replay["id"].to_pylist(), replay["label"].to_pylist()
    usable.sort(key=lambda i: digest_of(data.salt, "replay", ids[i]))
    total, rank = Counter(labels[i] for i in usable), Counter[str]()
    places: dict[int, float] = {}
    for i in usable:  # the k-th of a label stands at k / n of it: any prefix has the labels' shares
        rank[labels[i]] += 1
        places[i] = rank[labels[i]] / total[labels[i]]
    usable.sort(key=lambda i: (places[i], i))
    most = min(data.validation_n, data.replay_n // REPLAY_VALIDATION_SHARE, len(usable) // REPLAY_VALIDATION_SHARE)
    train_n = min(data.replay_n, len(usable) - most)
    return replay.take(pa.array(usable[:train_n], pa.int64())), replay.take(pa.array(usable[train_n : train_n + most], pa.int64()))


def _reference_pool(data: DataPart, unlabelled: pa.Table, tables: dict[str, pa.Table]) -> pa.Table:
    """Production of the new period that nothing learned from: unlabelled rows and the gate's, at most `reference_n`, by salted hash."""
    pool = pa.concat_tables([unlabelled, tables["gate"]])
    seen = _digests([tables["train"], tables["validation"], tables["bound"]])
    pool = pool.filter(pa.array([digest not in seen for digest in text_digests(pool)], pa.bool_()))
    ids = pool["id"].to_pylist()
    chosen = sorted(range(len(ids)), key=lambda i: digest_of(data.salt, "reference", ids[i]))[: data.reference_n]
    return pool.take(pa.array(sorted(chosen), pa.int64()))


def _write(plan: Plan, tables: dict[str, pa.Table], removed: dict[str, int], replayed: int, run: RunFolder) -> Manifest:
    for name, table in tables.items():
        write_rows(run.dataset / f"{name}.parquet", table)
    digests = {name: _sha256(run.dataset / f"{name}.parquet") for name in tables}
    manifest = Manifest(
        plan_digest=plan.digest,
        data_digest=digest_of(*(f"{name}={digests[name]}" for name in sorted(digests))),
        counts={name: table.num_rows for name, table in tables.items()},
        labels={name: _label_counts(table) for name, table in tables.items()},
        digests=digests,
        removed={reason: n for reason, n in sorted(removed.items()) if n},
        replayed=replayed,
    )
    write_whole(run.manifest, msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2))
    return manifest


def _label_counts(table: pa.Table) -> dict[str, int]:
    counted = pc.value_counts(table["label"].combine_chunks()).to_pylist()
    return {item["values"]: item["counts"] for item in counted if item["values"] is not None}


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as e:
        raise Permanent(Reason.BAD_DATA, f"{path}: {e.strerror}") from e
