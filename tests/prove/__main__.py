"""`python -m tests.prove [--only NAME …] [--short] [--minutes N] [--seconds N]`: try detectors and whole models, write docs/validity.md."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time

from detectors import registry
from tests.prove.models import KINDS
from tests.prove.page import renew, write
from tests.prove.results import WHOLE
from tests.prove.run import FULL, SHORT, rows, run
from tests.prove.worlds import WORLDS


def main() -> int:
    parser, names = argparse.ArgumentParser(), [*registry.names(), WHOLE]
    parser.add_argument("--only", nargs="+", default=[], choices=names, metavar="NAME")
    parser.add_argument("--short", action="store_true", help="a few trials of each")
    parser.add_argument("--minutes", type=float, default=110.0, help="stop after so long; a further run goes on")
    parser.add_argument("--seconds", type=float, default=FULL.most_s, help="CPU seconds of a detector in one world; more add to them")
    parser.add_argument("--write", action="store_true", help="with --only: their part of docs/validity.md; without it the whole is written")
    asked = parser.parse_args()
    begun = time.time()
    names = asked.only or names

    def say(line: str) -> None:
        print(f"{time.time() - begun:6.0f} s  {line}", flush=True)

    size = SHORT if asked.short else dataclasses.replace(FULL, most_s=asked.seconds)
    is_whole = run(names, size, until=begun + asked.minutes * 60.0, say=say)
    found = list(rows(names))
    promised = {*(w.name for w in WORLDS if w.is_inside), *(kind.name for kind in KINDS)}
    broken = [row for row in found if not row.is_kept and row.what.partition(",")[0] in promised]
    for row in broken if not asked.only else found:
        print(f"{'BROKEN ' if row in broken else ''}{row.detector} | {row.what} | {row.claim} | {row.figure} | limit {row.limit} | {row.n}")
    if not asked.only and not asked.short:
        write(found, is_whole=is_whole)
    if asked.only and asked.write:
        renew(found, asked.only)
    say(f"{len(found)} judgements, {len(broken)} broken{'' if is_whole else '; not all was tried: run it again'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
