"""A test's own file as a program that says "ready" and works in a folder: killed at random moments, until it ends by itself."""

from __future__ import annotations

import random
import select
import subprocess
import sys
import time
from pathlib import Path


def one_life(program: str, folder: Path, *, kill_after_s: float | None) -> tuple[bool, bool]:
    """(whether it was killed, whether it ended well); killed so long after it was ready, unless it ended before. None = not killed."""
    with subprocess.Popen([sys.executable, program, str(folder)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        is_killed = False
        if kill_after_s is not None:
            select.select([child.stdout], [], [], kill_after_s)  # ends early when the child does
            if child.poll() is None:
                child.kill()
                is_killed = True
        return is_killed, child.wait(60) == 0


def to_the_end(program: str, folder: Path, *, seed: int, kills_n: int, within_s: tuple[float, float]) -> int:
    """Lives, the first `kills_n` of them cut short, until one ends well; how many were killed."""
    rng, kills, deadline = random.Random(seed), 0, time.monotonic() + 100
    while time.monotonic() < deadline:
        is_killed, is_done = one_life(program, folder, kill_after_s=rng.uniform(*within_s) if kills < kills_n else None)
        kills += is_killed
        if is_done:
            return kills
    raise AssertionError("it never got to the end")
