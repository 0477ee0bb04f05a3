"""Figures as Grafana writes them, for the units that the dashboards use."""

from __future__ import annotations

_SECONDS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))
_BYTES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
_RATES = {"reqps": "/s", "cps": "/s"}


def written(value: float, unit: str, decimals: int | None = None) -> str:
    """A figure with its unit."""
    match unit:
        case "percentunit":
            return f"{100.0 * value:.{1 if decimals is None else decimals}f} %"
        case "s":
            return _scaled(value, _SECONDS)
        case "bytes":
            return _scaled(value, _BYTES)
        case "sci":
            return f"{value:.2g}"
    text = f"{value:.{decimals}f}" if decimals is not None else f"{value:.4g}"
    return text + _RATES.get(unit, "")


def _scaled(value: float, scale: tuple[tuple[float, str], ...]) -> str:
    size, name = next((step for step in scale if abs(value) >= step[0]), scale[-1])
    return f"{value / size:.3g} {name}"
