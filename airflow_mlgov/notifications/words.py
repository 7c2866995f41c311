"""The words of notifications: pure rendering to plain text. Aggregates only; text that comes from data is never
evaluated as a template, and each value that is filled in stays one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_mlgov.results import Bound, GateResult
from airflow_mlgov.words import plain

_TO = """\
To: {{ owners | join(", ") if owners else "nobody: the policy names no owners" }}

"""

_FORM = """\
{% if link %}{{ verb }} here: {{ link }}
{% else %}{{ verb }} in Airflow, under Required Actions. ([api] base_url is not set, so there is no link.)
{% endif %}"""

_TASK = """\
{% if link %}
Airflow task: {{ link }}
{% endif %}"""

_GATE_FAILED = (
    _TO
    + """\
The {{ result.gate }} gate says {{ result.verdict }} on {{ subject }}.
It stays where it is: nothing was promoted.

What did not hold:
{% for check in result.failed -%}
- {{ check }}
{%- if check.bound is not none and check.bound.source is defined %} [{{ check.bound.source }}]{% endif %}
{% else -%}
- no check was evaluated, so nothing was decided
{% endfor %}
{%- if evidence %}
Signed evidence: {{ evidence }}
{%- endif %}
{%- if link %}
Airflow task: {{ link }}
{%- endif %}

{{ next_step }}
"""
)

_ANSWER_BY = """\
{% if deadline %}Answer by: {{ deadline }}
{% endif %}"""

_APPROVAL_WANTED = (
    _TO
    + """\
{{ model }} is waiting to go to {{ target }}. Nothing moves until people have approved it.
Approvals needed: {{ needed }}, of {{ approvers | join(", ") if approvers else "nobody: the policy names none" }}
"""
    + _ANSWER_BY
    + """
What was measured:
{% for check in checks -%}
- {{ check }}
{% else -%}
- nothing is named here; the form shows the evidence
{% endfor %}
"""
    + _FORM
    + """
Next: read the evidence in the form, then approve or reject with a reason. Silence never approves.
"""
)

_WAIVER_WANTED = (
    _TO
    + """\
A waiver is wanted for {{ model }}, to go to {{ terms["target"] }} although a check fails.

Gate {{ terms["gate"] }}, check {{ terms["check"] }}: measured {{ observed }}
With the waiver it passes while {{ bound }}, and no worse.
Reason: {{ terms["reason"] }}
Ticket: {{ terms["ticket"] }}
Answers for the risk: {{ terms["risk_owner"] }}
Asked for by: {{ terms["requesters"] | join(", ") if terms["requesters"] else "nobody is named" }}
Ends: {{ terms["expires"] }}
May sign: {{ signers | join(", ") if signers else "nobody: the policy names no signers" }}
"""
    + _ANSWER_BY
    + """
"""
    + _FORM
    + """
Next: read the reason and the numbers, then sign or refuse with a reason. Every signer signs the same terms; those who
asked for the waiver or trained the model cannot sign it.
"""
)

_LINES = (
    _TO
    + """\
{{ opening }}
{% for line in lines -%}
- {{ line }}
{% else -%}
- nothing is named; see the log of the task
{% endfor %}"""
    + _TASK
    + """
{{ next_step }}
"""
)

_OBLIGATIONS = {
    "audit_due": (
        "audit due",
        "An audit is owed soon:",
        "Next: run the audit on live data before its date. An audit that is missed or fails takes the model back to "
        "the last version that holds.",
    ),
    "waiver_expiring": (
        "waiver expiring",
        "A waiver ends soon, and the check that it covers still fails:",
        "Next: release a version that passes without it, or ask for a new waiver, before its date.",
    ),
    "obligation_violated": (
        "obligation violated",
        "What was promised when the model was let through was not kept:",
        "Next: see above what was done. Where it says 'not demoted', the version still serves: roll it back by hand, "
        "then retrain and release through the gates.",
    ),
}
_ANY_OBLIGATION = ("audit obligation", "Audits are owed:", "Next: run each audit before its date.")

_EMERGENCY = (
    _TO
    + """\
{{ person }} has broken the glass for {{ model }}: until {{ expires }} it may go to {{ target }}
without everything that the policy requires.

Reason: {{ reason }}
"""
    + _TASK
    + """
Next: an audit is owed for it; run it in time. If you do not know of this emergency, roll the model back now and ask
{{ person }}.
"""
)


def _next_step(gate: str) -> str:
    """What the gate says about it; something that is always true if it is not installed here."""
    from airflow_mlgov import catalogue
    from airflow_mlgov.gates.protocol import Gate

    return catalogue.load(gate).next_step if gate in catalogue.names() else Gate.next_step


def render_gate_failed(
    result: GateResult,
    *,
    owners: Sequence[str] = (),
    model: str | None = None,
    evidence: str | None = None,
    link: str | None = None,
) -> tuple[str, str]:
    """Subject line and plain-text body of the message to the owners.

    :param owners: who is told, from the policy
    :param model: what to call the model; if omitted, the result's subject
    :param evidence: where the signed evidence is, such as ``ledger:7@1a2b3c4d5e6f``
    :param link: URL of the Airflow task, see :func:`~airflow_mlgov.notifications.page_of`
    """
    body = _render(
        _GATE_FAILED,
        result=result,
        subject=model or str(result.subject),
        owners=list(owners),
        evidence=evidence,
        link=link,
        next_step=_next_step(result.gate),
    )
    named = model or f"{result.subject.name}" + (f" v{result.subject.version}" if result.subject.version else "")
    return _subject(f"{named}: {result.gate} {result.verdict}"), body


def render_approval_wanted(
    model: str,
    target: str,
    *,
    told: Sequence[str],
    approvers: Sequence[str],
    needed: int,
    checks: Sequence[str],
    link: str | None,
    deadline: str = "",
) -> tuple[str, str]:
    """Subject and body: a model waits for people.

    :param told: who gets the message
    :param approvers: who may approve, by name
    :param deadline: until when, in words
    :param checks: what was measured, a line each, with the numbers
    :param link: see :func:`~airflow_mlgov.notifications.approval_page`
    """
    body = _render(
        _APPROVAL_WANTED,
        model=model,
        target=target,
        owners=list(told),
        approvers=list(approvers),
        deadline=deadline,
        needed=needed,
        checks=list(checks),
        link=link,
        verb="Approve or reject it",
    )
    return _subject(f"{model}: approval wanted for {target}"), body


def render_waiver_wanted(
    model: str,
    terms: Mapping[str, Any],
    *,
    told: Sequence[str],
    signers: Sequence[str],
    link: str | None,
    deadline: str = "",
) -> tuple[str, str]:
    """Subject and body: a waiver waits for signatures.

    :param told: who gets the message
    :param terms: ``gate``, ``check``, ``target``, ``observed``, ``min``, ``max``, ``reason``, ``ticket``,
        ``risk_owner``, ``requesters``, ``expires``
    :param signers: who may sign, by name
    :param link: see :func:`~airflow_mlgov.notifications.approval_page`
    """
    body = _render(
        _WAIVER_WANTED,
        model=model,
        terms=terms,
        observed=f"{terms['observed']:.4g}",
        bound=Bound(min=terms["min"], max=terms["max"], source="the waiver"),
        owners=list(told),
        signers=list(signers),
        deadline=deadline,
        link=link,
        verb="Sign or refuse it",
    )
    return _subject(f"{model}: waiver wanted for {terms['check']}"), body


def render_obligations(
    lines: Sequence[str], *, owners: Sequence[str], link: str | None, event: str | None = None
) -> tuple[str, str]:
    """Subject and body about audits that are owed.

    :param lines: one obligation each: model, check, dates, what was done
    :param event: ``audit_due``, ``waiver_expiring`` or ``obligation_violated``, for the title and the next step
    """
    title, opening, next_step = _OBLIGATIONS.get(event or "", _ANY_OBLIGATION)
    return _listed(title, opening, lines, next_step, owners, link)


def render_incidents_notice(lines: Sequence[str], *, owners: Sequence[str], link: str | None) -> tuple[str, str]:
    """Subject and body: the registry and the ledger disagree.

    :param lines: one incident each
    """
    return _listed(
        "incident",
        "The registry, or live data, says something that the ledger does not:",
        lines,
        "Next: find out who has moved or changed it. To put back what the ledger says: mlgov reconcile --revert. To "
        "keep it: release it through its gates. Where live data fails: release a version that passes, or go back.",
        owners,
        link,
    )


def render_emergency(
    model: str,
    target: str,
    person: str,
    reason: str,
    expires: datetime | str,
    *,
    owners: Sequence[str],
    link: str | None = None,
) -> tuple[str, str]:
    """Subject and body: somebody has broken the glass.

    :param person: who
    :param expires: when it ends
    """
    body = _render(
        _EMERGENCY,
        model=model,
        target=target,
        person=person,
        reason=reason,
        expires=expires,
        owners=list(owners),
        link=link,
    )
    return _subject(f"{model}: emergency at {target}, by {person}"), body


def _listed(
    title: str, opening: str, lines: Sequence[str], next_step: str, owners: Sequence[str], link: str | None
) -> tuple[str, str]:
    from textwrap import shorten

    flat = [plain(line).removeprefix("- ") for line in lines]
    body = _render(_LINES, opening=opening, lines=flat, next_step=next_step, owners=list(owners), link=link)
    about = f": {shorten(flat[0].split(': ')[0], 100, placeholder=' …')}" if flat else ""
    more = f" and {len(flat) - 1} more" if len(flat) > 1 else ""
    return _subject(f"{title}{about}{more}"), body


def _subject(words: str) -> str:
    """As the header of a mail holds it."""
    return f"[mlgov] {plain(words, 300)}"


def _render(template: str, **values: Any) -> str:
    from jinja2 import Environment, StrictUndefined

    # Plain text for mail and chat, not a page: escaping would garble names.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, finalize=plain)  # noqa: S701
    return environment.from_string(template).render(values)
