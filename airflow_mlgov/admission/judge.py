"""What OPA is asked about an object: what would be served and how it stands, what guards the steps of a pipeline, and
what could not be told. Facts alone: whether they suffice is for the rules to say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_mlgov.admission.kinds import HARMLESS_SUBRESOURCES, KINDS, Governed, Kind
from airflow_mlgov.admission.review import Review, stored
from airflow_mlgov.admission.served import UNREAD, Container, Named, read_serving
from airflow_mlgov.admission.verifying import meant, served_by, verifiers
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.digests import canonical_json, hash_json
from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.guards import judge
from airflow_mlgov.pipelines.manifest import SENSITIVE, Manifest, Role
from airflow_mlgov.pipelines.readers import argo, kubernetes, tekton
from airflow_mlgov.pipelines.readers.source import Source
from airflow_mlgov.pipelines.roles import Lists, told
from airflow_mlgov.words import plain

if TYPE_CHECKING:
    from airflow_mlgov.admission.standing import Book, Standing

FORM = "mlgov/admission/1"
_READERS: Mapping[str, Any] = {"argoproj.io": argo, "tekton.dev": tekton, "batch": kubernetes}
_MOST = 100
"""Of what could not be told, and of gates that guard a step, that are handed on."""
_MOST_WEAK = 10
"""Of gates that do not guard a step, likewise."""
_MOST_PAIRS = 20_000
"""Of a gate and of a step that it may guard."""
_LARGEST_KEPT = 64 * 1024
_MOST_NAMED = 50
"""Models that one object may name."""
_BESIDE = ("arguments", "workflowTemplateRef", "pipelineRef", "params", "workspaces", "timeouts", "serviceAccountName",
           "taskRunTemplate", "ttlStrategy", "podGC", "priority", "status", "suspend")  # fmt: skip
"""What an object may hold beside a reference to a template without changing what the template runs."""


def facts(review: Review, book: Callable[[], Book]) -> dict[str, Any]:
    """The document that OPA is asked with.

    :param book: what the ledger says now; asked only if the object may name a model
    :raises EvidenceError: the ledger's chain is broken
    :raises DependencyError: the ledger is down
    :raises ConfigurationError: a pipeline's steps contradict each other
    """
    found: dict[str, Any] = {
        "mlgov": FORM,
        "review": {
            "version": review.version,
            "uid": review.uid,
            "group": review.group,
            "kind": review.kind,
            "operation": review.operation,
            "namespace": review.namespace,
            "subresource": review.subresource,
            "user": review.user,
            "dry_run": review.dry_run,
            "unchanged": review.unchanged,
        },
    }
    governed = KINDS.get(Kind(review.group, review.kind))
    if review.operation not in ("CREATE", "UPDATE") or governed is None or not _is_whole(review, governed):
        return found
    if review.unchanged:
        return found
    if review.form not in governed.versions:
        raise ConfigurationError(
            f"{review.kind} of the version {plain(review.form, 60)} is not known here: use {governed.versions[0]}",
            code="review.version",
        )
    sort = _pipeline(review) if governed.sort == "pipeline" else _workload_again(review.object, book())
    return found | {governed.sort: sort}


def _is_whole(review: Review, governed: Governed) -> bool:
    """Whether the review holds an object of the kind, and not a report or a scale of it."""
    return review.subresource not in HARMLESS_SUBRESOURCES and review.subresource in ("", *governed.subresources)


# -- workloads --------------------------------------------------------------------------------------------------------


def _workload_again(document: Part, book: Book) -> Mapping[str, Any]:
    """:func:`_workload`, read once for objects that differ in their metadata alone, as the pods of one workload do."""
    said = {key: part.value for key, part in document.items() if key not in UNREAD}
    raw = canonical_json(said)
    if len(raw) > _LARGEST_KEPT:
        return _workload(document, book)
    return book.kept(hashlib.sha256(raw).hexdigest(), lambda: _workload(document, book))


def _workload(document: Part, book: Book) -> dict[str, Any]:
    serving = read_serving(document)
    checks = verifiers(serving)
    own = tuple(f"{one.where}." for one in checks if not one.problems)
    named = [one for one in serving.named if not one.where.startswith(own)] if own else list(serving.named)
    named += served_by(checks, serving)
    named = list({(one.kind, one.said): one for one in reversed(named)}.values())[::-1]  # each where it stands first
    problems = [{"where": one.where, "code": one.code, "why": one.why} for one in serving.problems[:_MOST]]
    if len(named) > _MOST_NAMED:
        why = f"it names {len(named)} models, and {_MOST_NAMED} are looked up: split it"
        problems.append({"where": named[_MOST_NAMED].where, "code": "served.too_many", "why": why})
        named = named[:1]
    images = [
        {"where": one.where, "image": one.image, "digest": one.digest, "signed": one.digest in book.images}
        for one in serving.containers
    ]
    served = [_served(one, book) for one in named]
    served += list(_images_served(serving.containers, book))
    return {
        "served": served,
        "verified": [one.as_dict(book.versions(one.named) if one.named else ()) for one in checks],
        "images": images,
        "volumes": [{"where": v.where, "name": v.name, "kind": v.kind, "ref": v.ref} for v in serving.volumes],
        "programs": [
            {"where": one.where, "why": one.why} for one in serving.programs if not one.where.startswith(own or ("?",))
        ],
        "problems": problems,
    }


def _images_served(containers: list[Container], book: Book) -> Iterator[dict[str, Any]]:
    """Containers whose image is a model that was shipped so."""
    for one in containers:
        if one.digest and one.digest in book.images:
            named = Named(one.where, one.image, "image", digest=one.digest)
            yield _served(named, book)


def _served(one: Named, book: Book) -> dict[str, Any]:
    return {
        "where": one.where,
        "said": one.said,
        "kind": one.kind,
        "means": [meant(*version) for version in book.versions(one)],
        "standings": [_standing(item) for item in book.standings(one)],
    }


def _standing(one: Standing) -> dict[str, Any]:
    return {
        "model": one.name,
        "version": one.version,
        "environment": one.environment,
        "target": one.target,
        "record": one.record,
        "stands": not one.reasons,
        "reasons": [{"code": code, "message": message} for code, message in one.reasons],
    }


# -- pipelines --------------------------------------------------------------------------------------------------------


def _pipeline(review: Review) -> dict[str, Any]:
    document, reference = review.object, _reference(review.object)
    template = {"kind": review.kind, "name": review.name, "sha256": hash_json(document["spec"].value)}
    if reference is not None:
        return {
            "template": template, "references": [reference], "complete": True, "unknown": [], "steps": [],
            "stored": any(stored(review.object)) and stored(review.object) != stored(review.before),
        }  # fmt: skip
    source = Source(review.place, canonical_json(document.value))
    found = [one for one in _READERS[review.group].read(source, document, ()) if isinstance(one, Manifest)]
    if len(found) != 1:
        raise ConfigurationError(f"{review.place} holds no pipeline that can be read", code="manifest.wrong")
    manifest = told(found[0], Lists())
    _bound(manifest)
    images = {step.id: step.image for step in manifest.steps}
    return {
        "template": template,
        "references": [],
        "stored": any(stored(review.object)) and stored(review.object) != stored(review.before),
        "complete": manifest.complete,
        "unknown": [{"where": one.where, "why": one.why} for one in manifest.unknown[:_MOST]],
        "steps": [
            {
                "id": one.step.id,
                "role": one.role.value,
                "guards": [
                    {"gate": ref.gate, "step": ref.step, "image": images[ref.step]} for ref in one.guards[:_MOST]
                ],
                "weak": [
                    {"gate": weak.gate.gate, "code": weak.code, "why": weak.why} for weak in one.weak[:_MOST_WEAK]
                ],
                "approvals": list(one.approvals),
            }
            for one in judge(manifest)
        ],
        "images": sorted({step.image for step in manifest.steps if step.image}),
    }


def _bound(manifest: Manifest) -> None:
    roles = [role for step in manifest.steps for role in (step.role, *(command.role for command in step.commands))]
    gates, sensitive = roles.count(Role.GATE), sum(role in SENSITIVE for role in roles)
    if gates * sensitive > _MOST_PAIRS:
        raise ConfigurationError(
            f"{manifest.name} has {gates} gates and {sensitive} steps that they may guard: split it",
            code="pipeline.too_large",
        )


def _reference(document: Part) -> dict[str, str] | None:
    """The template that an object refers to instead of holding a pipeline; None if it holds one, or changes it."""
    spec = document["spec"]
    if document["kind"].text == "CronWorkflow":
        spec = spec["workflowSpec"]
    for key, kind in (("workflowTemplateRef", "WorkflowTemplate"), ("pipelineRef", "Pipeline")):
        part = spec[key]
        if part["name"].text and not part["resolver"] and not part["bundle"]:
            if any(other not in _BESIDE for other, _ in spec.items()) or _changes(spec["taskRunTemplate"]):
                return None
            kind = "ClusterWorkflowTemplate" if part["clusterScope"].value is True else kind
            return {"kind": kind, "name": part["name"].text, "where": f"spec.{key}"}
    return None


def _changes(template: Part) -> bool:
    """Whether a run says more about its tasks' pods than whose account they use."""
    return any(key != "serviceAccountName" for key, _ in template.items())
