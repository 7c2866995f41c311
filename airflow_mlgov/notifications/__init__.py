"""Tells people that a model needs them, through the notifiers of ``[mlgov] notifiers``. The words are in ``words``.

Aggregates only. Text that comes from data is never evaluated as a template, and whatever goes wrong is logged: a
notification changes no verdict.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.words import chat, line, lines, plain

if TYPE_CHECKING:
    from airflow_mlgov.governance.policy import Contact

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
_LISTS = ("owners", "approvers", "approvers_slack", "to")
"""Placeholders that stand for several."""
_PLACEHOLDER = re.compile(rf"\{{(subject|body|html|chat|deadline|event|{'|'.join(_LISTS)})\}}")


# -- sending ----------------------------------------------------------------------------------------------------------


def notify(
    event: str,
    subject: str,
    body: str,
    *,
    owners: Sequence[str],
    context: Mapping[str, Any],
    approvers: Sequence[Contact] = (),
    deadline: str = "",
) -> None:
    """Write a message into the task's log, then send it through every notifier that is configured for the event.

    Raises nothing: a notifier that is missing, broken, down or too slow is logged with the mend, and the others still
    send.

    :param event: one of :data:`EVENTS`
    :param body: plain text
    :param owners: of the model, from the policy: they are told of what is for nobody in particular
    :param context: Airflow's task context, which notifiers expect
    :param approvers: whose answer is wanted, and how the policy says that they are reached: they are told
    :param deadline: until when, in words
    """
    subject, body, owners = plain(subject), lines(body.split("\n")), [plain(owner) for owner in owners]
    emails = [plain(person.email) for person in approvers if person.email]
    _LOG.warning("%s\n%s", plain(subject), lines(body.split("\n")))
    several = {
        "owners": owners,
        "approvers": emails,
        "approvers_slack": [plain(person.slack) for person in approvers if person.slack],
        "to": emails or owners,
    }
    words = {
        "subject": subject,
        "body": body,
        "html": f"<pre>{escape(body)}</pre>",
        "chat": chat(f"{subject}\n\n{body}"),
        "deadline": plain(deadline),
        "event": event,
        **{name: ", ".join(members) for name, members in several.items()},
        "approvers_slack": " ".join(f"<@{member}>" for member in several["approvers_slack"]),
    }
    for notifier in _notifiers_of(event):
        _send(notifier, words, several, context)


@dataclass(frozen=True)
class Notifier:
    """One entry of ``[mlgov] notifiers``."""

    path: str
    """Dotted path of a subclass of Airflow's ``BaseNotifier``."""
    kwargs: Mapping[str, Any]
    """What it is made with. Strings may hold ``{subject}``, ``{body}`` (plain text), ``{html}`` (the body, escaped, in
    ``<pre>``), ``{chat}`` (subject and body for Slack, with nothing in them that it reads as markup), ``{event}``,
    ``{deadline}`` (empty if there is none), and four that are a list where they stand alone, spliced into a list that
    they stand in, joined by commas elsewhere: ``{owners}``, ``{approvers}`` (addresses of those whose answer is
    wanted), ``{to}`` (those where the policy has their addresses, else the owners) and ``{approvers_slack}`` (their ids
    at Slack, joined as mentions). Jinja in them is not evaluated."""
    events: frozenset[str] | None
    """What it is told of; None: everything."""


@contextmanager
def whatever_happens(log: logging.Logger) -> Iterator[None]:
    """Around rendering and sending a notification: what goes wrong in it is logged, and changes nothing."""
    try:
        yield
    except Exception:
        log.exception("the notification could not be made; nothing else is changed by that")


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
    from airflow_mlgov.configuration import option

    try:
        found, mistakes = read_notifiers(option("notifiers"))
    except Exception as error:
        found, mistakes = [], [f"it could not be read: {type(error).__name__}: {error}"]
    for mistake in mistakes:
        _LOG.error("[mlgov] notifiers: %s", line(mistake))
    return [notifier for notifier in found if notifier.events is None or event in notifier.events]


def _send(
    notifier: Notifier, words: Mapping[str, str], several: Mapping[str, list[str]], context: Mapping[str, Any]
) -> None:
    from airflow.providers.common.compat.sdk import AirflowTaskTimeout

    def act() -> None:
        # Not by calling it: that evaluates the template fields as Jinja, and they hold what people and data have said.
        _make(notifier, _filled(notifier.kwargs, words, several)).notify(context)

    try:
        failure = _within(TIME_LIMIT, act)
    # The task's own time-out may strike while a notifier dawdles; what the task has to say by now stands all the same.
    except (Exception, AirflowTaskTimeout) as error:
        failure = error
    if failure is None:
        _LOG.info("%s was sent by %s", line(words["event"]), line(notifier.path))
    else:
        why = _explained(failure, several["owners"])
        _LOG.error("%s was not sent by %s: %s", line(words["event"]), line(notifier.path), line(why))


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
            "[mlgov] notifiers",
            code="notifier.unknown",
        ) from None
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise ConfigurationError(
            "it is not a subclass of Airflow's BaseNotifier; name one in [mlgov] notifiers", code="notifier.kind"
        )
    try:
        return found(**kwargs)
    except Exception as error:
        raise ConfigurationError(
            f"it cannot be made ({type(error).__name__}: {error}); correct its kwargs in [mlgov] notifiers",
            code="notifier.unusable",
        ) from None


def _filled(value: Any, words: Mapping[str, str], several: Mapping[str, list[str]]) -> Any:
    """A copy with the placeholders replaced, each once: text that is put in is not searched again."""
    if isinstance(value, str):
        alone = _alone(value, several)
        return _PLACEHOLDER.sub(lambda found: words[found[1]], value) if alone is None else list(alone)
    if isinstance(value, dict):
        return {key: _filled(item, words, several) for key, item in value.items()}
    if isinstance(value, list):
        alike = [(_alone(item, several), item) for item in value]
        parts = [[_filled(item, words, several)] if alone is None else alone for alone, item in alike]
        return [item for part in parts for item in part]
    return value


def _alone(value: Any, several: Mapping[str, list[str]]) -> list[str] | None:
    """The members of a list's placeholder that is the whole of a text."""
    return several.get(value[1:-1]) if isinstance(value, str) and value[:1] == "{" and value[-1:] == "}" else None


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
    """The page where the form of the task of a context is answered; None if ``[api] base_url`` is not set."""
    page = page_of(context)
    return f"{page}/required_actions" if page else None
