"""The fleet's fairness cell, evaluated by the real promtool: gaps in any unit stand beside each other."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from dashboards.asked import board
from tests.unit.test_rules import needs_promtool

if TYPE_CHECKING:
    from pathlib import Path


def _cell() -> str:
    columns = [target for panel in board("fleet")["panels"] if panel["title"] == "Models" for target in panel.get("targets", [])]
    (expression,) = (target["expr"] for target in columns if target["legendFormat"] == "Gap")
    return str(expression)


@needs_promtool
@pytest.mark.parametrize(
    ("gaps", "of_allowed"),
    [
        ([("equalized_odds", 0.25, 0.5), ("rate_gap", 0.125, 0.5)], 0.5),  # classes
        ([("score_gap", 30.0, 40.0)], 0.75),  # numbers, in their own unit
        ([("score_gap", 0.25, 0.125)], 2.0),  # judged answers
        ([("disparate_impact", 0.75, 0.5), ("calibration_gap", 0.125, 0.5)], 0.5),  # a ratio: 1 is best
        ([("ks", 0.5, 0.25)], None),
    ],
)
def test_the_gap_that_uses_most_of_what_is_allowed_is_shown(
    gaps: list[tuple[str, float, float]], of_allowed: float | None, tmp_path: Path
) -> None:
    shown = []
    for instance in ("a", "b"):  # a pod that moved
        for detector, value, limit in [*gaps, ("score_gap", 9.0, 1.0)]:
            is_unknown = (value, limit) == (9.0, 1.0)
            on = f'instance="{instance}",model="m",detector="{detector}",subject="gap[by={"b" if is_unknown else "a"}]"'
            shown += [
                {"series": f'retuned_figure_value{{{on},bound="value"}}', "values": str(value)},
                {"series": f'retuned_figure_value{{{on},bound="high"}}', "values": str(10.0 * value)},
                {"series": f"retuned_figure_limit{{{on}}}", "values": str(limit)},
                {"series": f'retuned_figure_outcome_state{{{on},outcome="insufficient"}}', "values": str(int(is_unknown))},
            ]
    expected = [] if of_allowed is None else [{"labels": '{model="m"}', "value": of_allowed}]
    asked = {"expr": _cell(), "eval_time": "0m", "exp_samples": expected}
    file = tmp_path / "gap.yaml"
    file.write_text(yaml.safe_dump({"tests": [{"interval": "1m", "input_series": shown, "promql_expr_test": [asked]}]}))
    tested = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
