"""A technique is a file in this folder with one function, `attach`; it is found by the file's name."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, cast

from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from retrain.plan import TrainingPart


class Technique(Protocol):
    """What a file in this folder offers."""

    def attach(self, model: Any, part: TrainingPart) -> Any:  # noqa: ANN401 (torch modules; torch is not imported here)
        """The model with trainable parameters added and all others frozen. The head must be trainable."""
        ...


def technique(name: str) -> Technique:
    """The technique in `retrain/techniques/NAME.py`; `Permanent(BAD_PLAN)` when there is none."""
    path = f"{__package__}.{name}"
    if not name.isidentifier() or name == "find" or find_spec(path) is None:
        raise Permanent(Reason.BAD_PLAN, f"technique {name!r}: no such file in retrain/techniques")
    module = import_module(path)
    if not hasattr(module, "attach"):
        raise Permanent(Reason.BAD_PLAN, f"technique {name!r}: {path} has no attach(model, part)")
    return cast("Technique", module)
