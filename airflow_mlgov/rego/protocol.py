"""What an engine of rules is: modules in, pinned by their digest, and the values of some of their rules out.

Whatever goes wrong is a :class:`RulesError`, never an empty answer; that a server is down is a
:class:`~airflow_mlgov.errors.DependencyError`.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from airflow_mlgov.errors import ConfigurationError

Vetting = Literal["whole", "recorded"]
"""How strictly modules are looked at: all that engines could read differently is refused; or only what cannot be
replayed, for rules of the past, which are asked of the engine that they were asked of then."""


class RulesError(ConfigurationError):
    """Rules could not be evaluated, or not so that every engine would say the same: nothing is allowed. Trying again
    does not help; the rules need mending, as the message says."""

    code = "rego.broken"


@dataclass(frozen=True)
class Bundle:
    """Modules that are loaded together, with their data; told apart by what they hold, not by where they are."""

    modules: Mapping[str, str]
    """Name, for messages -> source."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What rules see as ``data``, beside each other."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the input; it is held against every input before a rule is asked. None: there is none."""
    vetting: Vetting = "whole"

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the names and the SHA-256 of each module, as ``sha256sum`` lists them, and of the data if there
        are any: what is pinned, and the revision of a bundle."""
        texts = {**self.modules, **({"data.json": plain_json(self.data).decode()} if self.data else {})}
        lines = (f"{_sha256(text.encode())}  {name}\n" for name, text in sorted(texts.items()))
        return _sha256("".join(lines).encode())

    @cached_property
    def key(self) -> str:
        """What an engine keeps it by: the digest, and how it was looked at."""
        return _sha256(plain_json([self.digest, self.vetting, self.schema]))


@dataclass(frozen=True)
class Question:
    """What an engine is asked at once."""

    bundle: Bundle
    """Loaded and vetted when it is first asked, then kept by its digest."""
    rules: Sequence[str]
    """Paths such as ``data.mlgov.promotion.deny``; each must exist and have a value."""
    document: Mapping[str, Any]
    """The input, with the time as a field of it: rules cannot ask the clock."""
    counted: str = ""
    """Name of a set to which at least one rule must add, by the syntax tree: without it the rules would evaluate to
    nothing."""
    timeout: float | None = None
    """Seconds for one evaluation; the engine's own if omitted."""


class PolicyEngine(ABC):
    """Evaluates rules. Every engine gives the same answers, or refuses."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is, for people and for logs: ``regorus 0.13.0``, ``opa 1.22.2 at https://opa.example``."""

    @abstractmethod
    def answer(self, question: Question) -> list[Any]:
        """The values of some rules over an input; of sets as lists, in the order of their JSON.

        :raises RulesError: the rules do not parse, are refused, do not exist, are undefined or do not end; the input is
            not what its schema says; or two engines gave two answers
        :raises DependencyError: the engine is a server, and it is down
        :raises AccessError: the server refuses the credentials
        """

    @abstractmethod
    def outline(self, bundle: Bundle) -> Outline:
        """What the bundle holds, by its syntax tree; evaluates nothing.

        :raises RulesError: it does not parse, or is refused
        """

    def evaluate(
        self,
        bundle: Bundle,
        rules: Sequence[str],
        document: Mapping[str, Any],
        *,
        counted: str = "",
        timeout: float | None = None,
    ) -> list[Any]:
        """See :meth:`answer`, and :class:`Question` for what is given."""
        return self.answer(Question(bundle, rules, document, counted, timeout))


@dataclass(frozen=True)
class Head:
    """One rule, as the syntax tree has it."""

    module: str
    """Name of its module."""
    path: str
    """``data.mlgov.pii.deny``."""
    kind: Literal["set", "value", "function", "default"]
    line: int
    """Line on which it begins, from 1."""
    ends: int
    """Line on which it ends."""
    has_body: bool
    """Whether something is evaluated: it has a body, or is given what is no plain value."""


@dataclass(frozen=True)
class Outline:
    """What is in a bundle."""

    heads: tuple[Head, ...]
    places: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Module -> where in its bytes the package's name begins, and where each ``data`` ends: by these it is moved."""
    reads: frozenset[str] = frozenset()
    """Which fields of the input the rules read; ``lint.ALL_OF_IT`` among them if they hand it on, or take a field whose
    name is not written there."""

    def packages(self) -> tuple[str, ...]:
        """``data.mlgov.pii`` and the like, sorted."""
        return tuple(sorted({head.path.rpartition(".")[0] for head in self.heads}))

    def of_set(self, name: str) -> tuple[Head, ...]:
        """The rules of the sets that have a name, whatever their package."""
        return tuple(head for head in self.heads if head.kind == "set" and head.path.rpartition(".")[2] == name)

    def adding_to(self, path: str) -> tuple[Head, ...]:
        """The rules with a body that add to a set: those that are evaluated when it is asked for."""
        return tuple(head for head in self.heads if head.path == path and head.kind == "set" and head.has_body)


@dataclass(frozen=True)
class Look:
    """What modules hold, and all that they may not."""

    outline: Outline
    mistakes: Mapping[str, Sequence[tuple[str, int]]]
    """What is wrong -> module and line, 0 where it is no one line."""


def plain_json(value: Any) -> bytes:
    """JSON with sorted keys.

    :raises RulesError: it holds NaN, infinity, or what is no JSON
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise RulesError(f"rules are asked about plain finite JSON alone: {error}", code="rego.input") from error


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
