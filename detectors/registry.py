"""Find detectors by name: those of this package by walking its folders, others by the entry point group `retuned.detectors`.

A plug-in is one file: a frozen dataclass under `@register("name")`. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import ast
import importlib
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from detectors.types import Detector

_FOLDERS = ("quality", "drift", "performance", "fairness", "sequential")
_found: dict[str, type[Any]] = {}

D = TypeVar("D", bound=type[Any])


def register(name: str) -> Callable[[D], D]:
    """Class decorator: makes the detector known under `name` (lower case, unique)."""

    def keep(cls: D) -> D:
        other = _found.get(name)
        if other is not None and other.__module__ != cls.__module__:
            msg = f"detector {name!r} is registered twice: {other.__module__} and {cls.__module__}; rename one"
            raise ValueError(msg)
        cls.name = name
        _found[name] = cls
        return cls

    return keep


def _registered_in(path: Path) -> list[str]:
    """Names that a file registers, read without importing it: what a detector needs is loaded when it is used."""
    return [
        call.args[0].value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
        for call in node.decorator_list
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "register"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    ]


@cache
def _modules() -> dict[str, str]:
    """Detector name -> module that holds it."""
    here = Path(__file__).parent
    modules = {}
    for folder in _FOLDERS:
        for path in sorted((here / folder).glob("*.py")):
            for name in _registered_in(path):
                modules[name] = f"detectors.{folder}.{path.stem}"
    for point in entry_points(group="retuned.detectors"):
        modules.setdefault(point.name, point.value)
    return modules


def names() -> list[str]:
    """Every detector that can be built, sorted."""
    return sorted(set(_modules()) | set(_found))


def detector_class(name: str) -> type[Any]:
    """The class under a name; `LookupError` names those that exist."""
    if name not in _found:
        module = _modules().get(name)
        if module is None:
            msg = f"no detector {name!r}; known: {', '.join(names())}"
            raise LookupError(msg)
        importlib.import_module(module)
    return _found[name]


def build(name: str, **settings: Any) -> Detector:  # noqa: ANN401 (each detector has settings of its own)
    """A detector by name with its settings (`column=`, `alpha=`, …), checked by its dataclass."""
    detector: Detector = detector_class(name)(**settings)
    return detector
