"""Checkpoints that survive a kill at any moment: safetensors and JSON in a folder that appears complete or not at all. No pickle."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from retrain.types import Permanent, Reason
from retrain.whole import sync

if TYPE_CHECKING:
    from pathlib import Path

Tensors = dict[str, torch.Tensor]
KEPT_N = 2
"""Older checkpoints are removed: the newest could be unreadable, two can't by one accident."""


@dataclass(kw_only=True)
class Progress:
    """All that training needs to go on as if it had not stopped. Random numbers follow from (seed, step): no generator is stored."""

    step: int = 0
    seconds: float = 0.0
    best_step: int = 0
    best_loss: float | None = None
    """Mean validation loss in nats; None = not measured yet."""
    bf16: bool = False
    best: Tensors | None = None
    """Trainable tensors at `best_step`."""


def write_checkpoint(folder: Path, progress: Progress, trainable: Tensors, optimizer: torch.optim.Optimizer, *, digest: str) -> None:
    """Write `folder/step-NNNNNN`; `.complete` comes last, then the folder gets its name."""
    final = folder / f"step-{progress.step:06d}"
    beside = folder / f".{final.name}.tmp"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        _fill(beside, progress, trainable, optimizer, digest=digest)
    except OSError:  # a full disk: what is half written must not take the room that saying so needs
        shutil.rmtree(beside, ignore_errors=True)
        raise
    shutil.rmtree(final, ignore_errors=True)
    beside.rename(final)
    sync(folder)
    for old in _complete(folder)[KEPT_N:]:
        shutil.rmtree(old, ignore_errors=True)


def _fill(beside: Path, progress: Progress, trainable: Tensors, optimizer: torch.optim.Optimizer, *, digest: str) -> None:
    beside.mkdir(parents=True)
    facts = {name: value for name, value in vars(progress).items() if name != "best"} | {"digest": digest}
    _write(beside / "state.json", json.dumps(facts, sort_keys=True).encode())
    _write(beside / "trainable.safetensors", save({n: t.detach().contiguous() for n, t in trainable.items()}))
    _write(beside / "optimizer.safetensors", save(_flat(optimizer, trainable)))
    if progress.best is not None:
        _write(beside / "best.safetensors", save(progress.best))
    _write(beside / ".complete", b"")
    sync(beside)


def read_checkpoint(folder: Path, trainable: Tensors, optimizer: torch.optim.Optimizer, *, digest: str) -> Progress | None:
    """Put the newest readable checkpoint into `trainable` and `optimizer`; None when there is none.

    `Permanent(CONFLICT)` when it is another plan's: two plans don't share a folder.
    """
    for path in _complete(folder):
        try:
            facts = json.loads((path / "state.json").read_bytes())
            weights = load((path / "trainable.safetensors").read_bytes())
            moments = load((path / "optimizer.safetensors").read_bytes())
            best = load((path / "best.safetensors").read_bytes()) if (path / "best.safetensors").is_file() else None
        except (OSError, ValueError, SafetensorError):
            continue  # the one before it is older, not wrong
        if facts.pop("digest") != digest:
            raise Permanent(Reason.CONFLICT, f"{path}: a checkpoint of another plan; give this plan a folder of its own")
        _restore(trainable, optimizer, weights, moments)
        return Progress(**facts, best=best)
    return None


def _complete(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted((p.parent for p in folder.glob("step-*/.complete")), reverse=True)


def _flat(optimizer: torch.optim.Optimizer, trainable: Tensors) -> Tensors:
    return {
        f"{name}|{key}": value.detach().contiguous() for name, tensor in trainable.items() for key, value in optimizer.state[tensor].items()
    }


def _restore(trainable: Tensors, optimizer: torch.optim.Optimizer, weights: Tensors, moments: Tensors) -> None:
    if set(weights) != set(trainable):
        raise Permanent(Reason.CONFLICT, f"the checkpoint has other parameters: {sorted(set(weights) ^ set(trainable))[:3]}")
    state: dict[str, dict[str, Any]] = {name: {} for name in trainable}
    for key, value in moments.items():
        name, _, moment = key.rpartition("|")
        state[name][moment] = value
    with torch.no_grad():
        for name, tensor in trainable.items():
            tensor.copy_(weights[name])
            if state[name]:
                optimizer.state[tensor] = state[name]


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
