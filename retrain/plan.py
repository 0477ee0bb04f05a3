"""The plan: everything a retraining does, written before it starts, as a JSON file. One digest names it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from detectors.types import digest_of
from retrain.types import Permanent, Reason


class Trigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why this run exists."""

    subject: str
    detector: str
    because: str
    at: str
    """ISO 8601, UTC."""
    incident: str | None = None


class DataPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where rows come from and how many of each are wanted.

    Files are Parquet in the shape of `retrain.dataset.rows.SCHEMA`; paths relative to the plan's folder or absolute. Rows of
    `collected` that were recorded before the plan may train, never judge.
    """

    collected: str
    """Labelled production rows, written by the service when collecting ends."""
    unlabelled: str | None = None
    """Production rows without a label, recorded after the plan: with the gate's rows the pool of the next version's reference."""
    replay: str | None = None
    """Rows of earlier trainings."""
    old_domain: str | None = None
    """Sealed rows of the domain that the champion was made for: judged, never trained on."""
    sealed: tuple[str, ...] = ()
    """Further files whose rows must never train (loss bounds, references)."""
    train_n: int = 640
    validation_n: int = 80
    gate_n: int = 400
    """Rows of the trigger slice that the superiority gate needs for its power."""
    bound_n: int = 150
    """Rows kept for the next version's source loss bound alone."""
    replay_n: int = 640
    reference_n: int = 1000
    """Rows of the next version's reference (answered by the candidate)."""
    salt: str
    """Secret of the split; differs from the sampling salt."""


class TrainingPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dial (`epochs`); the rest has defaults that were measured (docs/experiments.md)."""

    base_model: str
    """Folder of the base model, or `package:NAME` for a folder `model/` in an installed package."""
    base_digest: str
    """SHA-256 of the base weights: another base is a Permanent failure."""
    technique: str = "lora"
    labels: tuple[str, ...]
    init_adapter: str | None = None
    """None = a fresh adapter on the base (default: train from the base on cumulative data)."""
    epochs: float = 3.0
    learning_rate: float = 1e-3
    rank: int = 16
    batch_n: int = 32
    max_tokens: int = 96
    seed: int = 0
    checkpoint_every_steps: int = 10
    threads: int | None = None
    """None = as many as the machine has cores."""
    deadline_s: float = 6 * 3600.0


class GatePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is judged, fixed before the run."""

    alpha: float = 0.05
    slice: str = "recent"
    """The one slice on which the candidate must be better: rows recorded after the plan."""
    metric: str = "accuracy"
    old_domain_margin: float = 0.03
    group_margin: float = 0.05
    group_min_n: int = 50
    protected: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it. `Plan.digest` is over the canonical JSON."""

    format: int = 1
    run_id: str
    model: str
    champion_version: str
    champion_adapter: str | None
    """Folder of the champion's adapter, fetched before; None = the bare base with a fresh head."""
    trigger: Trigger
    data: DataPart
    training: TrainingPart
    gate: GatePart
    created_at: str

    def to_json(self) -> bytes:
        """Canonical: sorted keys."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=2)

    @property
    def digest(self) -> str:
        """Names the plan: 16 hex digits."""
        return digest_of(msgspec.json.encode(self, order="sorted"))


def read_plan(path: Path) -> Plan:
    """A plan from its file; `Permanent(BAD_PLAN)` names the field that is wrong."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except (msgspec.DecodeError, msgspec.ValidationError) as e:
        raise Permanent(Reason.BAD_PLAN, f"{path.name}: {e}") from e
    except OSError as e:
        raise Permanent(Reason.BAD_PLAN, f"{path}: {e.strerror}") from e
