"""The example in CONTRIBUTING.md is real: it registers, and it keeps the detectors' contract."""

import re
import sys
import types
from pathlib import Path

import pytest

from detectors import registry
from detectors.checks import checks_for

_GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"


def test_the_detector_of_the_contributing_guide_keeps_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    source = re.search(r"```python\n(.*?)```", _GUIDE.read_text(), re.DOTALL)
    assert source is not None, "CONTRIBUTING.md shows no detector"
    module = types.ModuleType("contributing_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(registry, "_found", dict(registry._found))
    exec(compile(source.group(1), str(_GUIDE), "exec"), module.__dict__)
    found = registry.detector_class("largest_gap")
    checks = checks_for(found)
    assert checks
    for check in checks:
        check()
