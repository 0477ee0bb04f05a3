"""A shortened demo end to end: the real service, the real training, MLflow's real store; a tiny model on a task with a large gain.

Traffic turns to words that version 1 has never seen. With true labels the candidate is much better and is promoted; with the same labels
permuted nothing can be learnt, and nothing may be promoted. Both run at once: they share nothing but the machine.
"""

import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from daemon.demo.run import demo
from daemon.demo.stage import Options
from daemon.demo.view import View
from retrain.versions.mlflow import MlflowVersions
from tests.tiny import make_tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

WORDS = {
    ("source", "negative"): "awful dull broken",
    ("source", "positive"): "lovely bright solid",
    ("target", "negative"): "soggy rusty noisy",
    ("target", "positive"): "crisp shiny quiet",
}
FILLER = [f"word{i}" for i in range(40)]


def corpus(path: Path, domain: str, n: int) -> Path:
    rng = random.Random(domain)
    lines = []
    for i in range(n):
        label = ("negative", "positive")[i % 2]
        words = rng.choices(WORDS[domain, label].split(), k=6) + rng.choices(FILLER, k=2)
        rng.shuffle(words)
        lines.append(json.dumps({"id": f"{domain}-{i}", "text": " ".join(words), "label": label}))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Labels -> the folder of the finished demo."""
    folder = tmp_path_factory.mktemp("demo")
    source, target = corpus(folder / "source.ndjson", "source", 1200), corpus(folder / "target.ndjson", "target", 1000)
    texts = [json.loads(line)["text"] for path in (source, target) for line in path.read_text().splitlines()]
    make_tiny(folder / "tiny", texts, hidden=64)

    def play(labels: str) -> tuple[int, str]:
        view = View(console=Console(file=(folder / f"{labels}.log").open("w"), width=200))
        options = Options(
            out=folder / labels,
            source=str(source),
            target=str(target),
            labels=labels,  # type: ignore[arg-type]  # one of the two below
            base_model=str(folder / "tiny"),
            label_delay_s=1.0,
            first_epochs=10.0,
            epochs=10.0,
            learning_rate=3e-3,
            gate_alpha=0.02,  # a candidate that learnt nothing passes the superiority gate with at most this chance
            settle_s=6.0,
            patience_s=150.0,
        )
        code = demo(options, view)
        view.console.file.close()
        return code, (folder / f"{labels}.log").read_text()

    with ThreadPoolExecutor(2) as pool:
        ends = dict(zip(("true", "shuffled"), pool.map(play, ("true", "shuffled")), strict=True))
    for labels, (code, said) in ends.items():
        logs = [f"--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted((folder / labels / "logs").glob("*.log"))]
        assert code == 0, "\n".join([said, *logs])
    return {labels: folder / labels for labels in ends}


def read(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def test_a_better_candidate_is_promoted_and_f1_recovers(demos: dict[str, Path]) -> None:
    made = read(demos["true"])
    assert made["outcome"] == "promoted", made
    assert (made["champion_before"], made["champion_after"]) == ("1", "2")
    assert made["alarms_before_shift"] == 0
    assert made["first_alarm_at_record"] > made["shift_at_record"]
    assert made["alarms_after_promotion"] == 0
    assert {gate["outcome"] for gate in made["gates"]} == {"ok"}
    assert made["f1_after_promotion"]["low"] > made["f1_after_shift"]["high"]
    assert made["f1_before_shift"]["value"] > 0.9
    assert made["trigger"]["because"]


def test_every_figure_has_an_interval_and_the_rows_behind_it(demos: dict[str, Path]) -> None:
    made = read(demos["true"])
    for name in ("f1_before_shift", "f1_after_shift", "f1_after_promotion", "f1_old_domain_champion", "f1_old_domain_candidate"):
        figure = made[name]
        assert figure["n"] > 0, name
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1, name


def test_the_registry_holds_two_versions_with_their_lineage(demos: dict[str, Path]) -> None:
    versions = MlflowVersions(data_dir=demos["true"])
    aliases = versions.aliases("sentiment")
    assert (aliases["champion"], aliases["previous"]) == ("2", "1")
    second = versions.find("sentiment", "2")
    assert second is not None
    assert any("plan" in name for name in second.tags)
    assert any("data" in name for name in second.tags)


def test_permuted_labels_promote_nothing(demos: dict[str, Path]) -> None:
    made = read(demos["shuffled"])
    assert made["outcome"] == "rejected", made
    assert made["champion_after"] == "1"
    assert any(gate["outcome"] != "ok" for gate in made["gates"])
    assert made["f1_after_promotion"]["n"] == 0
    aliases = MlflowVersions(data_dir=demos["shuffled"]).aliases("sentiment")
    assert aliases["champion"] == "1"


def test_the_timeline_is_drawn_and_the_last_words_are_plain(demos: dict[str, Path]) -> None:
    for labels, said in (("true", "is champion as version 2"), ("shuffled", "The candidate was rejected")):
        assert (demos[labels] / "timeline.png").read_bytes().startswith(b"\x89PNG")
        assert said in (demos[labels].parent / f"{labels}.log").read_text()


def test_no_process_of_the_demo_is_left(demos: dict[str, Path]) -> None:
    folder = str(demos["true"].parent)
    mine = psutil.Process(os.getpid())
    left = [p for p in psutil.process_iter(["pid", "cmdline"]) if p.pid != mine.pid and any(folder in a for a in p.info["cmdline"] or ())]
    assert not left
