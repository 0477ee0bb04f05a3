"""Expressions that more than one panel is made of. Several instances of a series (a pod that moved) are one: every query aggregates."""

from __future__ import annotations

NOT_SCRAPED = "Prometheus scrapes no retuned: see docs/grafana.md"
RATE = "[$__rate_interval]"
WATCHED = 'detector=~".+_floor"'
"""Sequential detectors of performance: what has a limit and alarms."""
PERFORMANCE = 'detector=~"accuracy|f1|precision|recall|macro|roc_auc|brier|calibration_error|r2|score"'
"""The same figures of the whole window with exact intervals."""
PREDICTED = 'detector=~"ppi|ppi_class"'
"""Some of them from these labels and the scores of all records."""
DISTANCE = 'detector=~"psi|jensen_shannon|text_figures|text_witness|mmd"'
"""One distance for each kind of column (numeric, category, embedding); two of a text, of which the larger is shown."""
NO_COLUMN = 'detector!="conformal_residual"'
"""Ranks of how far answers are off, among those of columns."""
OF_COLUMNS = (
    'detector=~"ks|psi.*|wasserstein|jensen_shannon.*|hellinger.*|chi_square|total_variation|l_infinity|mmd|'
    f'conformal_.+|text_.+|embedding_.+", {NO_COLUMN}'
)
"""Every detector of a column's drift."""
_DIFFERENCE, _RATIO = "equalized_odds|demographic_parity|rate_gap|calibration_gap|score_gap", "disparate_impact"
GAP = f'detector=~"{_DIFFERENCE}|{_RATIO}"'
"""Every figure of fairness; a score may be in any unit, and of the ratio (disparate impact) 1 is best."""
OWN_UNIT = 'detector=~"mae|rmse|log_loss"'
"""Figures of the window that are no shares; less is better."""
HEALTH = (("0", "fine"), ("1", "learning"), ("2", "blind"), ("3", "incident"), ("4", "harmful incident"))
"""What `health` gives, the worst that holds."""


def figure(bound: str, where: str) -> str:
    """`value`, `low` or `high` of figures, without those that say "insufficient": these are no measurements."""
    insufficient = f'retuned_figure_outcome_state{{outcome="insufficient", {where}}} == 1'
    return f'(retuned_figure_value{{bound="{bound}", {where}}} unless on (model, detector, subject) {insufficient})'


def score(bound: str, where: str = "") -> str:
    """Of each model the watched metric that stands worst; where none has a limit, accuracy."""
    of = f", {where}" if where else ""
    worst = f"bottomk by (model) (1, {figure('value', WATCHED + of)})"
    watched = f"max by (model) ({figure(bound, WATCHED + of)} and on (model, detector, subject) {worst})"
    plain = f'detector="accuracy"{of}'
    return f"{watched} or max by (model) ({figure(bound, plain)})"


def score_limit(where: str) -> str:
    """What that metric is held to."""
    of = f"{WATCHED}, {where}"
    worst = f"bottomk by (model) (1, {figure('value', of)})"
    return f"max by (model) (retuned_figure_limit{{{of}}} and on (model, detector, subject) {worst})"


def gap_of_allowed() -> str:
    """Of each model the gap between groups that uses most of what is allowed, 1 = all of it: in this unit all may be compared.

    A difference over its maximum; of the ratio what lacks to 1 over what may lack.
    """

    def each(of: str, less: str = "") -> str:
        value, limit = (f"max by (model, detector, subject) ({x})" for x in (figure("value", of), f"retuned_figure_limit{{{of}}}"))
        return f"({less}{value}) / ({less}{limit})"

    difference, ratio = each(f'detector=~"{_DIFFERENCE}"'), each(f'detector="{_RATIO}"', "1 - ")
    return f"max by (model) ({difference} or {ratio})"


def evidence(by: str, where: str = "") -> str:
    """How far the evidence is on its way to an alarm: 0 = none, 1 = alarm, cut at 1.5 (it has no upper end)."""
    return f"max by ({by}) (clamp(retuned_evidence_log10{{{where}}} / retuned_evidence_limit_log10{{{where}}}, 0, 1.5))"


def health(where: str = "") -> str:
    """See `HEALTH`. A model whose first record has not come is learning."""
    states = {
        "learning": f"retuned_learned_ratio{{{where}}} < bool 1",
        "waiting": f"retuned_open_incidents{{{where}}} * 0 + 1 unless on (model) retuned_learned_ratio{{{where}}}",
        "blind": f"2 * retuned_blind_state{{{where}}}",
        "incident": f"3 * retuned_open_incidents{{{where}}}",
        "harmful": f"4 * retuned_incident_harmful_state{{{where}}}",
    }
    parts = [f'label_replace({expr}, "is", "{name}", "", "")' for name, expr in states.items()]
    return f"max by (model) ({' or '.join(parts)})"
