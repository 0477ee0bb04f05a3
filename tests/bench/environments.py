"""Environments of rivals whose needs conflict with ours: made once for their pins, under .cache/rivals."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
_RIVALS = ROOT / ".cache" / "rivals"
_PINS = {
    "nannyml": ("nannyml==0.13.1", "pandas==2.3.3", "statsmodels==0.15.0"),
    "whylogs": ("whylogs==1.6.4", "whylogs-sketching==3.4.1.dev3", "numpy==1.26.4", "pandas==2.3.3"),
    "frouros": ("frouros==0.9.0", "numpy==2.1.3", "scipy==1.14.1"),
}
_BESIDE_US = {
    "retuned": ("numpy", "scipy", "datasketches"),
    "rules": ("numpy", "scipy"),
    "evidently": ("evidently", "numpy", "pandas", "scipy", "scikit-learn"),
    "river": ("river", "numpy"),
}


def pins_of(rival: str) -> tuple[str, ...]:
    """The packages whose versions a rival's results depend on: as pinned, or as installed beside us."""
    return _PINS[rival] if rival in _PINS else tuple(f"{name}=={version(name)}" for name in _BESIDE_US[rival])


def python_of(rival: str) -> str:
    """The interpreter that can import this rival; ours where it lives beside us. Other pins than before are installed anew."""
    if rival not in _PINS:
        return sys.executable
    home, wanted = _RIVALS / rival, "\n".join(_PINS[rival])
    ready = home / ".ready"
    if not ready.exists() or ready.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=300)
        pip = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *_PINS[rival]]
        subprocess.run(pip, check=True, timeout=1800)
        ready.write_text(wanted)
    return str(home / "bin" / "python")
