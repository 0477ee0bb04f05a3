"""Segments as `retuned check` knows them: which values are watched, at which share of the traffic, and what is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.decide.monitors.answers import watched_answers
from daemon.decide.monitors.inputs import watched_inputs
from daemon.decide.monitors.performance import by_labels
from daemon.decide.monitors.segments import left_out, watched_values
from daemon.watched.traffic import standing_reference

if TYPE_CHECKING:
    from daemon.decide.monitors.segments import Values
    from daemon.settings import ModelSettings
    from daemon.watched.traffic import Traffic
    from detectors.types import Reference


def known_values(model: ModelSettings, traffic: Traffic) -> Values:
    """The watched values, as far as a file or recorded traffic says; {} = not known yet. `Permanent(BAD_DATA)` when it can't be read."""
    reference = _known_reference(model, traffic)
    return watched_values(model, reference.columns) if reference is not None else {}


def segments_in_words(model: ModelSettings, traffic: Traffic) -> list[str]:
    """A sentence on each column, and what its segments need. `Permanent(BAD_DATA)` likewise."""
    wanted, reference = model.monitors.segments, _known_reference(model, traffic)
    if wanted is None:
        return []
    found = ["Segments tell people; by themselves they train nothing: the gates judge all traffic."]
    if model.reference.bound is None and by_labels(model, has_bound=True):
        found.append("Without reference.bound loss and metric of segments are held to a fixed minimum or maximum, if there is one.")
    if answered := watched_answers(model, model.subjects()):
        found.append(f"Within segments drift of {', '.join(answered)} is watched{'; of no input' if wanted.inputs is None else ''}.")
    if reference is None:
        most = f"at most {wanted.most_n} values a column, each with at least {wanted.least_n} reference rows"
        return [*found, f"Segments ({', '.join(wanted.by)}): {most}; which ones the reference will say, or --records now."]
    values = watched_values(model, reference.columns)
    rest = left_out(values, reference.columns)
    for subject, watched in values.items():
        names = f"Segments by {subject.split('.', 1)[1]}: {', '.join(watched) or 'none'}"
        n, share = rest.get(subject, (0, 0.0))
        others = f"; {n} other values, {share:.1%} of records, are watched within the whole only" if n else ""
        found.append(f"{names}{others}.")
    return found + _inputs_in_words(model, values, reference)


def _inputs_in_words(model: ModelSettings, values: Values, reference: Reference) -> list[str]:
    """Which inputs are watched there, and which are left out."""
    wanted = model.monitors.segments
    if wanted is None or wanted.inputs is None:
        return []
    inside = watched_inputs(model, values, reference.columns)
    counted = f"Inputs within segments: what comes in of {len(inside.moves)} columns, missing values of {len(inside.missing)}"
    if not inside.left_out:
        return [f"{counted}."]
    why = f"segments.inputs.most_n is {wanted.inputs.most_n}: name the columns that matter in segments.inputs, or raise it"
    return [f"{counted}; within the whole only: {', '.join(inside.left_out)} ({why})."]


def _known_reference(model: ModelSettings, traffic: Traffic) -> Reference | None:
    """What stands for the reference, where its values are known."""
    recorded = traffic.recorded.get(model.name)
    if model.monitors.segments is None or (model.reference.path is None and recorded is None):
        return None
    return standing_reference(model, recorded, recorded.per_day if recorded is not None else 0.0)
