"""`python -m tests.bench.estimates [SET…]`: every set (or those named) judged, the page docs/benchmarks-estimates.md written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.bench.estimates.bound import bounds
from tests.bench.estimates.judge import judge
from tests.bench.estimates.page import page
from tests.bench.estimates.sets import SETS

_ROOT = Path(__file__).parents[3]
_KEPT = _ROOT / ".cache" / "bench-estimates.json"
_PAGE = _ROOT / "docs" / "benchmarks-estimates.md"


def main() -> None:
    """Sets that are not named keep what the last run found."""
    found: dict[str, Any] = json.loads(_KEPT.read_text()) if _KEPT.exists() else {}
    for name in sys.argv[1:] or list(SETS):
        print(f"== {name}", flush=True)
        found[name] = judge(name) | {"bounds": bounds(name)}
        _KEPT.write_text(json.dumps(found))
    _PAGE.write_text(page({name: found[name] for name in SETS if name in found}))
    print(f"written: {_PAGE}")


if __name__ == "__main__":
    main()
