"""Environments of rivals whose needs conflict with ours: made once under .cache/rivals, by pinned names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_RIVALS = ROOT / ".cache" / "rivals"
_PINS = {
    "nannyml": ("nannyml==0.13.1", "pandas==2.3.3", "statsmodels==0.15.0"),
    "whylogs": ("whylogs==1.6.4", "whylogs-sketching==3.4.1.dev3", "numpy==1.26.4", "pandas==2.3.3"),
    "frouros": ("frouros==0.9.0", "numpy==2.1.3", "scipy==1.14.1"),
}


def python_of(rival: str) -> str:
    """The interpreter that can import this rival; ours where it lives beside us."""
    if rival not in _PINS:
        return sys.executable
    home = _RIVALS / rival
    ready = home / ".ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=300)
        pip = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *_PINS[rival]]
        subprocess.run(pip, check=True, timeout=1800)
        ready.touch()
    return str(home / "bin" / "python")
