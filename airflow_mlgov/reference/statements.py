"""The statements of the ledger as a table in Markdown."""

from __future__ import annotations

from airflow_mlgov.evidence.statements import CLASSES
from airflow_mlgov.reference.docstrings import cell, said


def statements_table() -> str:
    """One row for each kind: its predicate type, the duty that signs it, what it says."""
    rows = [
        f"| `{each.kind}` | `{each.predicate_type}` | {_duty(each)} | {cell(said(each).text.split(chr(10))[0])} |"
        for each in sorted(CLASSES.values(), key=lambda each: each.kind)
    ]
    return "\n".join(["| kind | predicateType | duty | |", "|---|---|---|---|", *rows, ""])


def _duty(each: type) -> str:
    duty = vars(each).get("duty")
    return f"`{duty}`" if isinstance(duty, str) else "that of the gate"
