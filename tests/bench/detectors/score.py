"""Scores of every rule on one scenario: each runner in a process of its own, two at a time, kept by what they depend on."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.registry import detector_class
from tests.bench.detectors import case
from tests.bench.environments import ROOT, pins_of, python_of
from tests.prove.results import imported

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.bench.detectors.case import Scenario

_RUNNERS = Path(__file__).parent / "runners"
_KEPT = ROOT / ".cache" / "bench-detectors"
_TIMEOUT_S = 3600
OURS = "retuned"
"""What our rows begin with."""
RIVALS = ("rules", "evidently", "river", "frouros", "nannyml")


@dataclass(kw_only=True)
class Scores:
    """What the rules said on one case."""

    change: int
    pane_n: int
    null: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Row -> shape (streams, looks)."""
    drift: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    shipped: dict[str, float | None] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """CPU, all streams."""
    versions: dict[str, str] = field(default_factory=dict)
    looks: int = 0


def scored(scenario: Scenario, runners: tuple[str, ...] = (OURS, *RIVALS), kept: Path = _KEPT) -> Scores:
    """Every runner's scores; from the cache where neither data nor code changed."""
    arrays = case.made(scenario)
    about, path = json.loads(str(arrays["about"])), kept / f"{scenario.id}-{os.getpid()}.npz"
    outs = _outs(scenario, case.digest(arrays), runners, kept)
    missing = [name for name in runners if not outs[name].exists()]
    if missing:
        case.write(arrays, path)
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(lambda name: _run(name, scenario, path, outs[name]), missing))
        path.unlink()
    result = Scores(change=about["change"], pane_n=about["pane_n"])
    for name in runners:
        _take(result, np.load(outs[name], allow_pickle=False))
    return result


def is_kept(scenario: Scenario) -> bool:
    """Whether all rivals' scores are there: ours take seconds."""
    return all(out.exists() for out in _outs(scenario, case.digest(case.made(scenario)), RIVALS, _KEPT).values())


def _outs(scenario: Scenario, key: str, runners: tuple[str, ...], kept: Path) -> dict[str, Path]:
    return {name: kept / scenario.id / f"{name}-{_code(name, scenario)}-{key}.npz" for name in runners}


def _run(name: str, scenario: Scenario, path: Path, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_suffix(".unfinished.npz")
    command = [python_of(name), str(_RUNNERS / f"run_{name}.py"), str(path), str(unfinished), _options(scenario)]
    quiet = {"DO_NOT_TRACK": "true", "NML_DISABLE_USAGE_LOGGING": "1"}
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **quiet}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S)
    if done.returncode:
        raise RuntimeError(f"{name} on {scenario.id} failed with {done.returncode}:\n{done.stderr[-3000:]}")
    unfinished.rename(out)


def _options(scenario: Scenario) -> str:
    ours = {row: {name: dict(settings) for name, settings in detectors.items()} for row, detectors in scenario.ours.items()}
    return json.dumps({"skip": list(scenario.skip), "ours": ours}, sort_keys=True)


def _code(name: str, scenario: Scenario) -> str:
    """Digest of what computes the scores beside the data: packages, the runner, what it leaves out, for ours all that its rows import."""
    runner = f"{_RUNNERS.relative_to(ROOT)}/run_{name}.py"
    files = {f"{_RUNNERS.relative_to(ROOT)}/{name}.py" for name in ("protocol", "watched")} | {runner}
    said = [*pins_of(name), repr(scenario.skip)]
    if name == OURS:
        detectors = {detector for settings in scenario.ours.values() for detector in settings}
        modules = {detector_class(detector).__module__ for detector in detectors}
        files |= set().union(*(imported(file, "detectors") for file in (runner, *(f"{m.replace('.', '/')}.py" for m in modules))))
        said.append(_options(scenario))
    sha = hashlib.sha256("\n".join(said).encode())
    for file in sorted(files):
        sha.update(file.encode() + _meaning((ROOT / file).read_text()).encode())
    return sha.hexdigest()[:12]


def _meaning(source: str) -> str:
    """Code without layout, comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def _take(result: Scores, found: Any) -> None:
    said = json.loads(str(found["about"]))
    for row in said["shipped"]:
        result.null[row], result.drift[row] = found[f"null/{row}"], found[f"drift/{row}"]
        result.looks = result.null[row].size + result.drift[row].size
    result.shipped |= said["shipped"]
    result.seconds |= said["seconds"]
    result.versions |= said["versions"]
