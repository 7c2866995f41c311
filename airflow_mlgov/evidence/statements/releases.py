"""The way of a model: what it was made from, the decision, the intent to move it, the move, the policy in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from airflow_mlgov.evidence.statements.common import (
    Context,
    Signed,
    descriptor,
    identity,
    read_common,
)
from airflow_mlgov.evidence.statements.owed import OwedAudit, owed_as_json
from airflow_mlgov.evidence.statements.typed import read_text, written
from airflow_mlgov.results import Subject, json_safe

Reasons = tuple[tuple[str, str], ...]
"""``(code, message)`` of each."""
PARTS = ("datasets", "feature_services")
"""The lists that a provenance has, each of names and digests."""


@dataclass(frozen=True)
class ProvenanceStatement(Signed):
    """What a model was made from, as SLSA provenance v1: its digest linked to the digests of its data sets."""

    kind: ClassVar[str] = "provenance"
    predicate_type: ClassVar[str] = "https://slsa.dev/provenance/v1"
    duty: ClassVar[str] = "registration"
    datasets: tuple[Subject, ...]
    trainers: tuple[str, ...]
    """Who trained it: the registry's user, and who triggered the run in Airflow."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """The run's id and whatever names it for people."""
    feature_services: tuple[Subject, ...] = ()
    """The feature services that its features come from, each by the digest of its definition."""
    place: str = ""
    """Where the registry says that its files are, as ``urls.place_of`` spells it; empty if that cannot be signed."""
    images: tuple[Subject, ...] = ()
    """The container images in which it is shipped, each by the digest of its OCI manifest."""

    @property
    def parts(self) -> tuple[Subject, ...]:
        """All that it was made from."""
        return (*self.datasets, *self.feature_services)

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        run = self.context.run.get("run_id") or self.source.get("run_id") or ""
        named = {"model": self.subject.name, "version": self.subject.version}
        return {
            "buildDefinition": {
                "buildType": "urn:airflow-mlgov:build:training:v1",
                "externalParameters": {**named, **json_safe(self.source)},
                "resolvedDependencies": [descriptor(item) for item in self.parts],
            },
            "runDetails": {
                "builder": {"id": f"airflow:{self.context.environment}"},
                "metadata": {"invocationId": str(run)},
            },
            "mlgov": {
                **self.common(),
                "trainers": sorted(set(self.trainers)),
                **self._parts(),
                **self._shipped(),
            },
        }

    def as_input(self) -> dict[str, Any]:
        """As the rules see it."""
        return super().as_input() | {
            "trainers": [identity(name) for name in sorted(set(self.trainers))],
            **self._parts(),
        }

    def _parts(self) -> dict[str, list[dict[str, str]]]:
        listed = {"datasets": _listed(self.datasets)}
        return listed | ({"feature_services": _listed(self.feature_services)} if self.feature_services else {})

    def _shipped(self) -> dict[str, Any]:
        """Where its bytes may be served from; admission tells a version by it."""
        place = {"place": self.place} if self.place else {}
        return place | ({"images": _listed(self.images)} if self.images else {})

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        ours = predicate["mlgov"]
        given = dict(predicate["buildDefinition"]["externalParameters"])
        return cls(
            **read_common(ours),
            datasets=_read_parts(ours["datasets"]),
            trainers=tuple(ours["trainers"]),
            source={name: value for name, value in given.items() if name not in ("model", "version")},
            feature_services=_read_parts(ours.get("feature_services", ())),
            place=ours.get("place", ""),
            images=tuple(Subject("image", item["name"], item["digest"]) for item in ours.get("images", ())),
        )


def _listed(parts: Iterable[Subject]) -> list[dict[str, str]]:
    return [{"name": item.name, "digest": item.digest} for item in parts]


def _read_parts(said: Iterable[Mapping[str, str]]) -> tuple[Subject, ...]:
    return tuple(Subject("dataset", item["name"], item["digest"]) for item in said)


@dataclass(frozen=True)
class DecisionDocument:
    """What a replay needs: the input as the rules saw it, and which policy and rules they were."""

    input: Mapping[str, Any]
    input_sha256: str
    bundle_sha256: str

    def as_json(self) -> dict[str, Any]:
        """As it is signed."""
        return {
            "input": json_safe(self.input),
            "input_sha256": self.input_sha256,
            "bundle_sha256": self.bundle_sha256,
        }


@dataclass(frozen=True)
class DecisionStatement(Signed):
    """May this model go to this target: a SLSA verification summary."""

    kind: ClassVar[str] = "decision"
    predicate_type: ClassVar[str] = "https://slsa.dev/verification_summary/v1"
    duty: ClassVar[str] = "promotion"
    target: str
    allowed: bool
    reasons: Reasons
    inputs: Mapping[str, str]
    """URI -> SHA-256 of the evidence envelopes that it rests on."""
    document: DecisionDocument
    verifier: str
    waived: tuple[Mapping[str, Any], ...] = ()
    """Each check that failed and is covered by a waiver."""
    excused: Reasons = ()
    """Each thing that a break-glass has overridden."""
    warned: Reasons = ()
    """Each rule that would have denied, and only warns."""

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        policy = self.context.policy or {"uri": "none", "sha256": ""}
        return {
            "verifier": {"id": self.verifier},
            "timeVerified": self.date(self.context.issued_at),
            "resourceUri": resource_uri(self.subject),
            "policy": {"uri": policy["uri"], "digest": {"sha256": policy["sha256"]}},
            "inputAttestations": [{"uri": uri, "digest": {"sha256": sha}} for uri, sha in sorted(self.inputs.items())],
            "verificationResult": "PASSED" if self.allowed else "FAILED",
            "verifiedLevels": [f"MLGOV_TARGET_{self.target.upper()}"] if self.allowed else [],
            "mlgov": {
                **self.common(),
                "target": self.target,
                "reasons": _coded(self.reasons),
                "waived": json_safe(self.waived),
                "excused": _coded(self.excused),
                **({"warned": _coded(self.warned)} if self.warned else {}),
                "document": self.document.as_json(),
            },
        }

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        ours = predicate["mlgov"]
        said = ours["document"]
        return cls(
            **read_common(ours),
            target=ours["target"],
            allowed=predicate["verificationResult"] == "PASSED",
            reasons=_uncoded(ours["reasons"]),
            inputs={item["uri"]: item["digest"]["sha256"] for item in predicate["inputAttestations"]},
            document=DecisionDocument(said["input"], said["input_sha256"], said["bundle_sha256"]),
            verifier=predicate["verifier"]["id"],
            waived=tuple(ours.get("waived", ())),
            excused=_uncoded(ours.get("excused", ())),
            warned=_uncoded(ours.get("warned", ())),
        )


@dataclass(frozen=True)
class Copy:
    """A version of another registered model, or registry, that was made of the version of a statement."""

    model: Subject
    """With the digest of its own bytes, downloaded and hashed after they were copied."""
    place: str = ""
    """Where its registry says that its files are; empty if that cannot be signed."""

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self | None:
        """As a statement has it; None if it is of none.

        :raises ValueError: it has other bytes than what it was made of
        """
        said = predicate.get("copy")
        if said is None:
            return None
        if said["digest"] != predicate["mlgov"]["subject"]["digest"]:
            raise ValueError("the copy has other bytes than what it was made of")
        return cls(Subject("model", said["name"], said["digest"], said["version"], said["registry"]), said["place"])


def _copied(copy: Copy | None) -> dict[str, Any]:
    if copy is None:
        return {}
    names = ("name", "version", "digest", "registry")
    return {"copy": {**{name: getattr(copy.model, name) for name in names}, "place": copy.place}}


@dataclass(frozen=True)
class IntentStatement(Signed):
    """What is about to be moved in the registry, or (``abandoned``) that it was given up and put back."""

    kind: ClassVar[str] = "intent"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:intent:v1"
    duty: ClassVar[str] = "promotion"
    target: str
    action: str
    """``promote`` or ``rollback``."""
    state: str
    """``opened`` or ``abandoned``."""
    before: Mapping[str, Any]
    """``stage`` (the versions in it) and ``alias`` (the version that holds it) as they were."""
    after: Mapping[str, Any]
    """``stage`` and ``alias``: the names that this version, or its copy, is to have."""
    grounds: str
    """SHA-256 of the decision's envelope; of the opened intent's, if it is abandoned."""
    copy: Copy | None = None
    """The copy that is moved instead of this version; None if there is none."""

    @property
    def placed(self) -> Subject:
        """What is moved: the copy, or this version itself."""
        return self.copy.model if self.copy else self.subject

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        return {
            "target": self.target,
            "action": self.action,
            "state": self.state,
            "before": json_safe(self.before),
            "after": json_safe(self.after),
            "grounds": self.grounds,
            **_copied(self.copy),
            "mlgov": self.common(),
        }

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        said = {name: predicate[name] for name in ("target", "action", "state", "before", "after", "grounds")}
        return cls(**read_common(predicate["mlgov"]), **said, copy=Copy.read(predicate))


@dataclass(frozen=True)
class PromotionStatement(Signed):
    """What was moved in the registry and read back."""

    kind: ClassVar[str] = "promotion"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:promotion:v1"
    duty: ClassVar[str] = "promotion"
    typed: ClassVar[tuple[str, ...]] = ("reason",)
    target: str
    action: str
    """``promote``, or ``rollback`` to a version that was promoted before."""
    decision: str
    """SHA-256 of the envelope of the decision that allowed this version."""
    intent: str
    """SHA-256 of the envelope of the intent that this completes."""
    moved: Mapping[str, Any]
    """Stage and alias, with who held them before."""
    replaces: str | None
    """The version that held the target before; None if nobody did."""
    reason: str
    """Why, for a rollback."""
    checkpoint: Mapping[str, Any]
    """Origin, size, head and root of the ledger before this entry."""
    obligations: tuple[OwedAudit, ...] = ()
    copy: Copy | None = None
    """The copy that was moved instead of this version; None if there is none."""

    @property
    def placed(self) -> Subject:
        """What was moved: the copy, or this version itself."""
        return self.copy.model if self.copy else self.subject

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        return {
            "target": self.target,
            "action": self.action,
            "decision": self.decision,
            "intent": self.intent,
            "moved": json_safe(self.moved),
            "replaces": self.replaces,
            "reason": written(self.reason),
            "checkpoint": dict(self.checkpoint),
            "obligations": owed_as_json(self, self.obligations),
            **_copied(self.copy),
            "mlgov": self.common(),
        }

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        names = ("target", "action", "decision", "intent", "moved", "replaces", "checkpoint")
        owed = tuple(OwedAudit.read(item) for item in predicate.get("obligations", ()))
        said = {name: predicate[name] for name in names} | {"reason": read_text(predicate["reason"])}
        copy = Copy.read(predicate)
        return cls(**read_common(predicate["mlgov"]), **said, obligations=owed, copy=copy)


@dataclass(frozen=True)
class PolicyStatement(Signed):
    """The governance policy and every rule, word for word, so that a decision can be replayed after they change."""

    kind: ClassVar[str] = "policy"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:policy:v1"
    duty: ClassVar[str] = "promotion"
    files: Mapping[str, str]
    """Name -> text."""

    @classmethod
    def of(cls, digest: str, files: Mapping[str, str], context: Context) -> Self:
        """A policy's bundle.

        :param digest: SHA-256 over the names and digests of the files, see ``governance.decision.bundle_digest``
        """
        return cls(Subject("policy", "governance policy", digest), context, files)

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        return {"files": dict(self.files), "mlgov": self.common()}

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        return cls(**read_common(predicate["mlgov"]), files=predicate["files"])


def resource_uri(model: Subject) -> str:
    """The URI of a model version that a verification summary names: registry and version, no credentials."""
    return f"{model.registry}#models:/{model.name}/{model.version}"


def _coded(reasons: Reasons) -> list[dict[str, str]]:
    return [{"code": code, "message": message} for code, message in reasons]


def _uncoded(said: Any) -> Reasons:
    return tuple((item["code"], item["message"]) for item in said)
