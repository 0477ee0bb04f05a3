"""NannyML's CBPE on one set, chunk by chunk. Runs in the rival's environment: no import of ours.

Arguments: a JSON object of the set's files, columns and classes. Prints {metric: [estimate of each chunk]}.
"""

from __future__ import annotations

import json
import sys

import nannyml
import pandas as pd


def _table(path: str) -> pd.DataFrame:
    return pd.read_parquet(path) if path.endswith(".pq") else pd.read_csv(path)


def main() -> None:
    """One set."""
    asked = json.loads(sys.argv[1])
    reference, analysis = _table(asked["reference"]), _table(asked["analysis"])
    size = len(analysis) // asked["chunks"]
    several = len(asked["scores"]) > 1
    scores = {x.removeprefix("y_pred_proba_"): x for x in asked["scores"]} if several else asked["scores"][0]
    estimator = nannyml.CBPE(
        y_true=asked["truth"],
        y_pred=asked["answer"],
        y_pred_proba=scores,
        problem_type="classification_multiclass" if several else "classification_binary",
        metrics=["accuracy", "f1", "roc_auc"],
        chunk_size=size,
    )
    estimator.fit(reference.dropna(subset=[asked["truth"]]))
    found = estimator.estimate(analysis.head(size * asked["chunks"])).filter(period="analysis").to_df()
    print(json.dumps({metric: found[(metric, "value")].tolist() for metric in ("accuracy", "f1", "roc_auc")}))


if __name__ == "__main__":
    main()
