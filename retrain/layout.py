"""Where a run keeps its files: known to the training process that writes them and to the service that reads them. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """One run's folder. Each stage is done when its last file exists: manifest, candidate, reload."""

    root: Path

    @property
    def inputs(self) -> Path:
        """Copies of the files that the plan names, so that this folder alone is enough to run it, here or elsewhere."""
        return self.root / "inputs"

    @property
    def dataset(self) -> Path:
        """train, validation, gate, bound, old_domain, reference_pool .parquet."""
        return self.root / "dataset"

    @property
    def manifest(self) -> Path:
        """Counts, digests and removed rows; written last: the data set is complete."""
        return self.dataset / "manifest.json"

    @property
    def checkpoints(self) -> Path:
        """step-NNNNNN/, each with `.complete` written last."""
        return self.root / "checkpoints"

    @property
    def progress(self) -> Path:
        """One JSON line a step: step, steps, loss, seconds; with validation_loss where it was measured."""
        return self.root / "progress.jsonl"

    @property
    def candidate(self) -> Path:
        """The outcome: adapter/ (peft, safetensors) and candidate.json."""
        return self.root / "candidate"

    @property
    def adapter(self) -> Path:
        """What is registered."""
        return self.candidate / "adapter"

    @property
    def candidate_file(self) -> Path:
        """Plan digest, base digest, labels, best step, figures; written last: training is complete."""
        return self.candidate / "candidate.json"

    @property
    def check_scores(self) -> Path:
        """Scores on the validation rows as the model in training gave them, for the reload gate."""
        return self.candidate / "check.parquet"

    @property
    def evaluations(self) -> Path:
        """{gate,old_domain}.{champion,candidate}.parquet."""
        return self.root / "evaluations"

    def evaluation(self, part: str, who: str) -> Path:
        """`part` gate | old_domain, `who` champion | candidate."""
        return self.evaluations / f"{part}.{who}.parquet"

    @property
    def reference(self) -> Path:
        """Held-out production rows answered by the candidate: the next epoch's reference."""
        return self.evaluations / "reference.parquet"

    @property
    def bound(self) -> Path:
        """Labelled rows that nothing has seen, answered by the candidate: the next epoch's source loss bound."""
        return self.evaluations / "bound.parquet"

    @property
    def reload(self) -> Path:
        """{max_abs_score_difference, n}; written last: the evaluation is complete."""
        return self.evaluations / "reload.json"

    @property
    def failure(self) -> Path:
        """{kind: transient | permanent, reason, detail} of the last attempt that failed."""
        return self.root / "failure.json"
