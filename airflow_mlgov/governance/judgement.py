"""What a gate's result says under a policy: its values against the policy's bounds, not the verdict that it was signed
with. The one judgement of results, for the decision and for all that comes after it.

A caller may hold a gate to more than the policy; what fails that alone says nothing against the model. What was held to
less, or to another suite, says nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_mlgov.catalogue import load, names
from airflow_mlgov.evidence.statements import GateStatement, WaiverStatement
from airflow_mlgov.evidence.verification import Evidence, only
from airflow_mlgov.gates.ranges import range_of
from airflow_mlgov.results import WORST_FIRST, Outcome

WHAT_IF = "what_if"
"""The purpose of a result that was asked for out of curiosity: it makes no decision better, and hides nothing."""


def as_seen(item: Evidence) -> dict[str, Any]:
    """Evidence as the rules see it: the settings of a gate as numbers that can be compared, a waiver with the range of
    its metric."""
    document = item.as_input()
    if item.gate is not None:
        from airflow_mlgov.gates.protocol import Strict

        marks = load(item.gate).Settings.marks(Strict) if item.gate in names() else {}
        document["settings"] = {
            name: marks[name].rank(value) for name, value in document["settings"].items() if name in marks
        }
    if isinstance(item.statement, WaiverStatement):
        document["terms"]["range"] = list(range_of(item.statement.terms.check))
    return document


def judged(seen: Mapping[str, Any], policy: Mapping[str, Any], champion: str | None = None) -> Outcome | None:
    """What a result says under a policy; None if nothing, because it was held to another suite or passed what is less.

    :param seen: the result as the rules see it
    :param policy: what the policy says of the model and the target, as the rules see it
    :param champion: the version that the policy's comparisons are with; None if there is none
    """
    bounds = _bounds_of(seen["gate"], policy)
    is_what_if = seen.get("purpose") == WHAT_IF
    outcome = _worst(seen, policy, champion) if bounds or is_what_if else Outcome(seen["verdict"])
    suite = policy["suites"].get(seen["gate"])
    if suite is not None and seen.get("suite_sha256") != suite:
        return None
    return None if outcome is Outcome.PASS and _is_looser(seen, policy["settings"]) else outcome


def failing(seen: Mapping[str, Any], policy: Mapping[str, Any], champion: str | None = None) -> list[dict[str, Any]]:
    """The critical checks of a result that fail under a policy; those that are missing have no value."""
    bounds = _bounds_of(seen["gate"], policy)
    bad = [check for check in seen["checks"] if _outcome(seen, check, policy, champion) not in (None, Outcome.PASS)]
    if not bounds and seen.get("purpose") != WHAT_IF:
        return [check for check in seen["checks"] if check["severity"] == "critical" and check["outcome"] != "PASS"]
    made = {check["name"] for check in seen["checks"]}
    missing = [bound for name, bound in bounds.items() if name not in made and _is_owed(seen, bound, champion)]
    absent = {"outcome": str(Outcome.ERROR), "severity": "critical", "observed": None}
    return [*bad, *({**absent, "name": bound["check"]} for bound in missing)]


def newest_judged(
    evidence: Iterable[Evidence], policy: Mapping[str, Any], champion: str | None = None, since: int = 0
) -> dict[tuple[str, str], tuple[Evidence[GateStatement], Outcome, list[dict[str, Any]]]]:
    """For each required gate and each subject, the result that counts, what it says, and its checks that fail.

    A what-if counts where it fails, and never in the place of a result that does.

    :param since: only results after this ledger number
    """
    found: dict[tuple[str, str], tuple[Evidence[GateStatement], Outcome, list[dict[str, Any]]]] = {}
    for item in only(evidence, GateStatement):
        if item.seq <= since or item.statement.gate not in policy["requires"]:
            continue
        seen = as_seen(item)
        outcome = judged(seen, policy, champion)
        idle = outcome is Outcome.PASS and item.statement.purpose == WHAT_IF
        if outcome is not None and not idle:
            found[item.statement.gate, item.digest] = (item, outcome, failing(seen, policy, champion))
    return found


def _worst(seen: Mapping[str, Any], policy: Mapping[str, Any], champion: str | None) -> Outcome:
    bounds = _bounds_of(seen["gate"], policy)
    said = [_outcome(seen, check, policy, champion) for check in seen["checks"]]
    outcomes = {outcome for outcome in said if outcome is not None}
    made = {check["name"] for check in seen["checks"]}
    if any(name not in made and _is_owed(seen, bound, champion) for name, bound in bounds.items()):
        outcomes.add(Outcome.ERROR)
    nothing = Outcome.PASS if seen.get("purpose") == WHAT_IF else Outcome(seen["verdict"])
    return next((outcome for outcome in WORST_FIRST if outcome in outcomes), nothing)


def _bounds_of(gate: str, policy: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {bound["check"]: bound for bound in policy["bounds"] if bound["gate"] == gate}


def _outcome(
    seen: Mapping[str, Any], check: Mapping[str, Any], policy: Mapping[str, Any], champion: str | None
) -> Outcome | None:
    """What a check says under the policy's bounds; None if it is none of the policy's business."""
    bound = _bounds_of(seen["gate"], policy).get(check["name"])
    if bound is None:
        if check["severity"] != "critical" or _is_measured(seen["gate"], check):
            return None
        return Outcome(check["outcome"])
    if not _counts(bound, champion):
        return None
    own = Outcome(check["outcome"])
    if not _lies_within(check["observed"], bound):
        return own if own is not Outcome.PASS else Outcome.FAIL
    if own is Outcome.PASS:
        return own
    certain = _goes_by_the_estimate(seen, policy["settings"]) or _interval_lies_within(check, bound)
    return Outcome.PASS if certain and _is_stricter(check["bound"], bound) else own


def _counts(bound: Mapping[str, Any], champion: str | None) -> bool:
    return bound["severity"] == "critical" and not (bound["relative"] and champion is None)


def _is_owed(seen: Mapping[str, Any], bound: Mapping[str, Any], champion: str | None) -> bool:
    """Whether a result that lacks the check lacks something: who asks what if asks for what he likes."""
    return seen.get("purpose") != WHAT_IF and _counts(bound, champion)


def _is_measured(gate: str, check: Mapping[str, Any]) -> bool:
    """Whether a check is of a metric that somebody may bound, and that the policy leaves alone."""
    if gate not in names():
        return False
    metrics = load(gate).metrics
    return check["name"] in metrics or check["name"].partition("[")[0] in metrics


def _lies_within(value: Any, bound: Mapping[str, Any]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = bound["min"], bound["max"]
    return bool((low is None or value >= low) and (high is None or value <= high))


def _is_stricter(own: Any, bound: Mapping[str, Any]) -> bool:
    """Whether a check was held to more than the policy says, so that it may fail for that alone."""
    if not isinstance(own, Mapping):
        return False
    low, high = own.get("min"), own.get("max")
    higher = low is not None and (bound["min"] is None or low > bound["min"])
    lower = high is not None and (bound["max"] is None or high < bound["max"])
    return bool(higher or lower)


def _interval_lies_within(check: Mapping[str, Any], bound: Mapping[str, Any]) -> bool:
    """A check that was not decided by its interval has none, or does not fail for it."""
    interval = check.get("values", {}).get("interval") or {}
    ends = [interval.get(name) for name in ("low", "high")]
    if all(end is None for end in ends):
        return bool(check["outcome"] == "FAIL")
    return all(end is not None and _lies_within(end, bound) for end in ends)


def _goes_by_the_estimate(seen: Mapping[str, Any], settings: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the gate, or the policy, decides by the estimate alone and not by its interval."""
    stated = [item["value"] for item in settings if item["gate"] == seen["gate"] and item["name"] == "decide"]
    return 0 in (*stated, seen["settings"].get("decide"))


def _is_looser(seen: Mapping[str, Any], settings: Sequence[Mapping[str, Any]]) -> bool:
    for setting in settings:
        if setting["gate"] != seen["gate"]:
            continue
        value = seen["settings"].get(setting["name"])
        if not isinstance(value, int | float):
            return True
        wanted = setting["value"]
        if (setting["stricter"] == "more" and value < wanted) or (setting["stricter"] == "less" and value > wanted):
            return True
    return False
