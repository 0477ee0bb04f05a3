"""What trials came to, kept by the sources that they depend on: killed at any time, `python -m tests.prove` goes on where it was."""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectors import registry

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".cache" / "prove"
_OWN = ["tests/prove/trials.py", "tests/prove/worlds.py", "detectors/examples.py"]
WHOLE = "whole_models"
"""In the place of a detector's name: the trials of whole models."""
_FURTHER = {"quiet": "tests/prove/followed.py", "moved": "tests/prove/followed.py", "remedied": "tests/prove/remedies.py"}
"""Sources of some kinds of trials beside these."""


@cache
def digest_of_sources(name: str, kind: str = "") -> str:
    """Of the detector's file, of all files of `detectors` that it imports, and of the trials themselves; of whole models of all."""
    if name == WHOLE:
        every = {str(path.relative_to(ROOT)) for path in (ROOT / "detectors").rglob("*.py")}
        return digest_of(every | imported("tests/prove/lives.py", "daemon", "tests"))
    module = registry.detector_class(name).__module__
    own = {*_OWN, _FURTHER[kind]} if kind in _FURTHER else set(_OWN)
    return digest_of(own | imported(f"{module.replace('.', '/')}.py", "detectors"))


def imported(file: str, *packages: str) -> set[str]:
    """A file (relative to the root) and all files of these packages that it imports, in however many steps."""
    files: set[str] = set()
    waiting = [file]
    while waiting:
        file = waiting.pop()
        if file in files or not (ROOT / file).exists():
            continue
        files.add(file)
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            found = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            found += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            waiting += [f"{m.replace('.', '/')}.py" for m in found if m.startswith(packages)]
    return files


def digest_of(files: Iterable[str]) -> str:
    """Of names and contents."""
    sha = hashlib.sha256()
    for file in sorted(files):
        sha.update(file.encode() + b"\0" + (ROOT / file).read_bytes())
    return sha.hexdigest()[:16]


def load(name: str, what: str) -> list[dict[str, Any]]:
    """Trials that are there, in the order of their seeds."""
    file = _file(name, what)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def keep(name: str, what: str, found: list[dict[str, Any]]) -> None:
    """All trials so far, whole or not at all."""
    file = _file(name, what)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text("".join(json.dumps(row) + "\n" for row in found))
    part.replace(file)


def _file(name: str, what: str) -> Path:
    kind = what.split("/", 1)[0]
    return KEPT / f"{name}-{digest_of_sources(name, kind)}" / f"{what.replace('/', '_')}.ndjson"
