"""The training process, read from top to bottom: base, adapter, batches, steps, checkpoints, candidate.

One loop and no callbacks. Batches are grouped by length and padded to their own longest row; the optimiser is AdamW; the learning rate
warms up over a tenth of the steps and falls linearly to zero. The batches and all random numbers of a step follow from (seed, step), so
a run that was killed and resumed ends in the same weights as one that was not (same machine, same number of threads).
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrain.classifier import load_base, native_bf16, probabilities, put_adapter, save_adapter, tokens_of, use_threads

# the line above says how torch's threads wait, which must be said before torch is loaded
# isort: split
import torch

from retrain.checkpoint import Progress, Tensors, read_checkpoint, write_checkpoint
from retrain.evaluations import write_evaluation
from retrain.one_pass import in_one_pass
from retrain.packed import logits_of
from retrain.techniques.find import technique
from retrain.types import Permanent, Reason, Transient
from retrain.weights import check_weights
from retrain.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from retrain.layout import RunFolder
    from retrain.plan import TrainingPart

WARM_UP_RATIO = 0.1
MAX_GRADIENT = 1.0
WEIGHT_DECAY = 0.01
POOL_BATCHES = 16
"""Rows are sorted by length within pools of so many batches: little padding, and still other neighbours in every epoch."""
CHECK_N = 200
"""Rows whose scores are kept for the reload gate."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What candidate.json says."""

    plan_digest: str
    base_model: str
    base_digest: str
    technique: str
    labels: tuple[str, ...]
    max_tokens: int
    train_n: int
    validation_n: int
    steps: int
    best_step: int
    validation_loss: float | None
    """Mean over the validation rows at `best_step`, in nats."""
    seconds: float
    """Spent in steps and validation, over all attempts."""
    resumed_from: int
    """Step that the last attempt started at."""
    bf16: bool
    torch_version: str


@dataclass(frozen=True)
class _Rows:
    """Texts as token ids and labels as class indices."""

    tokens: list[list[int]]
    classes: NDArray[np.int64]


def train(
    part: TrainingPart, rows: pa.Table, validation: pa.Table, run: RunFolder, *, plan_digest: str, stop: Callable[[], bool] = bool
) -> Candidate:
    """Train on `rows`, keep the checkpoint with the lowest loss on `validation`, write the candidate into `run`.

    Goes on from the newest checkpoint in `run`. `stop()` is asked after every step: True writes a checkpoint and raises
    `Transient(INTERRUPTED)`. More than `part.deadline_s` seconds of training is `Permanent(TIMEOUT)`.
    """
    check_weights(part.base_model, part.base_digest)
    model, tokenizer = _prepared(part)
    pad = tokenizer.pad_token_id or 0
    learn, choose = _rows(rows, tokenizer, part), _rows(validation, tokenizer, part)
    batches = batches_of([len(t) for t in learn.tokens], part.batch_n, part.epochs, part.seed)

    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trainable.values(), lr=part.learning_rate, weight_decay=WEIGHT_DECAY)
    progress = read_checkpoint(run.checkpoints, trainable, optimizer, digest=plan_digest) or Progress(bf16=native_bf16())
    resumed_from = progress.step

    run.root.mkdir(parents=True, exist_ok=True)
    with run.progress.open("a", encoding="utf-8") as journal:
        while progress.step < len(batches):
            began = time.perf_counter()
            for group in optimizer.param_groups:
                group["lr"] = part.learning_rate * rate(progress.step, len(batches))
            seed = _step_seed(part.seed, progress.step)
            loss = _step(model, optimizer, learn, batches[progress.step], pad, seed=seed, bf16=progress.bf16)
            progress.step += 1
            due = progress.step % part.checkpoint_every_steps == 0 or progress.step == len(batches)
            measured = _choose(model, trainable, choose, pad, progress) if due else {}
            progress.seconds += time.perf_counter() - began
            told = {"step": progress.step, "steps": len(batches), "loss": round(loss, 6), "seconds": round(progress.seconds, 3)}
            print(json.dumps(told | measured), file=journal, flush=True)
            stopped, late = stop(), progress.seconds > part.deadline_s
            if due or stopped or late:
                write_checkpoint(run.checkpoints, progress, trainable, optimizer, digest=plan_digest)
            if progress.step < len(batches):
                _heed(part, progress, stopped=stopped, late=late)

    _put(trainable, progress.best or {})
    candidate = _candidate(part, progress, plan_digest, (rows.num_rows, validation.num_rows), resumed_from)
    _write_candidate(model, tokenizer, candidate, validation if validation.num_rows else rows, run)
    return candidate


def batches_of(lengths: Sequence[int], batch_n: int, epochs: float, seed: int) -> list[NDArray[np.int64]]:
    """Row indices of every step. Each epoch has every row once, in batches of rows of about one length, in random order."""
    per_epoch = math.ceil(len(lengths) / batch_n)
    size = np.asarray(lengths)
    found: list[NDArray[np.int64]] = []
    for epoch in range(math.ceil(epochs)):
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(lengths))
        pools = [order[i : i + POOL_BATCHES * batch_n] for i in range(0, len(order), POOL_BATCHES * batch_n)]
        pools = [pool[np.argsort(size[pool], kind="stable")] for pool in pools]
        batches = [pool[i : i + batch_n] for pool in pools for i in range(0, len(pool), batch_n)]
        found += [batches[i] for i in rng.permutation(len(batches))]
    return found[: math.ceil(epochs * per_epoch)]


def rate(step: int, steps: int) -> float:
    """Share of the learning rate at a step: up over the first tenth, then linearly down to zero."""
    warm_up = max(1, math.ceil(WARM_UP_RATIO * steps))
    return (step + 1) / warm_up if step < warm_up else (steps - step) / max(1, steps - warm_up)


def _prepared(part: TrainingPart) -> tuple[Any, Any]:
    """(base with the technique's parameters or those of `init_adapter`, tokeniser)."""
    use_threads(part.threads)
    model, tokenizer = load_base(part.base_model, part.labels, seed=part.seed)
    if part.init_adapter is None:
        return in_one_pass(technique(part.technique).attach(model, part)), tokenizer
    return in_one_pass(put_adapter(model, Path(part.init_adapter), trainable=True)), tokenizer


def _step(
    model: Any,  # noqa: ANN401 (torch modules)
    optimizer: torch.optim.Optimizer,
    rows: _Rows,
    chosen: NDArray[np.int64],
    pad: int,
    *,
    seed: int,
    bf16: bool,
) -> float:
    """One step of gradient descent; the batch's mean loss in nats."""
    torch.manual_seed(seed)  # dropout
    model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        logits = logits_of(model, [rows.tokens[i] for i in chosen], pad)
    loss = torch.nn.functional.cross_entropy(logits.float(), torch.as_tensor(rows.classes[chosen]))
    value = float(loss.detach())
    if not math.isfinite(value):
        raise Permanent(Reason.BAD_DATA, f"the loss became {value}; a smaller learning rate may help")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch types it not
    torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], MAX_GRADIENT)
    optimizer.step()
    return value


def _choose(model: Any, trainable: Tensors, rows: _Rows, pad: int, progress: Progress) -> dict[str, float]:  # noqa: ANN401 (torch)
    """Measure the validation loss; remember the weights if it is the lowest so far."""
    if not rows.tokens:
        return {}
    model.eval()
    scores = probabilities(model, rows.tokens, pad, bf16=progress.bf16)
    loss = float(-np.log(np.clip(scores[np.arange(len(scores)), rows.classes], 1e-9, 1.0)).mean())
    if progress.best_loss is None or loss < progress.best_loss:
        progress.best_loss, progress.best_step = loss, progress.step
        progress.best = {name: p.detach().clone().contiguous() for name, p in trainable.items()}
    return {"validation_loss": round(loss, 6)}


def _heed(part: TrainingPart, progress: Progress, *, stopped: bool, late: bool) -> None:
    if late:
        raise Permanent(Reason.TIMEOUT, f"{progress.seconds:.0f} s of training, the plan allows {part.deadline_s:.0f}")
    if stopped:
        raise Transient(Reason.INTERRUPTED, f"stopped at step {progress.step}; a checkpoint is written")


def _candidate(part: TrainingPart, progress: Progress, digest: str, n: tuple[int, int], resumed_from: int) -> Candidate:
    return Candidate(
        plan_digest=digest,
        base_model=part.base_model,
        base_digest=part.base_digest,
        technique=part.technique,
        labels=part.labels,
        max_tokens=part.max_tokens,
        train_n=n[0],
        validation_n=n[1],
        steps=progress.step,
        best_step=progress.best_step or progress.step,
        validation_loss=progress.best_loss,
        seconds=round(progress.seconds, 3),
        resumed_from=resumed_from,
        bf16=progress.bf16,
        torch_version=torch.__version__,
    )


def _write_candidate(model: Any, tokenizer: Any, candidate: Candidate, rows: pa.Table, run: RunFolder) -> None:  # noqa: ANN401 (torch)
    """The adapter, scores of the model in memory to compare a reloaded one with, and candidate.json last."""
    save_adapter(model, run.adapter, candidate.base_model)
    model.eval()
    model.merge_adapter()
    check = rows.slice(0, CHECK_N)
    tokens = tokens_of(tokenizer, check["text"].to_pylist(), candidate.max_tokens)
    scores = probabilities(model, tokens, tokenizer.pad_token_id or 0, bf16=candidate.bf16)
    write_evaluation(run.check_scores, check, scores, candidate.labels)
    write_whole(run.candidate_file, json.dumps(asdict(candidate), indent=2, sort_keys=True).encode())


def _rows(table: pa.Table, tokenizer: Any, part: TrainingPart) -> _Rows:  # noqa: ANN401 (transformers)
    index = {label: i for i, label in enumerate(part.labels)}
    labels = table["label"].to_pylist()
    if unknown := {str(label) for label in labels if label not in index}:
        raise Permanent(Reason.BAD_DATA, f"labels {sorted(unknown)[:5]} are none of the model's: {list(part.labels)}")
    classes = np.asarray([index[label] for label in labels], dtype=np.int64)
    return _Rows(tokens_of(tokenizer, table["text"].to_pylist(), part.max_tokens), classes)


def _put(trainable: Tensors, values: Tensors) -> None:
    with torch.no_grad():
        for name, value in values.items():
            trainable[name].copy_(value)


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
