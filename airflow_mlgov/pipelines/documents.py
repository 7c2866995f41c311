"""The files that platforms read their pipelines from: YAML 1.2 scalars (``on`` is text), several documents in a file,
anchors and merges resolved, a key once, every value with its line.

Refuses what two readers could read in two ways, and what unfolds to more than anybody writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.strict_files import (
    MAX_DEPTH,
    MAX_PARTS,
    PlainLoader,
    count_events,
    key_twice,
    parse_json,
    too_deep,
    too_many,
    whole,
)

MAX_BYTES = 1 << 20
"""A pipeline that people write is smaller."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class Tagged:
    """A value with a tag of the platform's own: ``!reference [job, script]``."""

    tag: str
    value: Any


@dataclass
class _Lines:
    file: str = ""
    keys: dict[Path, int] = field(default_factory=dict)
    texts: dict[Path, int] = field(default_factory=dict)


@dataclass(slots=True)
class Part:
    """A value of a document, and where it stands. What is not there is a part too, without a value."""

    value: Any
    path: Path = ()
    lines: _Lines = field(default_factory=_Lines, repr=False)

    def __getitem__(self, key: str | int) -> Part:
        """What a key or a position holds."""
        value, inner, name = self.value, None, str(key)
        if isinstance(value, dict):
            inner = value.get(name)
        elif isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value):
            inner = value[key]
        return Part(inner, (*self.path, name), self.lines)

    def at(self, *keys: str | int) -> Part:
        """What several keys, one within the other, lead to."""
        found = self
        for key in keys:
            found = found[key]
        return found

    def __bool__(self) -> bool:
        """Whether there is a value, be it empty."""
        return self.value is not None

    def __contains__(self, key: str) -> bool:
        """Whether a mapping has a key."""
        return isinstance(self.value, dict) and key in self.value

    @property
    def line(self) -> int | None:
        """Its line, or that of what it lies in."""
        known = (self.path[:end] for end in range(len(self.path), -1, -1))
        return next((self.lines.keys[path] for path in known if path in self.lines.keys), None)

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.lines.file}:{self.line}" if self.line else self.lines.file

    @property
    def first_line(self) -> int | None:
        """Line on which its text begins."""
        return self.lines.texts.get(self.path) or self.line

    @property
    def text(self) -> str:
        """A plain value as text; empty if it is none."""
        if isinstance(self.value, str):
            return self.value
        if self.value is None or isinstance(self.value, dict | list | Tagged):
            return ""
        return json.dumps(self.value)

    @property
    def is_map(self) -> bool:
        """Whether it maps keys to values."""
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self.value, list)

    def items(self) -> Iterator[tuple[str, Part]]:
        """Keys and values of a mapping; nothing if it is none."""
        if isinstance(self.value, dict):
            for key in self.value:
                yield key, self[key]

    def parts(self) -> list[Part]:
        """The values of a list; nothing if it is none."""
        return [self[position] for position in range(len(self.value))] if isinstance(self.value, list) else []

    def several(self) -> list[Part]:
        """The values of a list, or the one value that stands in its place."""
        return self.parts() if self.is_list else [self] if self else []

    def texts(self) -> list[str]:
        """The plain values of a list, or the one that stands in its place."""
        return [part.text for part in self.several() if part.text]

    @property
    def truth(self) -> bool | None:
        """Yes or no, also as platforms that read YAML 1.1 spell it; None if it is neither."""
        text = self.text.lower()
        return True if text in ("true", "yes", "on", "y") else False if text in ("false", "no", "off", "n") else None

    def count(self) -> int:
        """A whole number of none or more, also as text; 0 if it is none."""
        return int(self.text) if self.text.isascii() and self.text.isdigit() and len(self.text) < 10 else 0

    def labels(self) -> dict[str, str]:
        """The plain values of a mapping."""
        return {key: part.text for key, part in self.items() if part.text}

    def alone(self) -> Part:
        """The same value as a document of its own."""
        start = len(self.path)
        keys = {path[start:]: line for path, line in self.lines.keys.items() if path[:start] == self.path}
        texts = {path[start:]: line for path, line in self.lines.texts.items() if path[:start] == self.path}
        return Part(self.value, (), _Lines(self.lines.file, keys, texts))

    def with_value(self, value: Any) -> Part:
        """Another value in the same place, such as what a text of JSON holds."""
        return Part(value, self.path, _Lines(self.lines.file, {self.path: self.line} if self.line else {}))


def document_of(value: Any, source: str) -> Part:
    """A document whose value was read elsewhere; its parts have no lines."""
    return Part(value, (), _Lines(source))


def read_documents(raw: bytes, source: str) -> list[Part]:
    """The documents of a YAML or JSON file.

    :param raw: the file's bytes
    :param source: the file, as messages name it
    :raises ConfigurationError: it is too large, neither YAML nor JSON, not UTF-8, holds a key twice, a key that is no
        plain word, or unfolds to too much; the message names the line if it is known
    """
    if len(raw) > MAX_BYTES:
        raise ConfigurationError(f"{source} is larger than {MAX_BYTES >> 20} MiB", code="file.too_large")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{source} cannot be read: {error}", code="file.not_text") from None
    if text.lstrip()[:1] in ("{", "["):
        content = _json(text, source)
        if content is not None:
            return [Part(content, (), _lines_of_json(text, source))]
    return _Builder(source).read(text)


def _json(text: str, source: str) -> Any:
    try:
        json.loads(text)
    except RecursionError:
        too_deep(source)
    except ValueError:
        return None  # perhaps YAML that begins like JSON
    return parse_json(text, source, "manifest")


def _lines_of_json(text: str, source: str) -> _Lines:
    try:
        (part,) = _Builder(source).read(text)
    except (ConfigurationError, ValueError):  # JSON that is no YAML, such as with tabs
        return _Lines(source)
    return part.lines


class _Builder:
    """Values and lines from YAML's nodes."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._parts = 0
        self._loader = PlainLoader("")

    def read(self, text: str) -> list[Part]:
        try:
            count_events(text, self._source)
            nodes = list(yaml.compose_all(text, Loader=PlainLoader))
            weights: dict[int, int] = {}
            for node in nodes:
                if node is not None and _weight(node, weights, self._source) > MAX_PARTS:
                    too_many(self._source)
            return [self._document(node) for node in nodes if node is not None]
        except ConfigurationError:
            raise
        except yaml.MarkedYAMLError as error:
            line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
            hint = "; render the template first" if "{{" in text else ""
            raise ConfigurationError(
                f"{self._source}{line}: it is not YAML: {error.problem}{hint}", code="file.not_yaml"
            ) from None
        except RecursionError:
            too_deep(self._source)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigurationError(
                f"{self._source}: it is not YAML: {str(error).splitlines()[0]}", code="file.not_yaml"
            ) from None

    def _document(self, node: yaml.Node) -> Part:
        lines = _Lines(self._source)
        return Part(self._value(node, (), lines), (), lines)

    def _value(self, node: yaml.Node, path: Path, lines: _Lines) -> Any:
        self._count(node, path)
        lines.keys.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            block = node.style in ("|", ">")
            lines.texts[path] = node.start_mark.line + (2 if block else 1)
            value = self._scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = [self._value(one, (*path, str(at)), lines) for at, one in enumerate(node.value)]
        else:
            value = self._mapping(node, path, lines)
        return value if node.tag.startswith("tag:yaml.org,2002:") else Tagged(node.tag, value)

    def _mapping(self, node: yaml.Node, path: Path, lines: _Lines) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        late: list[tuple[yaml.Node, frozenset[str]]] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                where = f"{self._source}:{key.start_mark.line + 1}"
                raise ConfigurationError(
                    f"{where}: a key must be a plain word, not a list or a mapping", code="file.key_not_text"
                )
            if key.value == "<<" and key.style not in ("'", '"'):
                here = value.value if isinstance(value, yaml.SequenceNode) else [value]
                late += [(one, frozenset(found)) for one in here]
                merged += here
                continue
            if key.value in found:
                key_twice(f"{self._source}:{key.start_mark.line + 1}", key.value)
            lines.keys[(*path, key.value)] = key.start_mark.line + 1
            found[key.value] = self._value(value, (*path, key.value), lines)
        for one in merged:
            if not isinstance(one, yaml.MappingNode):
                where = f"{self._source}:{one.start_mark.line + 1}"
                raise ConfigurationError(f"{where}: << needs a mapping", code="file.not_yaml")
            inner = _Lines()
            before = frozenset[str]().union(*(keys for other, keys in late if other is one))
            for name, value in self._mapping(one, path, inner).items():
                if name in before and found[name] != value:
                    where = f"{self._source}:{one.start_mark.line + 1}"
                    raise ConfigurationError(
                        f"{where}: << stands after {name}, which it holds too: some readers take the one, some the "
                        "other. Put << first",
                        code="file.key_twice",
                    )
                if name not in found:
                    found[name] = value
                    here = (*path, name)
                    lines.keys |= {at: line for at, line in inner.keys.items() if at[: len(here)] == here}
                    lines.texts |= {at: line for at, line in inner.texts.items() if at[: len(here)] == here}
        return found

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        node.value = whole(node.value, f"{self._source}:{node.start_mark.line + 1}")
        if node.tag == "tag:yaml.org,2002:str" or not node.tag.startswith("tag:yaml.org,2002:"):
            return node.value
        if node.tag in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int"):
            return self._loader.construct_object(node)
        return node.value  # floats as they are written

    def _count(self, node: yaml.Node, path: Path) -> None:
        self._parts += 1
        if len(path) > MAX_DEPTH:
            too_deep(f"{self._source}:{node.start_mark.line + 1}")
        if self._parts > MAX_PARTS:
            too_many(self._source)


def _weight(node: yaml.Node, weights: dict[int, int], source: str, depth: int = 0) -> int:
    """How many values a node unfolds to, without unfolding it."""
    if depth > MAX_DEPTH:  # also where an alias lies in what it stands for
        too_deep(f"{source}:{node.start_mark.line + 1}")
    if id(node) not in weights:
        inner = [one for pair in node.value for one in pair] if isinstance(node, yaml.MappingNode) else node.value
        parts = inner if isinstance(node, yaml.CollectionNode) else ()
        weights[id(node)] = 1 + sum(_weight(one, weights, source, depth + 1) for one in parts)
    return weights[id(node)]
