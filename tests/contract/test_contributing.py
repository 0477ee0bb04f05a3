"""The example in CONTRIBUTING.md is real: it registers, keeps the detectors' contract, and is watched where settings name it."""

import re
import sys
import types
from pathlib import Path

import pytest

from daemon.decide.monitors.all import monitors
from daemon.settings import ModelSettings
from detectors import registry
from detectors.checks import checks_for

_GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"


def test_the_detector_of_the_contributing_guide_keeps_the_contract_and_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    source = re.search(r"```python\n(.*?)```", _GUIDE.read_text(), re.DOTALL)
    assert source is not None, "CONTRIBUTING.md shows no detector"
    module = types.ModuleType("contributing_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(registry._found, "largest_gap", None)  # type: ignore[arg-type]  # gone again afterwards; what else is loaded stays
    exec(compile(source.group(1), str(_GUIDE), "exec"), module.__dict__)
    found = registry.detector_class("largest_gap")
    checks = checks_for(found)
    assert checks
    for check in checks:
        check()
    model = {"name": "m", "task": "tabular-regression", "columns": {"channel": "category"}}
    settings = ModelSettings.model_validate({**model, "monitors": {"drift": {"statistics": ["ks", "largest_gap"]}}})
    assert [d.subject for d in monitors(settings, has_bound=False) if isinstance(d, found)] == ["input.channel"]
