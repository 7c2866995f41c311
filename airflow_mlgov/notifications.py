"""The words that people get when a model needs them, and their sending through the notifiers of ``[mlgov] notifiers``.

Aggregates only. Text that comes from data is never evaluated as a template, and whatever goes wrong is logged: a
notification changes no verdict.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import quote

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Bound, GateResult

EVENTS = frozenset(
    {
        "gate_failed",
        "approval_wanted",
        "approval_timed_out",
        "waiver_wanted",
        "emergency",
        "waiver_expiring",
        "audit_due",
        "obligation_violated",
        "incident",
    }
)
"""What a notification can be about; the words of ``events`` in ``[mlgov] notifiers``."""

TIME_LIMIT = 60.0
"""Seconds that one notifier gets; then the task goes on without it."""

_LOG = logging.getLogger("airflow.task")
_PLACEHOLDER = re.compile(r"\{(subject|body|html|chat|owners|event)\}")


# -- sending ----------------------------------------------------------------------------------------------------------


def notify(event: str, subject: str, body: str, *, owners: Sequence[str], context: Mapping[str, Any]) -> None:
    """Write a message into the task's log, then send it through every notifier that is configured for the event.

    Raises nothing: a notifier that is missing, broken, down or too slow is logged with the mend, and the others still
    send.

    :param event: one of :data:`EVENTS`
    :param body: plain text
    :param owners: who is told, from the policy
    :param context: Airflow's task context, which notifiers expect
    """
    subject = _one_line(subject)
    _LOG.warning("%s\n%s", subject, body)
    words = {
        "subject": subject,
        "body": body,
        "html": f"<pre>{escape(body)}</pre>",
        "chat": escape(f"{subject}\n\n{body}", quote=False),
        "owners": ", ".join(owners),
        "event": event,
    }
    for notifier in _notifiers_of(event):
        _send(notifier, words, list(owners), context)


@dataclass(frozen=True)
class Notifier:
    """One entry of ``[mlgov] notifiers``."""

    path: str
    """Dotted path of a subclass of Airflow's ``BaseNotifier``."""
    kwargs: Mapping[str, Any]
    """What it is made with. Strings may hold ``{subject}``, ``{body}`` (plain text), ``{html}`` (the body, escaped, in
    ``<pre>``), ``{chat}`` (subject and body with ``&``, ``<`` and ``>`` escaped, as Slack asks), ``{event}`` and
    ``{owners}``: a list where it stands alone, spliced into a list that it stands in, joined by commas elsewhere. Jinja
    in them is not evaluated."""
    events: frozenset[str] | None
    """What it is told of; None: everything."""


def read_notifiers(text: str) -> tuple[list[Notifier], list[str]]:
    """The entries of ``[mlgov] notifiers``, and a sentence for each mistake in it. An entry with a mistake is kept
    where it can still send.

    :param text: the option's value; empty: no notifiers
    """
    import json

    if not text.strip():
        return [], []
    try:
        entries = json.loads(text)
    except ValueError as error:
        return [], [f"not JSON ({error}); write a list of objects with a class, its kwargs and perhaps events"]
    if not isinstance(entries, list):
        return [], [f"a list of objects is wanted, not {type(entries).__name__}; put it in [ ]"]
    found, mistakes = [], []
    for number, entry in enumerate(entries, 1):
        notifier, wrong = _read_entry(entry)
        found += [notifier] if notifier else []
        mistakes += [f"entry {number}{f' ({notifier.path})' if notifier else ''}: {sentence}" for sentence in wrong]
    return found, mistakes


def _read_entry(entry: Any) -> tuple[Notifier | None, list[str]]:
    if not isinstance(entry, dict) or not isinstance(entry.get("class"), str):
        return None, ['an object with a "class" is wanted, the dotted path of a notifier; it is left out']
    kwargs, events = entry.get("kwargs", {}), entry.get("events")
    if not isinstance(kwargs, dict):
        return None, [f"kwargs must be an object, not {type(kwargs).__name__}; it is left out"]
    mistakes = [
        f"unknown key {key!r}; known are class, kwargs, events"
        for key in entry
        if key not in ("class", "kwargs", "events")
    ]
    if events is not None and not (isinstance(events, list) and all(isinstance(event, str) for event in events)):
        mistakes.append("events must be a list of words; until then it gets every event")
        events = None
    mistakes += [
        f"unknown event {event!r}; known are {', '.join(sorted(EVENTS))}"
        for event in events or ()
        if event not in EVENTS
    ]
    return Notifier(entry["class"], kwargs, None if events is None else frozenset(events)), mistakes


def _notifiers_of(event: str) -> list[Notifier]:
    """Those that are configured for an event; mistakes go to the log."""
    from airflow_mlgov.settings import option

    try:
        found, mistakes = read_notifiers(option("notifiers"))
    except Exception as error:
        found, mistakes = [], [f"it could not be read: {type(error).__name__}: {error}"]
    for mistake in mistakes:
        _LOG.error("[mlgov] notifiers: %s", mistake)
    return [notifier for notifier in found if notifier.events is None or event in notifier.events]


def _send(notifier: Notifier, words: Mapping[str, str], owners: list[str], context: Mapping[str, Any]) -> None:
    from airflow.providers.common.compat.sdk import AirflowTaskTimeout

    def act() -> None:
        # Not by calling it: that evaluates the template fields as Jinja, and they hold what people and data have said.
        _make(notifier, _filled(notifier.kwargs, words, owners)).notify(context)

    try:
        failure = _within(TIME_LIMIT, act)
    # The task's own time-out may strike while a notifier dawdles; what the task has to say by now stands all the same.
    except (Exception, AirflowTaskTimeout) as error:
        failure = error
    if failure is None:
        _LOG.info("%s was sent by %s", words["event"], notifier.path)
    else:
        _LOG.error("%s was not sent by %s: %s", words["event"], notifier.path, _explained(failure, owners))


def _explained(failure: BaseException, owners: list[str]) -> str:
    if isinstance(failure, ConfigurationError):
        return str(failure)
    nobody = (
        "" if owners else '; the policy names no owners here, so "{owners}" is nobody: give a fixed address as well'
    )
    mend = "see that its connection exists and that its server answers"
    return f"{type(failure).__name__}: {str(failure).rstrip('.')}; {mend}{nobody}"


def _make(notifier: Notifier, kwargs: Mapping[str, Any]) -> Any:
    from importlib import import_module

    from airflow.providers.common.compat.sdk import BaseNotifier

    module, _, name = notifier.path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"there is no such class ({error}); install the package that ships it, or correct its path in "
            "[mlgov] notifiers"
        ) from None
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise ConfigurationError("it is no subclass of Airflow's BaseNotifier; name one in [mlgov] notifiers")
    try:
        return found(**kwargs)
    except Exception as error:
        raise ConfigurationError(
            f"it cannot be made ({type(error).__name__}: {error}); correct its kwargs in [mlgov] notifiers"
        ) from None


def _filled(value: Any, words: Mapping[str, str], owners: list[str]) -> Any:
    """A copy with the placeholders replaced, each once: text that is put in is not searched again."""
    if isinstance(value, str):
        return list(owners) if value == "{owners}" else _PLACEHOLDER.sub(lambda found: words[found[1]], value)
    if isinstance(value, dict):
        return {key: _filled(item, words, owners) for key, item in value.items()}
    if isinstance(value, list):
        parts = [owners if item == "{owners}" else [_filled(item, words, owners)] for item in value]
        return [item for part in parts for item in part]
    return value


def _within(seconds: float, act: Callable[[], None]) -> BaseException | None:
    """Run ``act`` in a thread, and leave it behind after so many seconds; what it has failed with, None where it has
    not."""
    from contextvars import copy_context
    from threading import Thread

    failures: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:
            failures.append(error)

    thread = Thread(target=copy_context().run, args=(run,), name="mlgov-notifier", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return TimeoutError(f"no end within {seconds:g} seconds, so it was left behind")
    return failures[0] if failures else None


# -- where people act -------------------------------------------------------------------------------------------------


def task_link(base_url: str, *, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    """The page of a task instance in Airflow's UI."""
    mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
    return f"{base_url.rstrip('/')}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}/tasks/{quote(task_id)}{mapped}"


def page_of(context: Mapping[str, Any]) -> str | None:
    """The page of the task of a context; None where ``[api] base_url`` is not set."""
    from airflow.providers.common.compat.sdk import conf

    ti, base = context.get("ti"), conf.get("api", "base_url", fallback="")
    if ti is None or not base:
        return None
    index = getattr(ti, "map_index", None)
    return task_link(
        base, dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=-1 if index is None else index
    )


def approval_page(context: Mapping[str, Any]) -> str | None:
    """The page where the form of the task of a context is answered; None where ``[api] base_url`` is not set."""
    page = page_of(context)
    return f"{page}/required_actions" if page else None


# -- words ------------------------------------------------------------------------------------------------------------

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
The {{ result.gate }} gate says {{ result.verdict }} on {{ subject | one_line }}.
It stays where it is: nothing was promoted.

What did not hold:
{% for check in result.failed -%}
- {{ check | one_line }}
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

_NEXT = {
    "data_validation": "Next: mend the data at its source and start the run again; the model was not trained on it.",
    "performance": "Next: compare with the champion, retrain, and start the run again. The bound is in the policy.",
    "fairness": (
        "Next: look at the rates by group in the evidence, remove what stands in for the protected group or "
        "move the cut-off, retrain, and start the run again."
    ),
}

_APPROVAL_WANTED = (
    _TO
    + """\
{{ model | one_line }} is waiting to go to {{ target }}. Nothing moves until people have approved it.
Approvals needed: {{ needed }}, of {{ approvers | join(", ") if approvers else "nobody: the policy names none" }}

What was measured:
{% for check in checks -%}
- {{ check | one_line }}
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
A waiver is wanted for {{ model | one_line }}, to go to {{ terms["target"] }} although a check fails.

Gate {{ terms["gate"] }}, check {{ terms["check"] | one_line }}: measured {{ observed }}
With the waiver it passes while {{ bound }}, and no worse.
Reason: {{ terms["reason"] | one_line }}
Ticket: {{ terms["ticket"] | one_line }}
Answers for the risk: {{ terms["risk_owner"] | one_line }}
Asked for by: {{ terms["requesters"] | join(", ") if terms["requesters"] else "nobody is named" }}
Ends: {{ terms["expires"] }}
May sign: {{ signers | join(", ") if signers else "nobody: the policy names no signers" }}

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
{{ person | one_line }} has broken the glass for {{ model | one_line }}: until {{ expires }} it may go to {{ target }}
without everything that the policy requires.

Reason: {{ reason | one_line }}
"""
    + _TASK
    + """
Next: an audit is owed for it; run it in time. If you do not know of this emergency, roll the model back now and ask
{{ person | one_line }}.
"""
)


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
    :param model: what to call the model; the result's subject where None
    :param evidence: where the signed evidence is, such as ``ledger:7@1a2b3c4d5e6f``
    :param link: URL of the Airflow task, see :func:`task_link`
    """
    body = _render(
        _GATE_FAILED,
        result=result,
        subject=model or str(result.subject),
        owners=list(owners),
        evidence=evidence,
        link=link,
        next_step=_NEXT.get(result.gate, "Next: mend what is named above and start the run again."),
    )
    named = model or f"{result.subject.name}" + (f" v{result.subject.version}" if result.subject.version else "")
    return f"[mlgov] {named}: {result.gate} {result.verdict}", body


def render_approval_wanted(
    model: str,
    target: str,
    *,
    owners: Sequence[str],
    approvers: Sequence[str],
    needed: int,
    checks: Sequence[str],
    link: str | None,
) -> tuple[str, str]:
    """Subject and body: a model waits for people.

    :param approvers: who may approve, by name
    :param checks: what was measured, a line each, with the numbers
    :param link: see :func:`approval_page`
    """
    body = _render(
        _APPROVAL_WANTED,
        model=model,
        target=target,
        owners=list(owners),
        approvers=list(approvers),
        needed=needed,
        checks=list(checks),
        link=link,
        verb="Approve or reject it",
    )
    return f"[mlgov] {_one_line(model)}: approval wanted for {target}", body


def render_waiver_wanted(
    model: str,
    terms: Mapping[str, Any],
    *,
    owners: Sequence[str],
    signers: Sequence[str],
    link: str | None,
) -> tuple[str, str]:
    """Subject and body: a waiver waits for signatures.

    :param terms: ``gate``, ``check``, ``target``, ``observed``, ``min``, ``max``, ``reason``, ``ticket``,
        ``risk_owner``, ``requesters``, ``expires``
    :param signers: who may sign, by name
    :param link: see :func:`approval_page`
    """
    body = _render(
        _WAIVER_WANTED,
        model=model,
        terms=terms,
        observed=f"{terms['observed']:.4g}",
        bound=Bound(min=terms["min"], max=terms["max"], source="the waiver"),
        owners=list(owners),
        signers=list(signers),
        link=link,
        verb="Sign or refuse it",
    )
    return f"[mlgov] {_one_line(model)}: waiver wanted for {_one_line(terms['check'])}", body


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
        "The registry says something that the ledger does not:",
        lines,
        "Next: find out who has moved or changed it. To put back what the ledger says: mlgov reconcile --revert. To "
        "keep it: release it through its gates.",
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
    return f"[mlgov] {_one_line(model)}: emergency at {target}, by {_one_line(person)}", body


def _listed(
    title: str, opening: str, lines: Sequence[str], next_step: str, owners: Sequence[str], link: str | None
) -> tuple[str, str]:
    from textwrap import shorten

    flat = [_one_line(line).removeprefix("- ") for line in lines]
    body = _render(_LINES, opening=opening, lines=flat, next_step=next_step, owners=list(owners), link=link)
    about = f": {shorten(flat[0].split(': ')[0], 100, placeholder=' …')}" if flat else ""
    more = f" and {len(flat) - 1} more" if len(flat) > 1 else ""
    return f"[mlgov] {title}{about}{more}", body


def _one_line(value: Any) -> str:
    """Without line breaks: what somebody has typed must not look like a line of ours."""
    return " ".join(str(value).split())


def _render(template: str, **values: Any) -> str:
    from jinja2 import Environment, StrictUndefined

    # Plain text for mail and chat, not a page: escaping would garble names.
    environment = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701
    environment.filters["one_line"] = _one_line
    return environment.from_string(template).render(values)
