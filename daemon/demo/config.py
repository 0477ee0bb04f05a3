"""The demo's YAML: everything that the service is told. Written out with its reasons, to be read and tried again by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SIZES = {"train_n": 640, "validation_n": 80, "gate_n": 400, "bound_n": 150, "replay_n": 640}
"""Rows of the second training. 400 judged rows see a gain of .07 at discordance .22 with power .9."""
_LEAST = {"train_n": 64, "validation_n": 16, "gate_n": 60, "bound_n": 40, "replay_n": 64}

_TEMPLATE = """\
# Written by `retuned demo`. It is all that the service knows; the rest comes over HTTP.
# Start it again with: retuned serve --config {config}    (paths count from this file's folder)
data_dir: service
http: {{host: 127.0.0.1, port: {port}}}
registry: {{tracking_uri: "{tracking_uri}"}}
tick_s: 1                        # it looks every second: the demo lasts minutes, not months
models:
  - name: {model}
    task: text-classification
    labels: [{labels}]
    columns:
      text: text
      age_band: {{kind: category, protected: true}}     # synthetic: drawn from a hash of the record's id, so that the group gate has work
    reference:
      kind: file
      path: data/reference.parquet          # texts that version 1 was not trained on, with its answers
      bound: data/bound.parquet             # labelled ones, kept for the bound on its loss alone
    monitors:
      pane_s: 2                  # a pane is one step of every sequential detector: 2 s of about {rate:g} records a second
      watermark_s: 1             # how long a pane waits for stragglers; everything runs on one machine
      window_s: 60               # what the one-look tests see: the last minute
      lateness_s: 300
      label_horizon_s: 1800
      blind_after_s: 900
      drift:
        columns: all
        # One day is 43,200 panes of 2 s. The chance of a false alarm within the about 150 panes of this demo is then below
        # 150 / 43,200 = 0.4 % for all drift monitors together. A service with panes of a minute says 90 days.
        mean_days_between_false_alarms: 1
      performance:
        metric: f1
        max_drop: 0.05
        tolerance: 0.05
        mean_days_between_false_alarms: 1      # another 0.4 %
      fairness: {{metric: equalized_odds_difference, by: [age_band], maximum: 0.15, min_n: 50}}
    retrain:
      base_model: "{base_model}"
      technique: lora
      on: [performance, harmful_drift]
      autonomy: promote          # trains, judges and promotes without asking; the default (stage) asks before promoting
      confirm_ticks: 2           # two ticks in a row: one pane with a bad hand of labels does not start a training
      cooldown_h: 24             # so at most one run: the demo never tries until it passes
      monthly_budget_h: 1
      collect_deadline_h: {deadline_h}    # labels that have not come by then make the run inconclusive
      watch_h: 1
      watch_alpha: 0.05
      watch_margin: 0.05
      # The new version may lose at most .08 of accuracy on the old domain. That is wide: 640 + 640 rows and one minute of training buy
      # the new domain at some cost to the old one, and 450 sealed rows can't prove a narrower margin. In production: the default, .03.
      old_domain_margin: 0.08
      group_margin: {group_margin}           # of each age band; a band with fewer than group_min_n judged rows asks a person
      group_min_n: {group_min_n}
      alpha: {gate_alpha:g}                # level of each gate
      replay: data/replay.parquet           # rows of the first training, mixed into the second
      old_domain: data/old_domain.parquet   # sealed: judged, never trained on
      data: {{{sizes}}}
      epochs: {epochs:g}
      learning_rate: {learning_rate:g}
      max_tokens: 96
      seed: {seed}
"""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What differs from one demo to the next."""

    out: Path
    """Absolute."""
    port: int
    model: str
    labels: Sequence[str]
    base_model: str
    rate: float
    """Records a second."""
    scale: float
    """1 = the sizes of the tweets-to-movies demo; a smaller corpus has less of everything."""
    epochs: float
    learning_rate: float
    gate_alpha: float
    seed: int
    deadline_s: float
    """How long it collects labels."""

    @property
    def path(self) -> Path:
        """Where the YAML is."""
        return self.out / "demo.yaml"

    @property
    def data_dir(self) -> Path:
        """The service's own folder."""
        return self.out / "service"

    def text(self) -> str:
        """The YAML."""
        sizes = {name: max(_LEAST[name], round(n * self.scale)) for name, n in _SIZES.items()}
        return _TEMPLATE.format(
            config=self.path.name,
            port=self.port,
            tracking_uri=f"sqlite:///{self.out / 'mlflow' / 'mlflow.db'}",
            model=self.model,
            labels=", ".join(self.labels),
            rate=self.rate,
            base_model=self.base_model,
            deadline_h=round(self.deadline_s / 3600, 4),
            group_min_n=min(50, max(2, sizes["gate_n"] // 4)),
            group_margin=0.05,
            sizes=", ".join(f"{name}: {n}" for name, n in sizes.items()),
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            gate_alpha=self.gate_alpha,
            seed=self.seed,
        )


def write(config: Config) -> Path:
    """Write the file and say where it is."""
    config.path.write_text(config.text(), encoding="utf-8")
    return config.path
