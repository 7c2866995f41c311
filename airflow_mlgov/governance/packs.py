"""Packs of rules: those of this package, and a team's own, pinned by digest. Reads them, has them evaluated, and holds
what they say against their METADATA.

Refuses a pack without a rule, a rule without METADATA, a finding of a code that no rule has, an input that lacks a part
which the rules read: each would make a rule silent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.force import MODES, in_force_from, milder
from airflow_mlgov.gates.rulebook import PARTS, PackAnswer, PackFinding, PackRule
from airflow_mlgov.governance.bundles import digest_of, read_bundle, read_folder
from airflow_mlgov.rego.embedded import embedded
from airflow_mlgov.rego.lint import ALL_OF_IT
from airflow_mlgov.rego.metadata import metadata_of
from airflow_mlgov.rego.protocol import Bundle, Outline, PolicyEngine, RulesError
from airflow_mlgov.results import Outcome, Severity
from airflow_mlgov.strict_files import nearest

_OWN = "mlgov."
_SET = "deny"
_ALIKE = ("severity", "mend", "effective_on", "mildest")
"""What rules of one code say alike."""
_PINNED = re.compile(r"(?P<path>.+)@sha256:(?P<digest>[0-9a-f]{64})")
_CODE = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+")
_TEST = "_test.rego"


@dataclass(frozen=True)
class Pack:
    """Modules that are loaded together."""

    source: str
    """The folder or bundle, for messages."""
    modules: Mapping[str, str]
    """Name -> text of the rules."""
    tests: Mapping[str, str]
    """Name -> text of their tests."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names and texts of the rules: what is pinned."""
        return digest_of(self.modules)

    @cached_property
    def outline(self) -> Outline:
        """What is in the modules, by their syntax tree.

        :raises ConfigurationError: they do not parse, or say what they may not
        """
        try:
            return embedded().outline(Bundle(self.modules))
        except RulesError as error:
            raise _broken(self.source, error) from None

    @cached_property
    def package(self) -> str:
        """The package whose ``deny`` is asked.

        :raises ConfigurationError: no module has rules that deny, or those of two packages do
        """
        return package_of(self.source, self.outline)

    @cached_property
    def rules(self) -> tuple[PackRule, ...]:
        """Every rule by its METADATA, in order; rules of one code are one.

        :raises ConfigurationError: a rule has no METADATA, or it is incomplete
        """
        found: dict[str, PackRule] = {}
        for name, text in self.modules.items():
            for rule in rules_in(name, text, self.outline, self.source):
                other = found.setdefault(rule.code, rule)
                if any(getattr(other, word) != getattr(rule, word) for word in _ALIKE):
                    raise ConfigurationError(
                        f"{rule.where}: two rules of the code {rule.code} differ in {', '.join(_ALIKE)}",
                        code="pack.metadata",
                    )
        return tuple(found.values())

    @cached_property
    def reads(self) -> frozenset[str]:
        """Which parts of the input the rules read: every part, if the tree does not tell which."""
        return frozenset(PARTS) if ALL_OF_IT in self.outline.reads else self.outline.reads & frozenset(PARTS)


def package_of(source: str, outline: Outline) -> str:
    """The one package with rules that deny.

    :raises ConfigurationError: there is none, or there are two
    """
    found = {head.path.removeprefix("data.").rpartition(".")[0] for head in outline.of_set(_SET)}
    if len(found) != 1:
        said = f"those of {', '.join(sorted(found))}" if found else "no rule adds to deny"
        raise ConfigurationError(
            f"{source}: a pack has rules `deny contains {{…}} if {{…}}` in one package, and here {said}",
            code="pack.package",
        )
    return found.pop()


def rules_in(name: str, text: str, outline: Outline, source: str) -> list[PackRule]:
    """The rules of one module that deny, as their METADATA says.

    :raises ConfigurationError: one has none, or it is incomplete
    """
    heads = [head for head in outline.of_set(_SET) if head.module == name]
    try:
        said = metadata_of(text, f"{source}/{name}")
    except ConfigurationError as error:
        raise ConfigurationError(str(error), code="pack.metadata") from None
    lines = [head.line for head in heads if head.line in said]
    if len(set(lines)) != len(heads):
        raise ConfigurationError(
            f"{source}/{name}: {len(heads)} rules deny, and {len(set(lines))} of them have METADATA right before them: "
            "write title, code, severity and mend before each",
            code="pack.metadata",
        )
    return [_rule(said[line], f"{source}/{name}") for line in lines]


def _broken(source: str, error: RulesError) -> ConfigurationError:
    return ConfigurationError(f"{source}: the rules cannot be evaluated: {error}", code="pack.broken")


def shipped() -> tuple[str, ...]:
    """The names of the packs of this package."""
    folders = (item for item in (files("airflow_mlgov") / "packs").iterdir() if item.is_dir())
    names = (item.name for item in folders if any(file.name.endswith(".rego") for file in item.iterdir()))
    return tuple(sorted(f"{_OWN}{name}" for name in names))


def load_pack(word: str, folder: Path = Path()) -> Pack:
    """One pack.

    :param word: ``mlgov.pii`` of this package; or ``PATH@sha256:…`` of a folder or a bundle
    :param folder: what the path is relative to
    :raises ConfigurationError: there is none, it is not the one that is pinned, or it is no pack
    :raises AccessError: the file system refuses
    """
    pinned = _PINNED.fullmatch(word)
    if pinned is None:
        return _shipped(word)
    pack = open_pack(folder / pinned["path"])
    if pack.digest != pinned["digest"]:
        raise ConfigurationError(
            f"{pinned['path']} has the digest sha256:{pack.digest}, and sha256:{pinned['digest']} is pinned: look at "
            "what has changed (`mlgov policy diff`), and pin the new one if it is right",
            code="pack.digest",
        )
    if f"{pack.package}.".startswith(_OWN):
        raise ConfigurationError(
            f"{pinned['path']}: a package {pack.package} would look like one of those that are shipped: call it after "
            "your organisation",
            code="pack.package",
        )
    return pack


def open_pack(path: Path) -> Pack:
    """A pack that lies in a folder or a bundle, whatever its digest.

    :raises ConfigurationError: there is none, or it cannot be read
    :raises AccessError: the file system refuses
    """
    held = read_folder(path) if path.is_dir() else read_bundle(path)
    return _pack(str(path), held)


def _shipped(name: str) -> Pack:
    if name not in shipped():
        near = nearest(name, shipped())
        raise ConfigurationError(
            f"there is no package of rules {name!r}{near}; shipped are {', '.join(shipped())}, and one of your own is "
            "named by its folder or bundle and its digest: rules/acme@sha256:…",
            code="pack.unknown",
        )
    place = files("airflow_mlgov") / "packs" / name.removeprefix(_OWN)
    texts = {item.name: item.read_text(encoding="utf-8") for item in place.iterdir() if item.name.endswith(".rego")}
    return _pack(name, texts)


def _pack(source: str, texts: Mapping[str, str]) -> Pack:
    rules = {name: text for name, text in sorted(texts.items()) if not name.endswith(_TEST)}
    tests = {name: text for name, text in sorted(texts.items()) if name.endswith(_TEST)}
    return Pack(source, rules, tests)


def ask(pack: Pack, document: Mapping[str, Any], engine: PolicyEngine | None = None) -> PackAnswer:
    """What a pack says of an input.

    :raises ConfigurationError: the rules cannot be evaluated, a part is missing that they read, or they say what is no
        finding
    """
    missing = sorted(part for part in pack.reads if part not in document)
    if missing:
        raise ConfigurationError(
            f"{pack.package} reads {', '.join(missing)}, and the input has none; rules over what is not there are "
            "silent, so they are not asked",
            code="pack.input",
        )
    rules = {rule.code: rule for rule in pack.rules}
    try:
        asked = f"data.{pack.package}.{_SET}"
        [said] = (engine or embedded()).evaluate(Bundle(pack.modules), [asked], document, counted=asked)
    except RulesError as error:
        raise _broken(pack.source, error) from None
    if not isinstance(said, list):
        raise ConfigurationError(f"{pack.source}: deny is not a set of findings", code="pack.finding")
    findings = (_finding(item, pack, rules) for item in said)
    return PackAnswer(pack.package, pack.digest, pack.rules, tuple(sorted(findings, key=_place)))


def _place(finding: PackFinding) -> tuple[str, ...]:
    return finding.code, finding.where, finding.term, finding.message


def _finding(item: Any, pack: Pack, rules: Mapping[str, PackRule]) -> PackFinding:
    words = ("code", "message", "where", "term", "outcome")
    said = item if isinstance(item, Mapping) else {}
    outcome = said.get("outcome", "FAIL")
    texts = all(isinstance(said.get(word, ""), str) for word in words)
    if not said or set(said) - set(words) or not texts or not said.get("message") or outcome not in _OUTCOMES:
        raise ConfigurationError(
            f"{pack.source}: a finding has code and message, and may have where, term and outcome (FAIL or "
            f"INCONCLUSIVE), all texts; this one has {', '.join(map(str, said)) or 'none of them'}",
            code="pack.finding",
        )
    if said.get("code") not in rules:
        raise ConfigurationError(
            f"{pack.source}: a finding has the code {said.get('code')!r}, which no METADATA names"
            f"{nearest(str(said.get('code')), rules)}",
            code="pack.finding",
        )
    return PackFinding(said["code"], said["message"], said.get("where", ""), said.get("term", ""), Outcome(outcome))


_OUTCOMES = ("FAIL", "INCONCLUSIVE")


def _rule(said: Mapping[str, Any], where: str) -> PackRule:
    custom = said.get("custom")
    custom = custom if isinstance(custom, Mapping) else {}
    texts = {"title": said.get("title"), "code": custom.get("code"), "mend": custom.get("mend")}
    missing = [name for name, value in texts.items() if not isinstance(value, str) or not value.strip()]
    if missing:
        raise ConfigurationError(
            f"{where}: the METADATA of the rule {custom.get('code') or said.get('title') or '?'} has no "
            f"{', '.join(missing)}",
            code="pack.metadata",
        )
    code = str(texts["code"])
    if not _CODE.fullmatch(code):
        raise ConfigurationError(
            f"{where}: a code is two words or more, lower-case, with dots between them, not {code!r}",
            code="pack.metadata",
        )
    severity = custom.get("severity", "critical")
    if severity not in list(Severity):
        raise ConfigurationError(
            f"{where}: {code} has the severity {severity!r}; there are {', '.join(Severity)}", code="pack.metadata"
        )
    mildest = custom.get("mildest", "observe")
    if mildest not in MODES or milder(Severity(severity), MODES[mildest]) is not MODES[mildest]:
        raise ConfigurationError(
            f"{where}: {code} is {severity} and has the mildest {mildest!r}: the mode below which no policy puts it, "
            f"{', '.join(MODES)}, and not above its severity",
            code="pack.metadata",
        )
    return PackRule(
        code=code,
        title=str(texts["title"]),
        severity=Severity(severity),
        mend=str(texts["mend"]),
        controls=tuple(str(item) for item in custom.get("controls") or ()),
        effective_on=in_force_from(custom.get("effective_on")),
        mildest=MODES[mildest],
        where=where,
    )


def codes_of(packs: Iterable[Pack]) -> dict[str, PackRule]:
    """Every rule of some packs by ``package/code``."""
    return {f"{pack.package}/{rule.code}": rule for pack in packs for rule in pack.rules}
