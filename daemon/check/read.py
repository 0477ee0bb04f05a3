"""Reads the settings whole before anything starts; an error names file, line, value, rule and remedy."""

from __future__ import annotations

import difflib
import os
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticUndefined

from daemon.check import encoder, executor, judge, rules, segments, yaml_lines
from daemon.settings import Settings

_SHOWN_CHARS = 80
_SECRET = {("http", "token"), ("notify", "urls"), ("ledger",), ("registry", "tracking_uri")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong."""

    line: int
    """From 1."""
    path: str
    """As in `models[0].monitors.drift`."""
    value: str
    rule: str
    remedy: str

    def __str__(self) -> str:
        """One line."""
        value = f" = {self.value}" if self.value else ""
        return f"line {self.line}: {self.path}{value}: {self.rule}; {self.remedy}"


class SettingsError(Exception):
    """The file as a whole cannot be used; `problems` says all that is wrong, by line."""

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        super().__init__("\n".join(f"{file}: {p}" for p in problems))
        self.file, self.problems = file, problems


def load_settings(file: Path, *, reads_references: bool = False) -> Settings:
    """The settings in a YAML file, with the secrets that the environment holds; paths in it count from its folder.

    `reads_references`: also whether the reference files hold records, which takes seconds.
    `SettingsError` names every problem with line, value, rule and remedy.
    """
    data, lines = _read(file)
    data = _with_secrets(data)
    try:
        settings = Settings.model_validate(data)
    except ValidationError as e:
        problems = [_problem(error, data, lines) for error in e.errors(include_url=False)]
        raise SettingsError(file, sorted(problems, key=lambda p: p.line)) from None
    settings = rules.anchored(settings, file.resolve().parent)
    findings = [f for part in (rules, encoder, executor, segments, judge) for f in part.findings(settings)]
    if not findings and reads_references:
        from daemon.check import reference  # noqa: PLC0415 (the other commands need no Parquet)

        findings = reference.findings(settings)
    if findings:
        raise SettingsError(file, sorted((_broken(f, lines) for f in findings), key=lambda p: p.line))
    return settings


def _broken(finding: rules.Finding, lines: dict[yaml_lines.Path, int]) -> Problem:
    value = "" if finding.value is None else _shown(finding.value, finding.path)
    return Problem(line=_line(lines, finding.path), path=_dotted(finding.path), value=value, rule=finding.rule, remedy=finding.remedy)


def _with_secrets(data: dict[str, Any]) -> dict[str, Any]:
    """RETUNED_TOKEN and RETUNED_NOTIFY_URLS take the place of what the file says."""
    token, urls = os.environ.get("RETUNED_TOKEN"), os.environ.get("RETUNED_NOTIFY_URLS", "").split()
    for part, name, value in (("http", "token", token), ("notify", "urls", urls)):
        if value:
            held = data.get(part)
            data = {**data, part: {**(held if isinstance(held, dict) else {}), name: value}}
    return data


def _read(file: Path) -> tuple[dict[str, Any], dict[yaml_lines.Path, int]]:
    try:
        data, lines = yaml_lines.read(file.read_bytes())
    except OSError as e:
        problem = Problem(
            line=1, path=str(file), value="", rule=f"must be a readable file: {e.strerror}", remedy="give it by --config FILE"
        )
        raise SettingsError(file, [problem]) from None
    except yaml_lines.BadYaml as e:
        problem = Problem(line=e.line, path="$", value=_cut(repr(e.value)) if e.value else "", rule=e.rule, remedy=e.remedy)
        raise SettingsError(file, [problem]) from None
    if not isinstance(data, dict):
        remedy = "the least is: `models: [{name: my-model, task: text-classification}]`"
        raise SettingsError(file, [Problem(line=1, path="$", value=_shown(data, ()), rule="must be a mapping of settings", remedy=remedy)])
    return data, lines


def _problem(error: ErrorDetails, data: Any, lines: dict[yaml_lines.Path, int]) -> Problem:  # noqa: ANN401 (YAML)
    path = _real(error["loc"], data)
    model, name = _model_at(path[:-1]), str(path[-1]) if path else ""
    known = list(model.model_fields) if model else []
    value = "" if error["type"] == "missing" else _shown(error["input"], path)
    if error["type"] == "extra_forbidden":
        # never the value: `tokn: s3cret`
        near = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return Problem(line=_line(lines, path), path=_dotted(path), value="", rule="must be a known setting", remedy=remedy)
    return Problem(line=_line(lines, path), path=_dotted(path), value=value, rule=_rule(error), remedy=_meaning(error, model, name))


def _rule(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "must be given"
    text = error["msg"]
    for before, after in (("Input should be ", "must be "), ("Input should ", "must "), ("Value error, ", ""), ("String should ", "must ")):
        text = text.replace(before, after, 1) if text.startswith(before) else text
    return text[0].lower() + text[1:]


def _meaning(error: ErrorDetails, model: type[BaseModel] | None, name: str) -> str:
    """What the setting means and its default, from its own documentation."""
    if error["type"] == "string_type" and isinstance(error["input"], bool | int | float):
        return "put it in quotes: YAML reads yes, no, on, off and figures as something else than text"
    setting = model.model_fields.get(name) if model else None
    if setting is None:
        return "see retuned.example.yaml"
    meaning = " ".join((setting.description or "").split()) or "see retuned.example.yaml"
    if setting.default is PydanticUndefined or isinstance(setting.default, BaseModel):
        return f"it means: {meaning}"
    return f"it means: {meaning} Default: {setting.default!r}"


def _real(loc: tuple[int | str, ...], data: Any) -> yaml_lines.Path:  # noqa: ANN401 (YAML)
    """The error's place without pydantic's marks for branches of a union (`list[str]`): those are no keys of the file."""
    path: list[int | str] = []
    here = data
    for i, part in enumerate(loc):
        is_key = isinstance(here, dict) and part in here
        is_item = isinstance(here, list) and isinstance(part, int) and part < len(here)
        if is_key or is_item:
            path.append(part)
            here = here[part]
        elif i == len(loc) - 1 and isinstance(here, dict) and str(part).isidentifier():
            path.append(part)  # what is missing
    return tuple(path)


def _model_at(path: yaml_lines.Path) -> type[BaseModel] | None:
    """The class of settings at a place, None where there is none."""
    here: Any = Settings
    for part in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            setting = here.model_fields.get(str(part))
            here = _present(setting.annotation) if setting else None
        else:
            here = _present(next(iter(typing.get_args(here)[-1:]), None))  # X of list[X] and dict[str, X]
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _present(annotation: Any) -> Any:  # noqa: ANN401 (types)
    """X of `X | None`."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return next((a for a in typing.get_args(annotation) if a is not type(None)), None)
    return annotation


def _line(lines: dict[yaml_lines.Path, int], path: yaml_lines.Path) -> int:
    """Of the path, or of the nearest part of the file that holds it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _dotted(path: yaml_lines.Path) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or "$"


def _shown(value: Any, path: yaml_lines.Path) -> str:  # noqa: ANN401 (YAML)
    """Never a secret, nor what stands in the place of what holds one (`http: s3cret`)."""
    may_hold = any(path[:2] == secret or path == secret[: len(path)] for secret in _SECRET)
    return "(secret)" if may_hold and value is not None else _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
