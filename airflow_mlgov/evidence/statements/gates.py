"""What gates have found: the verdict of one gate, and the audit that is owed after a promotion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from airflow_mlgov.evidence.statements.common import (
    Context,
    Signed,
    descriptor,
    moment_of,
    read_common,
    read_descriptor,
)
from airflow_mlgov.evidence.statements.owed import OwedAudit, owed_as_json
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, Subject, json_safe


@dataclass(frozen=True)
class GateStatement(Signed):
    """A gate's verdict as an in-toto test-result v0.1."""

    kind: ClassVar[str] = "gate"
    predicate_type: ClassVar[str] = "https://in-toto.io/attestation/test-result/v0.1"
    result: GateResult
    verdict: Outcome
    """As it was signed: what a verdict is made of may change, what was said may not."""

    @classmethod
    def of(cls, result: GateResult, context: Context) -> Self:
        """A result as it is now."""
        return cls(result.subject, context, result, result.verdict)

    @property
    def gate(self) -> str:
        """The gate's name."""
        return self.result.gate

    @property
    def purpose(self) -> str:
        """``gate``, or ``what_if``."""
        return self.result.purpose

    @property
    def duty(self) -> str:
        """Each gate has a key of its own; so has whoever adds evidence of others."""
        return self.result.gate if self._external is None else "external"

    @property
    def _external(self) -> Any:
        """The envelope of somebody else's that the result is made from; None if it is a gate's own."""
        return self.result.details.get("external")

    @property
    def evaluation_data(self) -> str | None:
        """What names the rows that a model was judged on, whatever it predicted for them; the first data set that was
        read, if the gate does not say."""
        read = (item.digest for item in self.result.inputs if item.kind == "dataset")
        return self.result.evaluation_digest or next(read, None)

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        result = self.result
        bad = {check.name: check for check in result.checks if check.outcome is not Outcome.PASS}
        failed = [name for name, check in bad.items() if check.severity is Severity.CRITICAL]
        warned = [name for name, check in bad.items() if check.severity is not Severity.CRITICAL]
        green = "WARNED" if warned else "PASSED"
        return {
            "result": green if self.verdict is Outcome.PASS else "FAILED",
            "configuration": [*self._policy(), *(descriptor(item) for item in result.inputs)],
            "passedTests": [check.name for check in result.checks if check.name not in bad],
            "warnedTests": warned,
            "failedTests": failed,
            "mlgov": {
                **self.common(),
                "gate": result.gate,
                **({} if self.purpose == "gate" else {"purpose": self.purpose}),
                "verdict": str(self.verdict),
                "checks": [check.as_dict() for check in result.checks],
                "details": json_safe(result.all_details),
                "libraries": dict(result.libraries),
                "startedAt": self.date(result.started_at),
            },
        }

    def as_input(self) -> dict[str, Any]:
        """As the rules see it; settings as they were said."""
        return super().as_input() | {
            "gate": self.gate,
            "purpose": self.purpose,
            "verdict": str(self.verdict),
            "checks": [check.as_dict() for check in self.result.checks],
            "suite_sha256": self.result.suite_digest,
            "dataset_checks": json_safe(self.result.dataset_checks or {}),
            "settings": json_safe(self.result.settings),
            "judged_on": self._judged_on(),
            **({} if self._external is None else {"external": self._as_external()}),
        }

    def _as_external(self) -> dict[str, Any]:
        return {name: str(self._external.get(name)) for name in ("key", "predicateType", "sha256")}

    def _judged_on(self) -> dict[str, str | None] | None:
        """The rows that a model was judged on, by name and digests; not the champion's, which come after."""
        data = next((item for item in self.result.inputs if item.kind == "dataset"), None)
        rows = self.result.evaluation_digest
        return None if data is None else {"name": data.name, "digest": data.digest, "rows_digest": rows}

    def _policy(self) -> list[dict[str, Any]]:
        policy = self.context.policy
        if not policy:
            return []
        return [{"name": "governance policy", "uri": policy["uri"], "digest": {"sha256": policy["sha256"]}}]

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        ours = predicate["mlgov"]
        common = read_common(ours)
        details = dict(ours["details"])
        result = GateResult(
            ours["gate"],
            common["subject"],
            tuple(read_check(check) for check in ours["checks"]),
            tuple(read_descriptor(item) for item in predicate["configuration"] if "annotations" in item),
            settings=details.pop("settings", {}),
            evaluation_digest=details.pop("evaluation_sha256", None),
            suite_digest=details.pop("suite_sha256", None),
            dataset_checks=details.pop("dataset_checks", None),
            details=details,
            libraries=ours["libraries"],
            purpose=ours.get("purpose", "gate"),
            started_at=moment_of(ours["startedAt"]),
        )
        return cls(**common, result=result, verdict=Outcome(ours["verdict"]))


@dataclass(frozen=True)
class Audited:
    """What one gate said in an audit."""

    gate: str
    verdict: Outcome
    checks: tuple[Check, ...]
    inputs: tuple[Subject, ...] = ()

    @classmethod
    def of(cls, result: GateResult) -> Self:
        """The part of a result that an audit keeps."""
        return cls(result.gate, result.verdict, result.checks, result.inputs)


@dataclass(frozen=True)
class AuditStatement(Signed):
    """What gates say of live data: the audit that was owed after a promotion, or a look on a schedule."""

    kind: ClassVar[str] = "audit"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:audit:v1"
    duty: ClassVar[str] = "audit"
    target: str
    obligation: str
    """Id of what it closes."""
    verdict: Outcome
    """PASS or FAIL."""
    results: tuple[Audited, ...]
    within_waiver: tuple[str, ...] = ()
    """Names of the checks that fail and stay within the waived bound."""
    obligations: tuple[OwedAudit, ...] = ()
    """What a FAIL on live data brings, if the policy says ``on_failure: audit``."""

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        return {
            "target": self.target,
            "obligation": self.obligation,
            "verdict": str(self.verdict),
            "withinWaiver": list(self.within_waiver),
            "results": [
                {
                    "gate": result.gate,
                    "verdict": str(result.verdict),
                    "checks": [check.as_dict() for check in result.checks],
                    "inputs": [descriptor(item) for item in result.inputs],
                }
                for result in self.results
            ],
            **({"obligations": owed_as_json(self, self.obligations)} if self.obligations else {}),
            "mlgov": self.common(),
        }

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        return cls(
            **read_common(predicate["mlgov"]),
            target=predicate["target"],
            obligation=predicate["obligation"],
            verdict=Outcome(predicate["verdict"]),
            results=tuple(
                Audited(
                    said["gate"],
                    Outcome(said["verdict"]),
                    tuple(read_check(check) for check in said["checks"]),
                    tuple(read_descriptor(item) for item in said["inputs"]),
                )
                for said in predicate["results"]
            ),
            within_waiver=tuple(predicate["withinWaiver"]),
            obligations=tuple(OwedAudit.read(item) for item in predicate.get("obligations", ())),
        )


def read_check(said: Mapping[str, Any]) -> Check:
    """A check as a statement has it.

    :raises ValueError: its outcome, its severity or its bound is unknown
    """
    bound = said.get("bound")
    if isinstance(bound, Mapping):
        bound = Bound(bound.get("min"), bound.get("max"), bound.get("source", ""))
    return Check(
        name=said["name"],
        outcome=Outcome(said["outcome"]),
        observed=said.get("observed"),
        bound=bound,
        severity=Severity(said["severity"]),
        detail=said.get("detail", ""),
        values=said.get("values", {}),
    )
