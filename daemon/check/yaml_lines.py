"""YAML with the line of every key and item, bounded: settings come from outside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
"""Keys and indices from the top: ("models", 0, "name")."""

MAX_BYTES = 1 << 20
MAX_NODES = 100_000
MAX_DEPTH = 32


class BadYaml(Exception):  # noqa: N818 (a domain failure, not a bug: house style)
    """Not read: `line` from 1, `rule` says what is asked for, `remedy` what to do."""

    def __init__(self, line: int, value: str, rule: str, remedy: str) -> None:
        super().__init__(f"line {line}: {rule}")
        self.line, self.value, self.rule, self.remedy = line, value, rule, remedy


@dataclass
class _Reading:
    loader: yaml.SafeLoader
    lines: dict[Path, int] = field(default_factory=dict)
    n: int = 0

    def value(self, node: yaml.Node, path: Path) -> Any:  # noqa: ANN401 (YAML)
        """The plain value of a node; counts every visit, so that aliases of aliases cannot grow without bound."""
        self.n += 1
        line = node.start_mark.line + 1
        if self.n > MAX_NODES or len(path) > MAX_DEPTH:
            raise BadYaml(line, "…", f"must have at most {MAX_NODES} values, {MAX_DEPTH} deep", "remove repeated aliases (&name, *name)")
        self.lines.setdefault(path, line)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise BadYaml(line, "…", "a key must be a plain word", "write `name: value`")
            # YAML 1.1 reads a bare `on` as True: what was written is what is meant
            key = key_node.value
            if key in found:
                raise BadYaml(
                    line, key, f"key {key!r} must stand once", f"it stands in line {self.lines[(*path, key)]} already: remove one"
                )
            self.lines[(*path, key)] = line
            found[key] = self.value(value_node, (*path, key))
        return found

    def _scalar(self, node: yaml.Node) -> Any:  # noqa: ANN401 (YAML)
        try:
            return self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as e:
            # never the value, which may be a secret's
            remedy = f"remove the tag ({node.tag.removeprefix('tag:yaml.org,2002:')}), or put the value in quotes"
            raise BadYaml(node.start_mark.line + 1, "", "must be a plain YAML value", remedy) from e


def read(data: bytes) -> tuple[Any, dict[Path, int]]:
    """The document as plain values, and the line (from 1) of every path in it; `BadYaml` says where and why not."""
    if len(data) > MAX_BYTES:
        raise BadYaml(1, f"{len(data)} bytes", f"must be at most {MAX_BYTES} bytes", "is this the settings file?")
    try:
        loader = yaml.SafeLoader(data)
        node = loader.get_single_node()
        if node is None:
            return None, {}
        reading = _Reading(loader)
        return reading.value(node, ()), reading.lines
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        problem = "found undefined alias" if e.problem and e.problem.startswith("found undefined alias") else e.problem  # `token: *s3cret`
        raise BadYaml(mark.line + 1 if mark else 1, "", f"must be YAML: {problem}", "check indentation and quotes there") from e
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as e:
        raise BadYaml(1, "", "must be YAML in UTF-8", "save it as UTF-8 text") from e
