"""All trials of all detectors, on every core, within a time; what is there already is not tried again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.prove import results, trials
from tests.prove.verdicts import Row, alarms, coverage, is_sequential
from tests.prove.worlds import world

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


FULL = Size(streams_n=300, looks_n=2000, most_s=8.0, least_n=6)
SHORT = Size(streams_n=4, looks_n=30, most_s=0.2, least_n=1, is_everywhere=False)


@dataclass(frozen=True)
class Task:
    name: str
    what: str
    """"stream/WORLD", "look/WORLD", "shifted/WORLD" or "truth/WORLD"."""


def tasks(names: Iterable[str], size: Size = FULL) -> list[Task]:
    """Everything that there is to try, the slow ones first."""
    found = []
    for name in names:
        for where in trials.places(name)[: None if size.is_everywhere else 1]:
            if is_sequential(name):
                found.append(Task(name, f"stream/{where.name}"))
            else:
                found.append(Task(name, f"look/{where.name}"))
                if where.is_inside:
                    found += [Task(name, f"shifted/{where.name}"), Task(name, f"truth/{where.name}")]
    return sorted(found, key=lambda task: not task.what.startswith("stream"))


def tried(task: Task, size: Size, before: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    """Some more trials of a task: (all so far, whether they are enough). CPU time decides, so a busy machine makes as many."""
    kind, where = task.what.split("/", 1)
    found = [*before]
    if kind == "truth":
        if not found:
            found = [dict(zip(("value", "error"), trials.truth(task.name, where, shift=shift), strict=True)) for shift in (False, True)]
        return found, True
    trial: Callable[[str, str, int], dict[str, float]]
    trial = {"stream": trials.stream, "look": trials.look, "shifted": trials.shifted_look}[kind]
    most = {"stream": size.streams_n, "look": size.looks_n, "shifted": size.looks_n // 4}[kind]
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
        found, place = results.load(task.name, task.what), world(where)
        if not found or kind == "truth":
            continue
        if kind in {"stream", "look"}:
            yield alarms(task.name, place, found)
        known = results.load(task.name, f"truth/{where}")
        if known and kind in {"look", "shifted"}:
            of = known[kind == "shifted"]
            what = f"{where}, {'moderate shift' if kind == 'shifted' else 'quiet'}"
            if (row := coverage(task.name, what, found, of["value"], of["error"])) is not None:
                yield row
