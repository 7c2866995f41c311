"""Packs of rules over what the settings name: the input is made and held against its schema, the rules are asked, and
what they find becomes checks.

Refuses to ask rules about a part that nobody has named. A rule that found nothing is a check that passed, so that what
was asked can be seen; a pack always has a critical check, so that no pack decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.policy.card import read_card
from airflow_mlgov.gates.policy.features import features_of
from airflow_mlgov.gates.policy.gate import judge_pipelines, known_pipelines
from airflow_mlgov.gates.protocol import Findings
from airflow_mlgov.pipelines.facts import facts_of
from airflow_mlgov.results import Bound, Check, Outcome, Severity

if TYPE_CHECKING:
    from airflow_mlgov.gates.policy.spec import PolicySettings
    from airflow_mlgov.gates.rulebook import PackAnswer, PackFinding, PackRule, Rulebook
    from airflow_mlgov.pipelines.manifest import Manifest

_SAID_BY_THE_GATE = {("mlgov.pipeline", "step.unguarded")}
"""Rules that the gate has a check of its own for, with what guards each step; they are there for who asks OPA alone."""
_MOST_SHOWN = 500
"""Findings of one rule with a check of their own."""


def judge_all(
    settings: PolicySettings,
    given: Sequence[Manifest] | None,
    rulebook: Rulebook | None,
    now: datetime | None = None,
) -> Findings:
    """What guards the pipelines, and what packs of rules say of pipelines, features and the model's card.

    :param given: pipelines that are no files, such as the running DAG
    :param now: what rules take for the time; the clock's if omitted
    :raises ConfigurationError: what rules read is not named, cannot be read, or the rules cannot be evaluated
    :raises AccessError: a file system or a database refuses
    :raises DependencyError: a database is down
    """
    folder = Path(settings.folder)
    reads = _rulebook(rulebook).reads(settings.packages, folder) if settings.packages else frozenset[str]()
    found: list[Findings] = []
    document: dict[str, Any] = {"parameters": {name: dict(said) for name, said in settings.parameters.items()}}
    if not settings.packages or settings.manifest or given is not None or "pipelines" in reads:
        read = known_pipelines(settings, given)
        found.append(judge_pipelines(settings, read))
        document["pipelines"] = facts_of(read.manifests) if "pipelines" in reads else []
    moment = now or datetime.now(UTC)
    if "features" in reads:
        features = features_of(settings)
        document["features"] = features.as_input()
        found.append(Findings((), {"looked_at": features.details}, read=features.subjects))
    if "model" in reads:
        if settings.card is None:
            raise ConfigurationError("the rules read the model's card: name it (card=, --card)", code="card.missing")
        document["model"], subject = read_card(Path(settings.card), moment)
        found.append(Findings((), {}, read=(subject,)))
    if settings.packages:
        found.append(_asked(settings, folder, _rulebook(rulebook), document, moment))
    return _together(found)


def _rulebook(rulebook: Rulebook | None) -> Rulebook:
    if rulebook is None:
        raise ConfigurationError(
            "packs of rules are asked, and nobody who runs the gate evaluates any: run it as a task or with "
            "`mlgov gate policy`, or hand run_gate a rulebook",
            code="pack.no_rulebook",
        )
    return rulebook


def _together(found: Sequence[Findings]) -> Findings:
    """One of several, the first of which says what the gate is about."""
    first = found[0]
    read = tuple(subject for one in found for subject in one.read or ())
    details = {key: value for one in found for key, value in one.details.items()}
    checks = tuple(check for one in found for check in one.checks)
    return replace(first, checks=checks, details=details, read=read)


def _asked(
    settings: PolicySettings, folder: Path, rulebook: Rulebook, document: dict[str, Any], now: datetime
) -> Findings:
    whole = {**document, "now": now.isoformat(), "now_ns": int(now.timestamp()) * 10**9}
    _refuse_malformed(whole)
    answers = rulebook.judge(settings.packages, folder, whole)
    _refuse_unknown_modes(settings.modes, answers)
    checks = [check for answer in answers for check in _checks(answer, settings, now)]
    said = [{"name": one.name, "sha256": one.digest, "rules": len(one.rules)} for one in answers]
    return Findings(tuple(checks), {"packs": said}, libraries=())


@cache
def input_schema() -> dict[str, Any]:
    """JSON Schema of what rules are handed."""
    text = (files("airflow_mlgov") / "packs" / "input.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _refuse_malformed(document: Mapping[str, Any]) -> None:
    """A field that is missing would make rules silent."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(input_schema()).iter_errors(document))
    if error is not None:
        raise ConfigurationError(
            f"the input of the rules is not what its schema says: {error.json_path}: {error.message}", code="pack.input"
        )


def _refuse_unknown_modes(modes: Mapping[str, str], answers: Sequence[PackAnswer]) -> None:
    from airflow_mlgov.strict_files import nearest

    known = {name for one in answers for name in (one.name, *_names(one))}
    for name in modes:
        if name not in known:
            raise ConfigurationError(
                f"modes: no rule and no package that is asked is called {name!r}{nearest(name, known)}",
                code="pack.rule_unknown",
            )


def _names(answer: PackAnswer) -> Iterator[str]:
    for rule in answer.rules:
        yield from (rule.code, f"{answer.name}/{rule.code}")


def _checks(answer: PackAnswer, settings: PolicySettings, now: datetime) -> Iterator[Check]:
    yield Check(
        answer.name, Outcome.PASS, len(answer.rules), "at least one rule is asked", Severity.CRITICAL,
        f"the rules of sha256:{answer.digest[:12]}", {"sha256": answer.digest},
    )  # fmt: skip
    for rule in answer.rules:
        if (answer.name, rule.code) in _SAID_BY_THE_GATE:
            continue
        found = [one for one in answer.findings if one.code == rule.code]
        severity, why = severity_of(rule, answer.name, settings, now)
        values = {"code": rule.code, "pack": answer.name, "controls": list(rule.controls)}
        name = f"{answer.name}/{rule.code}"
        if not found:
            yield Check(name, Outcome.PASS, 0, Bound(max=0, source=rule.where), severity, rule.title, values)
        for one in _apart(found):
            yield _check(name, one, rule, severity, why, values)
        if len(found) > _MOST_SHOWN:
            rest = len(found) - _MOST_SHOWN
            yield Check(
                f"{name} (others)", Outcome.FAIL, rest, Bound(max=0, source=rule.where), severity,
                f"{rest} more findings [{rule.code}]. {_sentence(rule.mend)}", {**values, "mend": rule.mend},
            )  # fmt: skip


def _apart(found: Sequence[PackFinding]) -> Iterator[tuple[str, PackFinding]]:
    """Findings with what tells them apart: their term, numbered where it comes again."""
    seen: dict[str, int] = {}
    for one in found[:_MOST_SHOWN]:
        seen[one.term] = seen.get(one.term, 0) + 1
        count = seen[one.term]
        yield (one.term if count == 1 else f"{one.term} ({count})"), one


def _check(
    name: str, found: tuple[str, PackFinding], rule: PackRule, severity: Severity, why: str, values: Mapping[str, Any]
) -> Check:
    term, one = found
    place = f"{one.where}: " if one.where else ""
    detail = f"{place}{one.message} [{rule.code}]{why}. {_sentence(rule.mend)}"
    # one finding counts as 1, so that a waiver can name it and covers no other
    observed, bound = 1, Bound(max=0, source=rule.where)
    more = {"where": one.where, "mend": rule.mend} if one.where else {"mend": rule.mend}
    return Check(f"{name} {term}".rstrip(), one.outcome, observed, bound, severity, detail, {**values, **more})


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def severity_of(rule: PackRule, package: str, settings: PolicySettings, now: datetime) -> tuple[Severity, str]:
    """How much a rule weighs, and why if that is not what it says itself: the policy's word for the rule goes before
    that for its package, and nothing weighs more than a warning if the whole gate only warns."""
    names = (f"{package}/{rule.code}", rule.code, package)
    most = Severity.CRITICAL if settings.mode == "enforce" else Severity.WARNING
    return rule.weight(names, settings.modes, now, most=most)
