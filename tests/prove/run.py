"""All trials of all detectors, on every core, within a time; what is there already is not tried again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from detectors import registry
from detectors.types import EValue
from tests.prove import followed, lives, remedies, results, trials, whole
from tests.prove.models import KINDS
from tests.prove.results import WHOLE
from tests.prove.verdicts import Row, alarms, coverage, every, is_sequential

_CHUNK_S = 10.0
"""Work of one process before it gives what it has."""


@dataclass(frozen=True)
class Size:
    streams_n: int
    looks_n: int
    most_s: float
    """CPU seconds of one detector in one world; whatever the numbers say, `least_n` trials are made."""
    least_n: int
    is_everywhere: bool = True
    """In all worlds; False: in the independent one."""


FULL = Size(streams_n=300, looks_n=2000, most_s=8.0, least_n=3)
SHORT = Size(streams_n=0, looks_n=200, most_s=0.3, least_n=1, is_everywhere=False)
CLIPPED = dict.fromkeys(
    ("risk_value", "risk_value_change", "value_ceiling"),
    "an error is cut where the stream's own bound rows say, so that its mean is another for every reference: "
    "tests/statistical/test_clipped_losses.py holds each interval against its own",
)
"""Further detectors whose figure has no one value in a shifted world, and why."""
_TRIALS: dict[str, Callable[[str, str, int], dict[str, Any]]] = {
    "stream": trials.stream,
    "look": trials.look,
    "shifted": trials.shifted_look,
    "quiet": followed.quiet,
    "moved": followed.moved,
    "remedied": remedies.remedied,
    "life": lambda _, kind, seed: lives.life(kind, seed),
}
_TIMES = {"life": 15.0}
"""Of a detector's CPU seconds: a life folds all detectors of a model."""


@dataclass(frozen=True)
class Task:
    name: str
    what: str
    """Kind of trial and world: "stream/WORLD", "look/WORLD", …, "truth/WORLD", "remedied/REMEDY"; of whole models "life/KIND"."""


def tasks(names: Iterable[str], size: Size = FULL) -> list[Task]:
    """Everything that there is to try: of every detector the independent world first, those that learn last."""
    found = []
    for name in names:
        if name == WHOLE:
            found += [Task(name, f"life/{kind.name}") for kind in KINDS]
            continue
        places = trials.places(name)[: None if size.is_everywhere else 1]
        if is_sequential(name):
            found += [Task(name, f"remedied/{remedy.name}") for remedy in remedies.remedy_places(trials.proven(name), places)]
            found += [Task(name, f"{kind}/{places[0].name}") for kind in ("quiet", "truth")]
            found += [Task(name, f"moved/{places[0].name}")] if name not in {*followed.LEARNT, *CLIPPED} else []
        for where in places:
            if is_sequential(name):
                found.append(Task(name, f"stream/{where.name}"))
            else:
                found.append(Task(name, f"look/{where.name}"))
                if where.is_inside:
                    found.append(Task(name, f"truth/{where.name}"))
                    found += [Task(name, f"shifted/{where.name}")] if name not in followed.LEARNT else []
    return sorted(found, key=lambda task: (task.name in followed.LEARNT, not task.what.endswith("/independent")))


def tried(task: Task, size: Size, before: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    """Some more trials of a task: (all so far, whether they are enough). CPU time decides, so a busy machine makes as many."""
    kind, where = task.what.split("/", 1)
    found = [*before]
    if kind == "truth":
        if not found:
            found = [dict(zip(("value", "error"), trials.truth(task.name, where, shift=shift), strict=True)) for shift in (False, True)]
        return found, True
    trial = _TRIALS[kind]
    most = {"look": size.looks_n, "shifted": size.looks_n // 4}.get(kind, size.streams_n)
    size = replace(size, most_s=size.most_s * _TIMES.get(kind, 1.0))
    begun = time.process_time()
    while not is_enough(found, size, most):
        start = time.process_time()
        row = trial(task.name, where, len(found))
        found.append({**row, "cpu_s": time.process_time() - start})
        if time.process_time() - begun > _CHUNK_S:
            break
    return found, is_enough(found, size, most)


def is_enough(found: list[dict[str, Any]], size: Size, most: int) -> bool:
    return len(found) >= most or (len(found) >= size.least_n and sum(row["cpu_s"] for row in found) >= size.most_s)


def run(names: list[str], size: Size, *, until: float, say: Callable[[str], None]) -> bool:
    """Try until all is enough or the time (seconds since the epoch) is over; whether all is."""
    waiting = tasks(names, size)
    total, done = len(waiting), 0
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers) as pool:
        running: dict[Future[tuple[list[dict[str, Any]], bool]], Task] = {}
        while (waiting and time.time() < until) or running:
            while waiting and len(running) < 2 * workers and time.time() < until:
                task = waiting.pop(0)
                running[pool.submit(tried, task, size, results.load(task.name, task.what))] = task
            for future in [f for f in running if f.done()] or [next(iter(running))]:
                task = running.pop(future)
                found, enough = future.result()
                results.keep(task.name, task.what, found)
                if enough:
                    done += 1
                    if done % 20 == 0:
                        say(f"{done} of {total} tasks; last: {task.name} {task.what}, {len(found)} trials")
                else:
                    waiting.insert(0, task)
    return not waiting


def rows(names: Iterable[str], size: Size = FULL) -> Iterator[Row]:
    """Judgements of all that was tried."""
    for task in tasks(names, size):
        kind, where = task.what.split("/", 1)
        found = results.load(task.name, task.what)
        if not found or kind == "truth":
            continue
        if kind == "life":
            yield whole.kept(where, found)
            continue
        if kind in {"stream", "look", "remedied"}:
            yield alarms(task.name, where, found)
        known = results.load(task.name, f"truth/{where}")
        if known and kind in {"look", "shifted", "quiet", "moved"}:
            of = known[kind in {"shifted", "moved"}]
            yield from _intervals(task.name, f"{where}, {'moderate shift' if kind in {'shifted', 'moved'} else 'quiet'}", found, of)


def _intervals(name: str, what: str, found: list[dict[str, Any]], truth: dict[str, float]) -> Iterator[Row]:
    """At one look; where the evidence holds for ever, so must the interval."""
    looks = [(what, found)]
    if is_sequential(name) and registry.detector_class(name).evidence is EValue:
        looks.append((f"{what}, all looks", every(found)))
    for of, told in looks:
        if (row := coverage(name, of, told, truth["value"], truth["error"])) is not None:
            yield row
