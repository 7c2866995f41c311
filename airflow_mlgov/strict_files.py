"""JSON and YAML that people write, read strictly: a key once, finite numbers, limits on size, depth and what aliases
unfold to; every part's line is known, and a word that is near to the one that was meant is named.

Refuses whatever two readers could read in two ways. It knows nothing of what the files are for.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

import yaml

from airflow_mlgov import lookalikes
from airflow_mlgov.errors import AccessError, ConfigurationError

MAX_BYTES = 16 * 1024 * 1024
"""A file that people write is smaller."""
MAX_DEPTH = 100
"""How deep lists and mappings may lie in each other."""
MAX_PARTS = 300_000
"""How many values a file may hold; what an alias stands for counts each time it is used."""
MAX_DOCUMENTS = 500
"""How many documents a YAML file may hold."""

_DIGITS = 300
"""Of a whole number; a floating-point number holds no more."""
_KEYS = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"})

Lines = Mapping[tuple[str, ...], int]
"""Path of keys and positions -> line, from 1."""


@dataclass(frozen=True)
class Document:
    """One file, read."""

    source: str
    """As messages name it."""
    raw: bytes
    content: Any

    @property
    def sha256(self) -> str:
        """SHA-256 of its bytes."""
        return hashlib.sha256(self.raw).hexdigest()

    @cached_property
    def lines(self) -> Lines:
        """The line of each key and list entry; empty if it cannot be told (JSON that is no YAML)."""
        try:
            return _lines(_compose(self.raw.decode("utf-8-sig"), _Loader, self.source), self.source)
        except (yaml.YAMLError, ConfigurationError):
            return {}

    def where(self, *path: str) -> str:
        """``file:line`` of a part, or of what it lies in."""
        known = (path[:end] for end in range(len(path), -1, -1))
        line = next((self.lines[part] for part in known if part in self.lines), None)
        return f"{self.source}:{line}" if line else self.source

    def problem(self, schema: Mapping[str, Any]) -> str:
        """What tells most of why it does not fit a JSON Schema, with ``file:line``; empty if it fits."""
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import best_match

        found = best_match(Draft202012Validator(schema).iter_errors(self.content))
        return f"{self.where(*map(str, found.absolute_path))}: {found.message}" if found is not None else ""


_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast where PyYAML has it."""


class PlainLoader(_Loader):  # type: ignore[misc]  # the class is chosen when this is imported
    """YAML that means what JSON would: ``no`` and ``2024-01-01`` are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own name


PlainLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
PlainLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
PlainLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9]\d*)$"), list("-0123456789"))
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?(?:0|[1-9]\d*)(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)$"),
    list("-0123456789"),
)


def _number(loader: PlainLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


PlainLoader.add_constructor("tag:yaml.org,2002:float", _number)


@contextmanager
def regular(path: str | Path, what: str) -> Iterator[BufferedReader]:
    """A file, open to be read. What it waits for nobody knows of a pipe, a device or a socket, so these are refused.

    :param what: what it is, for messages: ``suite``, ``rules``
    :raises ConfigurationError: no such file, one that cannot be read, or one that is not regular
    :raises AccessError: the file system refuses
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ConfigurationError(
            f"no such {what}: {path} (looked in {Path(os.path.abspath(path)).parent})", code="file.missing"
        ) from None
    except PermissionError:
        raise AccessError(f"may not read the {what} {path}: permission denied", code="file.refused") from None
    except (OSError, ValueError) as error:  # ValueError: half a character, or a zero in the name
        why = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"the {what} {path} cannot be read: {why}", code="file.unreadable") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ConfigurationError(
            f"the {what} {path} cannot be read: it is a folder, a pipe or a device, and no regular file",
            code="file.unreadable",
        )
    with open(handle, "rb") as file:
        yield file


def read_file(path: str | Path, what: str) -> bytes:
    """A small file's bytes.

    :param what: what it is, for messages: ``suite``, ``rules``
    :raises ConfigurationError: no such file, one that cannot be read, or one of more than :data:`MAX_BYTES`
    :raises AccessError: the file system refuses
    """
    with regular(path, what) as file:
        try:
            raw = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise ConfigurationError(
                f"the {what} {path} cannot be read: {error.strerror or error}", code="file.unreadable"
            ) from None
    if len(raw) > MAX_BYTES:
        raise ConfigurationError(
            f"the {what} {path} is larger than {MAX_BYTES // 1024**2} MiB, so people did not write it",
            code="file.too_large",
        )
    return raw


def read_text(path: str | Path, what: str) -> str:
    """A small file's text; errors as of :func:`read_file`.

    :raises ConfigurationError: it is not UTF-8
    """
    return _text(read_file(path, what), path, what)


def read_json(path: str | Path, what: str) -> Document:
    """A JSON file.

    :raises ConfigurationError: it cannot be read, or is not strict JSON
    :raises AccessError: the file system refuses
    """
    raw = read_file(path, what)
    return Document(str(path), raw, parse_json(_text(raw, path, what), str(path), what))


def read_yaml(path: str | Path, what: str, *, plain: bool = False) -> Document:
    """A YAML file; JSON is YAML too.

    :param plain: values mean what JSON would mean by them: ``no`` is text, not False
    :raises ConfigurationError: it cannot be read, or is not strict YAML
    :raises AccessError: the file system refuses
    """
    raw = read_file(path, what)
    return Document(str(path), raw, parse_yaml(_text(raw, path, what), str(path), what, plain=plain))


def parse_json(text: str, source: str, what: str) -> Any:
    """The value that JSON holds.

    :raises ConfigurationError: it is not JSON, a key stands twice in one object, a number is not finite, or it is
        nested too deeply; the message names the line if it is known
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(found := dict(pairs)) != len(pairs):
            keys = [key for key, _ in pairs]
            key_twice(source, next(key for key in keys if keys.count(key) > 1))
        return found

    try:
        content = json.loads(
            text,
            object_pairs_hook=once,
            parse_constant=lambda word: _not_finite(source, word),
            parse_float=lambda word: _finite(word, source),
            parse_int=lambda word: int(word) if len(word) <= _DIGITS else _not_finite(source, f"{word[:20]}…"),
        )
    except json.JSONDecodeError as error:
        typed = lookalikes.after(text.splitlines()[error.lineno - 1] if text else "")
        problem = f"{source}:{error.lineno}: the {what} is not JSON: {error.msg}{typed}"
        raise ConfigurationError(problem, code="file.not_json") from None
    except RecursionError:
        too_deep(source)
    except ConfigurationError:
        raise
    except ValueError as error:  # a whole number of thousands of digits
        raise ConfigurationError(f"{source}: the {what} is not JSON: {error}", code="file.not_json") from None
    _measure(content, source)
    return content


def parse_yaml(text: str, source: str, what: str, *, plain: bool = False) -> Any:
    """The value that YAML holds.

    :param plain: see :func:`read_yaml`
    :raises ConfigurationError: it is not YAML, a key stands twice in one mapping or is not a plain value, a number is
        not finite, it is nested too deeply, or its aliases unfold to too much; the message names the line if known
    """
    kind = PlainLoader if plain else _Loader
    try:
        node = _compose(text, kind, source)
        if node is None:
            return None
        _lines(node, source)
        loader = kind("")
        try:
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = f"{source}{line}: the {what} is not YAML: {_problem(error, text)}"
        raise ConfigurationError(problem, code="file.not_yaml") from None
    except RecursionError:
        too_deep(source)
    except ConfigurationError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that no calendar has
        problem = f"{source}: the {what} is not YAML: {str(error).splitlines()[0]}"
        raise ConfigurationError(problem, code="file.not_yaml") from None


def _problem(error: yaml.MarkedYAMLError, text: str) -> str:
    """What is wrong, with the mend where the parser's words do not say it."""
    lines = text.splitlines()
    at = error.problem_mark.line if error.problem_mark else len(lines)
    before = lines[at][: len(lines[at]) - len(lines[at].lstrip())] if at < len(lines) else ""
    if "\t" in before:
        return "it is indented with a tab: indent with spaces"
    begun = error.context_mark.line if error.context_mark else at
    return f"{error.problem}{lookalikes.after(' '.join(lines[begun : at + 1]))}"


def count_events(text: str, source: str, kind: type[Any] = PlainLoader) -> None:
    """Refuse YAML that is nested too deeply or holds too much before a tree is made of it, which the library does by a
    call within a call: the depth of a text could end the process.

    :raises ConfigurationError: more than :data:`MAX_DEPTH` levels, :data:`MAX_PARTS` values or :data:`MAX_DOCUMENTS`
    :raises yaml.YAMLError: it is not YAML
    """
    parts = depth = documents = 0
    for event in yaml.parse(text, Loader=kind):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        parts += isinstance(event, yaml.NodeEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > MAX_DEPTH:
            too_deep(f"{source}:{event.start_mark.line + 1}" if event.start_mark else source)
        if parts > MAX_PARTS:
            too_many(source)
        if documents > MAX_DOCUMENTS:
            raise ConfigurationError(f"{source} holds more than {MAX_DOCUMENTS} documents", code="file.too_many")


def why_open_to_all(path: str | Path, what: str) -> str | None:
    """What to say of a file that everybody may write, or replace: in its folder, or in that of what a link leads to.
    None where nobody but owner and group may.

    In a folder with the sticky bit only its owner replaces a file, and on what is mounted to be read nobody does.

    :param what: what it is, for messages: ``trust root``
    :raises AccessError: the file system refuses to tell
    """
    said, real = Path(os.path.abspath(path)), Path(os.path.realpath(path))
    try:
        found = [place for place in dict.fromkeys((real, said.parent, real.parent)) if _is_open_to_all(place)]
    except OSError as error:
        raise AccessError(f"may not look at the {what} {path}: {error.strerror}", code="file.refused") from None
    if not found:
        return None
    how = "write" if found[0] == real else f"replace what is in {found[0]}, and with it"
    return (
        f"everybody may {how} the {what} {path}, so it says nothing that can be relied on: chmod o-w {found[0]}, and "
        "look whether it says what you have agreed on"
    )


def _is_open_to_all(place: Path) -> bool:
    mode = place.stat().st_mode
    if not mode & stat.S_IWOTH:
        return False
    if not stat.S_ISDIR(mode):
        return True
    return not mode & stat.S_ISVTX and not os.statvfs(place).f_flag & os.ST_RDONLY


def nearest(word: str, known: Iterable[str]) -> str:
    """What to say after an unknown word: ``; did you mean 'alias'?``, or all that are known."""
    words = list(known)
    return meant(word, words) or f"; known: {', '.join(words)}"


def meant(word: str, known: Iterable[str]) -> str:
    """What to say after an unknown word: ``; did you mean 'alias'?``, or nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


# -- within -----------------------------------------------------------------------------------------------------------


def _text(raw: bytes, path: str | Path, what: str) -> str:
    """A file's text; a byte order mark is not part of it."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the {what} {path} cannot be read: {error}", code="file.not_text") from None


def _compose(text: str, kind: type[Any], source: str) -> yaml.Node | None:
    """The tree of a text that holds one document."""
    count_events(text, source, kind)
    node: yaml.Node | None = yaml.compose(text, Loader=kind)
    return node


def _lines(root: yaml.Node | None, source: str) -> dict[tuple[str, ...], int]:
    """The line of each part, and the refusal of what a value could not be made from in one way only."""
    lines: dict[tuple[str, ...], int] = {}
    if root is not None:
        _walk(root, (), lines, source)
    return lines


def _walk(node: yaml.Node, path: tuple[str, ...], lines: dict[tuple[str, ...], int], source: str) -> None:
    if len(path) > MAX_DEPTH:  # also where an alias lies in what it stands for
        too_deep(source)
    if len(lines) > MAX_PARTS:
        too_many(source)
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.ScalarNode):
        node.value = whole(node.value, f"{source}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        for key, value in _keys(node, source):
            lines[(*path, key.value)] = key.start_mark.line + 1
            _walk(value, (*path, key.value), lines, source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, str(index)), lines, source)
    elif node.tag == "tag:yaml.org,2002:float":
        _finite(node.value, f"{source}:{node.start_mark.line + 1}")
    elif node.tag == "tag:yaml.org,2002:int" and len(node.value) > _DIGITS:
        _not_finite(f"{source}:{node.start_mark.line + 1}", f"{node.value[:20]}…")


def _keys(node: yaml.MappingNode, source: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """The keys of a mapping, each a plain word and there once."""
    seen: set[str] = set()
    for key, value in node.value:
        where = f"{source}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            problem = f"{where}: a key must be a plain word, not a list or a mapping"
            raise ConfigurationError(problem, code="file.key_not_text")
        key.value = whole(key.value, where)
        if key.tag not in _KEYS:
            read_as = key.tag.rpartition(":")[2]
            problem = f'{where}: YAML reads the key {key.value} as a value of the kind {read_as}: write "{key.value}"'
            raise ConfigurationError(problem, code="file.key_not_text")
        if key.value in seen:
            key_twice(where, key.value)
        seen.add(key.value)
        yield key, value


def _measure(value: Any, source: str, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        too_deep(source)
    if isinstance(value, str):
        whole(value, source)
    if isinstance(value, dict | list):
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            _measure(item, source, depth + 1)


def whole(text: str, where: str) -> str:
    """A text whose characters are whole; JSON writes some of them in two halves, which YAML takes for two."""
    try:
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{where}: holds half a character", code="file.not_text") from None


def _finite(word: str, where: str) -> float:
    try:
        number = float(word.replace("_", ""))
    except ValueError:  # .nan and .inf, or YAML's numbers of base 60, which its own reader reads
        if word.lower().lstrip("+-") in (".nan", ".inf"):
            _not_finite(where, word)
        return 0.0
    if not math.isfinite(number):
        _not_finite(where, word)
    return number


def _not_finite(where: str, word: str) -> NoReturn:
    raise ConfigurationError(f"{where}: {word} is not a finite number", code="file.not_finite")


def key_twice(where: str, key: str) -> NoReturn:
    """Say so."""
    raise ConfigurationError(f"{where}: the key {key!r} stands twice", code="file.key_twice")


def too_many(where: str) -> NoReturn:
    """Say so."""
    raise ConfigurationError(f"{where}: holds more than {MAX_PARTS} values", code="file.too_many")


def too_deep(where: str) -> NoReturn:
    """Say so."""
    raise ConfigurationError(f"{where}: nested too deeply (more than {MAX_DEPTH} levels)", code="file.too_deep")
