"""`python -m retrain`: one plan, one folder, one process that can be killed and started again.

Exit codes: 0 done; 75 transient (start it again); 65 permanent (starting it again will not help); 2 wrong usage. A failure leaves
failure.json {kind, reason, detail} in the run's folder.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrain.layout import RunFolder
from retrain.plan import Plan, read_plan
from retrain.types import EXIT_PERMANENT, EXIT_TRANSIENT, Permanent, Reason, Transient
from retrain.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STAGES = ("dataset", "train", "evaluate")
_NO_MEMORY = ("can't allocate memory", "not enough memory", "could not create a primitive", "bad_alloc")
"""The third is all that oneDNN says."""
_NO_SPACE = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; the exit code."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads beside other work cost four times the time (measured)
    asked = _parser().parse_args(arguments)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if asked.command == "inspect":
        sys.stdout.write(json.dumps(inspect(RunFolder(asked.dir)), indent=2, sort_keys=True) + "\n")
        return 0
    run = RunFolder(asked.dir) if asked.command != "score" else None
    try:
        if run is None:
            _score(asked)
        else:
            _run(asked, run, stop.is_set)
    except Exception as e:  # noqa: BLE001 (the top of the process: whatever it was becomes one of the two failure words)
        return _failed(e, run)
    return 0


def _run(asked: argparse.Namespace, run: RunFolder, stop: Callable[[], bool]) -> None:
    plan = read_plan(asked.plan)
    if asked.command == "resume" and not run.root.is_dir():
        raise Permanent(Reason.NOT_FOUND, f"{run.root}: nothing to resume")
    with _alone(run):
        run.failure.unlink(missing_ok=True)
        _keep_plan(plan, run)
        for stage in STAGES if asked.command in ("run", "resume") else (asked.command,):
            _stage(stage, plan, asked.plan.resolve().parent, run, stop)


def _stage(stage: str, plan: Plan, plan_folder: Path, run: RunFolder, stop: Callable[[], bool]) -> None:
    """One stage, unless it is done. What a stage writes last says so."""
    from retrain.dataset.build import build, verify  # noqa: PLC0415 (inspect and usage errors answer at once)

    if stop():
        raise Transient(Reason.INTERRUPTED, f"stopped before {stage}")
    if stage == "dataset":
        if not run.manifest.is_file():
            build(plan, plan_folder, run)
        verify(plan, plan_folder, run)
        return
    verify(plan, plan_folder, run)
    if stage == "train" and not run.candidate_file.is_file():
        from retrain.dataset.rows import read_rows  # noqa: PLC0415 (as above)
        from retrain.loop import train  # noqa: PLC0415 (torch)

        rows, validation = (read_rows(run.dataset / f"{name}.parquet") for name in ("train", "validation"))
        train(plan.training, rows, validation, run, plan_digest=plan.digest, stop=stop)
    if stage == "evaluate" and not run.reload.is_file():
        from retrain.evaluate import evaluate  # noqa: PLC0415 (torch)

        evaluate(plan, plan_folder, run, stop=stop)


def _score(asked: argparse.Namespace) -> None:
    from retrain.dataset.rows import read_rows  # noqa: PLC0415 (as above)
    from retrain.evaluations import write_evaluation  # noqa: PLC0415 (as above)
    from retrain.scorer import Scorer  # noqa: PLC0415 (torch)

    rows = read_rows(asked.rows)
    scorer = Scorer.load(asked.base, asked.adapter, asked.labels.split(","), asked.max_tokens, threads=asked.threads)
    write_evaluation(asked.out, rows, scorer.score([t or "" for t in rows["text"].to_pylist()]), scorer.labels)


def inspect(run: RunFolder) -> dict[str, Any]:
    """What a run's folder holds, for a person."""

    def facts(path: Path) -> object:
        return json.loads(path.read_bytes()) if path.is_file() else None

    lines = run.progress.read_text(encoding="utf-8").splitlines() if run.progress.is_file() else []
    return {
        "manifest": facts(run.manifest),
        "candidate": facts(run.candidate_file),
        "reload": facts(run.reload),
        "failure": facts(run.failure),
        "progress": json.loads(lines[-1]) if lines else None,
        "checkpoints": sorted(p.parent.name for p in run.checkpoints.glob("step-*/.complete")),
    }


@contextmanager
def _alone(run: RunFolder) -> Iterator[None]:
    """One process a folder; the lock goes with the process, however it ends."""
    run.root.mkdir(parents=True, exist_ok=True)
    with (run.root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise Transient(Reason.CONFLICT, f"{run.root}: another process works here") from e
        yield


def _keep_plan(plan: Plan, run: RunFolder) -> None:
    """The plan stays beside what comes of it; another plan in the same folder is refused."""
    kept = run.root / "plan.json"
    if kept.is_file() and read_plan(kept).digest != plan.digest:
        raise Permanent(Reason.CONFLICT, f"{run.root} belongs to another plan; give this one a folder of its own")
    write_whole(kept, plan.to_json())


def _failed(error: Exception, run: RunFolder | None) -> int:
    """Say it, leave it in failure.json, and give the exit code."""
    failure = _failure(error)
    kind, code = ("transient", EXIT_TRANSIENT) if isinstance(failure, Transient) else ("permanent", EXIT_PERMANENT)
    if failure is not error:
        traceback.print_exception(error)
    sys.stderr.write(f"{kind}: {failure}\n")
    if run is not None and failure.reason is not Reason.CONFLICT:  # with CONFLICT the folder is somebody else's
        with suppress(OSError):  # on a full disk the exit code has to do
            run.root.mkdir(parents=True, exist_ok=True)
            run.failure.write_text(json.dumps({"kind": kind, "reason": failure.reason, "detail": failure.detail}, sort_keys=True))
    return code


def _failure(error: Exception) -> Transient | Permanent:
    if isinstance(error, Transient | Permanent):
        return error
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)):
        return Transient(Reason.OUT_OF_MEMORY, str(error) or "no more could be allocated")
    if any(words in str(error) for words in _NO_SPACE):  # of safetensors it is no OSError
        return Transient(Reason.NO_SPACE, str(error))
    if isinstance(error, OSError):
        return Transient(Reason.UNAVAILABLE, str(error))
    return Permanent(Reason.CRASHED, f"{type(error).__name__}: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m retrain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "resume", *STAGES):
        command = commands.add_parser(name)
        command.add_argument("plan", type=Path)
        command.add_argument("--dir", type=Path, required=True, help="the run's folder")
    commands.add_parser("inspect").add_argument("--dir", type=Path, required=True)
    score = commands.add_parser("score", help="answers of one adapter to rows, in the shape of an evaluation")
    score.add_argument("--base", required=True, help="folder or package:NAME")
    score.add_argument("--adapter", type=Path, default=None)
    score.add_argument("--labels", required=True, help="comma separated, in the order of the model's outputs")
    score.add_argument("--rows", type=Path, required=True)
    score.add_argument("--out", type=Path, required=True)
    score.add_argument("--max-tokens", type=int, default=96)
    score.add_argument("--threads", type=int, default=None)
    return parser


if __name__ == "__main__":
    sys.exit(main())
