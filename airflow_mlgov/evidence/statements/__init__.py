"""The in-toto Statements that this package signs, one class for each kind; their JSON Schemas are in
``evidence/schemas``, one for each form that was ever shipped.

A new kind is one class here, listed in :data:`CLASSES`, and its form in the newest schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_mlgov.evidence.statements.common import (
    DEFAULT_LIFETIME,
    FORM,
    FORMS,
    STATEMENT,
    Context,
    LedgerMark,
    Person,
    Signed,
    Statement,
    identity,
    rfc3339,
)
from airflow_mlgov.evidence.statements.documents import ReportStatement
from airflow_mlgov.evidence.statements.gates import Audited, AuditStatement, GateStatement, read_check
from airflow_mlgov.evidence.statements.owed import OwedAudit
from airflow_mlgov.evidence.statements.people import ApprovalStatement, EmergencyStatement, Terms, WaiverStatement
from airflow_mlgov.evidence.statements.releases import (
    PARTS,
    Copy,
    DecisionDocument,
    DecisionStatement,
    IntentStatement,
    PolicyStatement,
    PromotionStatement,
    ProvenanceStatement,
    resource_uri,
)
from airflow_mlgov.evidence.statements.typed import Typed
from airflow_mlgov.evidence.statements.watch import (
    GROUNDS,
    CheckpointStatement,
    ErasureStatement,
    IncidentStatement,
    ObservationStatement,
    QuarantineStatement,
    run_digest,
)

__all__ = [
    "CLASSES",
    "DEFAULT_LIFETIME",
    "FORM",
    "FORMS",
    "GROUNDS",
    "PARTS",
    "STATEMENT",
    "ApprovalStatement",
    "AuditStatement",
    "Audited",
    "CheckpointStatement",
    "Context",
    "Copy",
    "DecisionDocument",
    "DecisionStatement",
    "EmergencyStatement",
    "ErasureStatement",
    "GateStatement",
    "IncidentStatement",
    "IntentStatement",
    "LedgerMark",
    "ObservationStatement",
    "OwedAudit",
    "Person",
    "PolicyStatement",
    "PromotionStatement",
    "ProvenanceStatement",
    "QuarantineStatement",
    "ReportStatement",
    "Signed",
    "Statement",
    "Terms",
    "Typed",
    "WaiverStatement",
    "form_of",
    "identity",
    "read_check",
    "read_statement",
    "resource_uri",
    "rfc3339",
    "run_digest",
]

_ALL = (
    GateStatement,
    ProvenanceStatement,
    DecisionStatement,
    ApprovalStatement,
    IntentStatement,
    PromotionStatement,
    PolicyStatement,
    IncidentStatement,
    CheckpointStatement,
    WaiverStatement,
    EmergencyStatement,
    AuditStatement,
    QuarantineStatement,
    ReportStatement,
    ObservationStatement,
    ErasureStatement,
)
CLASSES = {cls.predicate_type: cls for cls in _ALL}
"""Predicate type -> the class of its statements."""


def form_of(document: Mapping[str, Any]) -> int:
    """The version of a statement's form: what ``mlgov`` says, 1 if it says nothing.

    :raises ValueError: it is a form that this package does not know
    """
    predicate = document.get("predicate")
    ours = predicate.get("mlgov") if isinstance(predicate, Mapping) else None
    if not isinstance(ours, Mapping) or "form" not in ours:
        return 1
    form = ours["form"]
    if type(form) is not int or form not in FORMS[1:]:
        raise ValueError(f"the statement is of the form {form!r}; this version knows {', '.join(map(str, FORMS))}")
    return form


def read_statement(document: Mapping[str, Any]) -> Statement:
    """A statement that has the form that its schema says.

    :raises ValueError: a word in it is unknown, or a date cannot be read
    """
    return CLASSES[document["predicateType"]].read(document["predicate"])
