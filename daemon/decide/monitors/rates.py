"""One knob: what every detector of a model gets of the model's rate of false alarms. Pure.

The user says once how many days lie between a model's false alarms on average: N = days * 86400 / pane_s panes. Let the e-detectors alarm
at M_i >= 1/a_i, the e-processes at K_j >= 1/b_j, A = sum a_i, B = sum b_j. At the first alarm, after T panes, sum a_i M_i + sum b_j K_j is
at least 1, and its mean is at most A E[T] + B: e-detectors average (Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532) and an e-process has a
mean of at most 1 at any time. Hence E[T] >= (1 - B)/A, whatever the dependence between columns, segments and detectors. Bounds made from
the finite reference fail with D = the sum of the detectors' deltas: E[T] >= (1 - D)(1 - B)/A. `spread` chooses a_i so that this is N.

docs/decisions/0015 says how an e-process, which errs at most once an epoch, is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from detectors.types import Eats, EDetectorValue, EValue, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detectors.types import Detector

DELTA = 0.01
"""Most of a detector: chance that a bound made from the finite reference fails."""
DELTAS = 0.1
"""Most of all detectors of a model together; the alphas make up for it."""
_LABELLED = frozenset({Eats.PAIRS, Eats.SCORES, Eats.VALUES, Eats.QUALITY})
"""What detectors eat whose bounds rest on labelled rows."""
E_PROCESSES = 0.02
"""Of all e-processes of a model together: P(ever a false alarm in an epoch) of those whose alpha nobody set."""
_NONE: Mapping[str, float] = MappingProxyType({})
_MOST = 0.5
_DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Group:
    """The detectors of one group of monitors, as they were built: with any alpha."""

    name: str
    detectors: Sequence[Detector]
    days: float | None = None
    """Of its e-detectors together, set by hand; None = an equal share of the model's."""
    alpha: float | None = None
    """Of its e-processes together, set by hand; None = an equal share of the model's."""


def alpha_per_pane(*, days: float | None, pane_s: float, n: int) -> float:
    """What each of n e-detectors gets of its group's own `days`; without these any alpha will do: `spread` sets it."""
    return DELTA if days is None else min(_MOST, pane_s / (days * _DAY_S * max(1, n)))


def spread(groups: Sequence[Group], *, days: float, pane_s: float, alphas: Mapping[str, float] = _NONE) -> list[Detector]:
    """Every detector with its alpha and delta, in the order given. Without figures set by hand `promised_days` of them is at least `days`.

    Groups share the model's rate equally, so that a group with many columns silences no other; detectors share their group's. A group's own
    `days` or `alpha`, and that of a single monitor in `alphas` ("detector" or "detector:subject"), are the expert's: they take nothing from
    the others and give them nothing, and `promised_days` says what became of the whole.
    """
    e_processes = {g.name: _by_evidence(g, EValue) for g in groups}
    e_detectors = {g.name: _by_evidence(g, EDetectorValue) for g in groups}
    deltas = _deltas({g.name: (*e_processes[g.name], *e_detectors[g.name]) for g in groups})
    sharing = [g for g in groups if e_processes[g.name] and g.alpha is None]
    betting = {g.name: (E_PROCESSES / len(sharing) if g.alpha is None else g.alpha) for g in groups if e_processes[g.name]}
    running_n = sum(bool(found) for found in e_detectors.values())
    rate = pane_s / (days * _DAY_S) * (1.0 - min(_MOST, sum(betting.values()))) * (1.0 - DELTAS)
    spreading = []
    for g in groups:
        own = rate / max(1, running_n) if g.days is None else pane_s / (g.days * _DAY_S)
        each = {EDetectorValue: own / max(1, len(e_detectors[g.name])), EValue: betting.get(g.name, 0.0) / max(1, len(e_processes[g.name]))}
        spreading += [
            _with_rates(d, min(_MOST, own_alpha(d, alphas) or each[d.evidence]), deltas[g.name]) if _is_ours(d) else d for d in g.detectors
        ]
    return spreading


def _deltas(groups: Mapping[str, Sequence[Detector]]) -> dict[str, float]:
    """Of each detector of a group; of all together at most `DELTAS`.

    Half is for those by labels: their bounds rest on a few hundred rows and decide how soon they alarm. Their groups share it alike, as
    they share the rate. All others, with the reference's thousands of rows, share the rest.
    """
    bounded = {name: [d for d in some if hasattr(d, "delta")] for name, some in groups.items()}
    labelled = {name: len(some) for name, some in bounded.items() if any(d.eats & _LABELLED for d in some)}
    found = {name: min(DELTA, DELTAS / 2.0 / len(labelled) / n) for name, n in labelled.items()}
    left = DELTAS - sum(found[name] * n for name, n in labelled.items())
    others_n = sum(len(some) for name, some in bounded.items() if name not in labelled)
    return {name: found.get(name, min(DELTA, left / max(1, others_n))) for name in groups}


def own_alpha(detector: Detector, alphas: Mapping[str, float]) -> float | None:
    """What an expert set for one monitor: by its subject, or for all of the detector; None = its share."""
    return alphas.get(f"{detector.name}:{detector.subject}", alphas.get(detector.name))


def promised_days(detectors: Sequence[Detector], *, pane_s: float) -> float:
    """Mean days between false alarms of all that alarm together, by what they were built with; infinity when nothing does."""
    found = [d for d in detectors if d.kind is Kind.ALARMS]
    alphas = {kind: sum(float(getattr(d, "alpha", 1.0)) for d in found if d.evidence is kind) for kind in (EDetectorValue, EValue)}
    deltas = sum(float(getattr(d, "delta", 0.0)) for d in found)
    if alphas[EDetectorValue] == 0.0:
        return float("inf")
    return max(0.0, 1.0 - deltas) * max(0.0, 1.0 - alphas[EValue]) / alphas[EDetectorValue] * pane_s / _DAY_S


def _is_ours(detector: Detector) -> bool:
    """Whether it alarms by an alpha that can be set."""
    return detector.kind is Kind.ALARMS and hasattr(detector, "alpha") and detector.evidence in {EDetectorValue, EValue}


def _by_evidence(group: Group, evidence: type[EDetectorValue | EValue]) -> list[Detector]:
    return [d for d in group.detectors if _is_ours(d) and d.evidence is evidence]


def _with_rates(detector: Any, alpha: float, delta: float) -> Any:  # noqa: ANN401 (a frozen dataclass, each with settings of its own)
    """An e-process spends its delta out of its alpha: at most half."""
    if not hasattr(detector, "delta"):
        return replace(detector, alpha=alpha)
    most = alpha / 2.0 if detector.evidence is EValue else delta
    return replace(detector, alpha=alpha, delta=min(detector.delta, delta, most))
