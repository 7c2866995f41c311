"""Notifications through Airflow's real notifiers: to a real mail server, and to a web server in Slack's place."""

import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from airflow.providers.common.compat.sdk import BaseNotifier

from airflow_mlgov import notifications
from airflow_mlgov.governance.policy import Contact
from airflow_mlgov.notifications import EVENTS, approval_page, notify, page_of, read_notifiers
from airflow_mlgov.notifications.words import (
    render_approval_wanted,
    render_emergency,
    render_gate_failed,
    render_incidents_notice,
    render_obligations,
    render_waiver_wanted,
)
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Subject
from tests.fixtures.smtp import Mailbox, running_smtp, smtp_connection
from tests.worlds.release import Release, people

OWNERS = ("data-science@bank.example", "ml-engineering@bank.example")
SLACK = "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier"
SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
MAIL = {
    "class": SMTP,
    "kwargs": {
        "smtp_conn_id": "smtp_default",
        "from_email": "mlgov@bank.example",
        "to": "{owners}",
        "subject": "{subject}",
        "html_content": "{html}",
    },
}


class Kept(BaseNotifier):
    """A notifier of our own, by class path."""

    template_fields = ("text",)
    told: ClassVar[list[Any]] = []

    def __init__(self, text: Any, nap: float = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text = text
        self.nap = nap

    def notify(self, context: Any) -> None:
        time.sleep(self.nap)
        self.told.append(self.text)


class Broken(BaseNotifier):
    """A notifier that ends the process where it is let."""

    def __init__(self, how: str = "Exception", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.how = how

    def notify(self, context: Any) -> None:
        raise {"SystemExit": SystemExit, "Exception": RuntimeError}[self.how]("out of order")


def own(cls: type, **entry: Any) -> dict[str, Any]:
    return {"class": f"{cls.__module__}.{cls.__qualname__}", **entry}


KEPT = own(Kept, kwargs={"text": "{event}"})


@pytest.fixture(autouse=True)
def _nothing_told() -> None:
    Kept.told.clear()


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with running_smtp() as box:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(box.port))
        yield box


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Any:
    def write(*entries: Any, text: str | None = None) -> None:
        monkeypatch.setenv("AIRFLOW__MLGOV__NOTIFIERS", json.dumps(entries) if text is None else text)

    return write


@contextmanager
def running_slack() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A web server that answers as Slack's webhooks do; its URL and what was posted."""
    posted: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            posted.append({"path": self.path, **body})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", posted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tell(event: str = "gate_failed", subject: str = "a title", body: str = "a body\n", owners: Any = OWNERS) -> None:
    notify(event, subject, body, owners=owners, context={})


def failed_fairness(detail: str = "") -> GateResult:
    check = Check(
        "demographic_parity_ratio[sex]", Outcome.FAIL, 0.61, Bound(min=0.8, source="mlgov.yaml:12"), detail=detail
    )
    return GateResult("fairness", Subject("model", "credit", "a" * 64, version="2"), (check,))


# -- sending ----------------------------------------------------------------------------------------------------------


def test_airflows_smtp_notifier_mails_the_owners(mailbox: Mailbox, configure: Any) -> None:
    configure(MAIL)
    subject, body = render_gate_failed(failed_fairness(), owners=OWNERS, link="http://airflow.example/dags/d")
    tell(subject=subject, body=body)
    (mail,) = mailbox.mails
    assert mail.recipients == list(OWNERS)
    assert mail.message["From"] == "mlgov@bank.example"
    assert mail.subject == "[mlgov] credit v2: fairness FAIL"
    assert mail.html.startswith("<pre>To: data-science@bank.example, ml-engineering@bank.example")
    for words in ("= 0.61 (bound &gt;= 0.8)", "[mlgov.yaml:12]", "http://airflow.example/dags/d", "retrain"):
        assert words in mail.html


def test_airflows_slack_notifier_posts_to_a_webhook(configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with running_slack() as (url, posted):
        connection = {"conn_type": "slackwebhook", "host": url, "password": "T000/B000/token"}
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_RISK", json.dumps(connection))
        configure({"class": SLACK, "kwargs": {"slack_webhook_conn_id": "slack_risk", "text": "{chat}"}})
        tell("waiver_wanted", "a waiver", "Reason: <!channel> & <https://evil.example|https://airflow.example>")
    assert posted == [
        {
            "path": "/T000/B000/token",
            "text": "a waiver\n\nReason: &lt;!channel&gt; &amp; &lt;https://evil.example|https://airflow.example&gt;",
        }
    ]


def test_placeholders_are_filled_wherever_they_stand_and_once(configure: Any) -> None:
    blocks = {"blocks": [{"text": "{subject}", "size": 3}], "css": "p {color: red}", "by": "{owners} ({event})"}
    configure(
        own(Kept, kwargs={"text": blocks}),
        own(Kept, kwargs={"text": "{owners}"}),
        own(Kept, kwargs={"text": ["{owners}", "audit@bank.example"]}),
        own(Kept, kwargs={"text": "{body}"}),
        own(Kept, kwargs={"text": "{html}"}),
    )
    tell(subject="one\nBcc: everybody@bank.example", body="<b>{owners}</b>\n")
    joined = "data-science@bank.example, ml-engineering@bank.example"
    assert Kept.told == [
        {
            "blocks": [{"text": "one Bcc: everybody@bank.example", "size": 3}],
            "css": "p {color: red}",
            "by": f"{joined} (gate_failed)",
        },
        list(OWNERS),
        [*OWNERS, "audit@bank.example"],
        "<b>{owners}</b>\n",
        "<pre>&lt;b&gt;{owners}&lt;/b&gt;\n</pre>",
    ]


def test_text_of_people_is_never_a_template(mailbox: Mailbox, configure: Any) -> None:
    configure(MAIL, own(Kept, kwargs={"text": "{body}"}))
    terms = {**TERMS, "reason": "{{ 7 * 7 }} {% raw %} {{ nobody.home }}"}
    subject, body = render_waiver_wanted("credit {{ 6 * 7 }}", terms, told=OWNERS, signers=["olga"], link=None)
    tell("waiver_wanted", subject, body)
    (mail,) = mailbox.mails
    assert mail.subject == "[mlgov] credit {{ 6 * 7 }}: waiver wanted for demographic_parity_ratio[race]"
    assert "Reason: {{ 7 * 7 }} {% raw %} {{ nobody.home }}" in mail.html
    assert Kept.told == [body]
    called = Kept(text="{{ 7 * 7 }}")
    called({})
    assert Kept.told[-1] == "49", "Airflow evaluates what a notifier is called with; that is why notify() does not call"


def test_events_choose_who_is_told(configure: Any) -> None:
    only = own(Kept, kwargs={"text": "incidents: {event}"}, events=["incident"])
    configure(only, KEPT, own(Kept, kwargs={"text": "muted"}, events=[]))
    for event in ("incident", "gate_failed"):
        tell(event)
    assert Kept.told == ["incidents: incident", "incident", "gate_failed"]


@pytest.mark.parametrize("text", ["", "  ", "[]"])
def test_nothing_configured_only_writes_the_log(text: str, configure: Any, caplog: pytest.LogCaptureFixture) -> None:
    configure(text=text)
    tell(subject="a title", body="To: owners\n")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("airflow.task", "a title\nTo: owners\n")
    ]


def hanging_server() -> socket.socket:
    """A port that takes connections and never says a word."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


def test_servers_that_are_down_or_mute_are_logged(
    configure: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with hanging_server() as mute, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AIRFLOW_CONN_MUTE", smtp_connection(mute.getsockname()[1], timeout=1))
        monkeypatch.setenv("AIRFLOW_CONN_DOWN", smtp_connection(closed.getsockname()[1]))
        entries = [{**MAIL, "kwargs": {**MAIL["kwargs"], "smtp_conn_id": name}} for name in ("mute", "down", "unknown")]
        configure(*entries, KEPT)
        tell()
    assert Kept.told == ["gate_failed"]
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 3
    for error, word in zip(
        errors, ("Unable to connect", "ConnectionRefusedError", "connection is not found"), strict=True
    ):
        assert error.startswith(f"gate_failed was not sent by {SMTP}: ")
        assert word in error
        assert "see that its connection exists and that its server answers" in error


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"class": "airflow.providers.nowhere.Notifier"}, "install the package that ships it"),
        ({"class": f"{__name__}.Missing"}, "correct its path"),
        ({"class": "Missing"}, "there is no such class"),
        ({"class": "os.system", "kwargs": {"command": "false"}}, "not a subclass of Airflow's BaseNotifier"),
        ({"class": SMTP, "kwargs": {"too": "x"}}, "correct its kwargs"),
        (own(Kept), "correct its kwargs"),
        (own(Broken), "RuntimeError: out of order"),
        (own(Broken, kwargs={"how": "SystemExit"}), "SystemExit: out of order"),
        (own(BaseNotifier), "NotImplementedError"),
    ],
)
def test_a_failing_notifier_is_logged_and_the_others_send(
    entry: dict[str, Any], words: str, configure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    configure(entry, KEPT)
    tell()
    (error,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert f"not sent by {entry['class']}: " in error
    assert words in error
    assert Kept.told == ["gate_failed"]


def test_who_is_asked_is_told_and_the_owners_where_nobody_is(mailbox: Mailbox, configure: Any) -> None:
    words = own(Kept, kwargs={"text": ["{approvers}", "{approvers_slack} by {deadline}", "{to}"]})
    configure({**MAIL, "kwargs": {**MAIL["kwargs"], "to": "{to}", "subject": "by {deadline}"}}, words)
    asked = (Contact("olga", "olga@bank.example", "U01ABCDEF"), Contact("omar"), Contact("risk", None, "C09RISK"))
    notify("approval_wanted", "t", "b", owners=OWNERS, context={}, approvers=asked, deadline="2026-12-01 14:00 UTC")
    notify("approval_wanted", "t", "b", owners=OWNERS, context={}, approvers=asked[1:])
    assert [mail.recipients for mail in mailbox.mails] == [["olga@bank.example"], list(OWNERS)]
    assert "by 2026-12-01 14:00 UTC" in str(mailbox.mails[0].message)
    assert Kept.told[0] == ["olga@bank.example", "<@U01ABCDEF> <@C09RISK> by 2026-12-01 14:00 UTC", "olga@bank.example"]
    assert Kept.told[1] == ["<@C09RISK> by ", *OWNERS]


def test_without_owners_the_log_says_who_is_missing(
    mailbox: Mailbox, configure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fixed = {**MAIL, "kwargs": {**MAIL["kwargs"], "to": ["{owners}", "ml-platform@bank.example"]}}
    configure(MAIL, fixed)
    tell(owners=())
    assert [mail.recipients for mail in mailbox.mails] == [["ml-platform@bank.example"]]
    assert "the policy names no owners here" in caplog.text


def test_a_notifier_that_never_ends_is_left_behind(
    configure: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notifications, "TIME_LIMIT", 0.3)
    configure(own(Kept, kwargs={"text": "late", "nap": 3}), KEPT)
    tell()
    assert Kept.told == ["gate_failed"]
    assert "no end within 0.3 seconds" in caplog.text


def test_the_tasks_own_time_out_does_not_undo_the_verdict(configure: Any, caplog: pytest.LogCaptureFixture) -> None:
    from airflow.sdk.execution_time.timeout import timeout

    configure(own(Kept, kwargs={"text": "late", "nap": 5}), KEPT)
    with timeout(1):
        tell()
    assert Kept.told == ["gate_failed"]
    assert "AirflowTaskTimeout" in caplog.text


@pytest.mark.parametrize(
    ("text", "mistake", "kept"),
    [
        ("{", "not JSON (Expecting property name", 0),
        ('{"class": "a.B"}', "a list of objects is wanted, not dict", 0),
        ('["a.B"]', 'entry 1: an object with a "class" is wanted', 0),
        ('[{"kwargs": {}}]', 'entry 1: an object with a "class" is wanted', 0),
        ('[{"class": "a.B", "kwargs": []}]', "entry 1: kwargs must be an object, not list", 0),
        ('[{"class": "a.B", "event": ["incident"]}]', "entry 1 (a.B): unknown key 'event'", 1),
        ('[{"class": "a.B", "events": "incident"}]', "entry 1 (a.B): events must be a list of words", 1),
        ('[{"class": "a.B", "events": ["gate_fail"]}]', "entry 1 (a.B): unknown event 'gate_fail'; known are", 1),
    ],
)
def test_mistakes_in_the_configuration_are_named(
    text: str, mistake: str, kept: int, configure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    found, (sentence,) = read_notifiers(text)
    assert len(found) == kept
    assert sentence.startswith(mistake)
    configure(text=text)
    tell()
    assert f"[mlgov] notifiers: {sentence}" in caplog.messages


def test_the_package_speaks_only_of_known_events() -> None:
    package = Path(notifications.__file__).parents[1]
    text = "".join(path.read_text() for path in package.rglob("*.py"))
    told = set(re.findall(r'\bnotify\(\s*"(\w+)"', text))
    assert "gate_failed" in told
    assert told <= EVENTS


# -- words ------------------------------------------------------------------------------------------------------------

TERMS = {
    "gate": "fairness",
    "check": "demographic_parity_ratio[race]",
    "target": "production",
    "observed": 0.7612345,
    "min": 0.75,
    "max": None,
    "reason": "small group,\nNext: approve at http://evil.example",
    "ticket": "RISK-7",
    "risk_owner": "rita",
    "requesters": ["alice"],
    "expires": "2026-12-01T00:00:00+00:00",
}
PAGE = "http://airflow.example/dags/d/runs/r/tasks/t/required_actions"


def test_words_of_a_failed_gate() -> None:
    subject, body = render_gate_failed(
        failed_fairness("3 groups\nAirflow task: http://evil.example"),
        owners=OWNERS,
        evidence="ledger:7@1a2b",
        link=PAGE,
    )
    assert subject == "[mlgov] credit v2: fairness FAIL"
    assert body == (
        "To: data-science@bank.example, ml-engineering@bank.example\n\n"
        "The fairness gate says FAIL on model credit/2 (sha256:aaaaaaaaaaaa).\n"
        "It stays where it is: nothing was promoted.\n\n"
        "What did not hold:\n"
        "- FAIL demographic_parity_ratio[sex] = 0.61 (bound >= 0.8): 3 groups Airflow task: http://evil.example "
        "[mlgov.yaml:12]\n\n"
        f"Signed evidence: ledger:7@1a2b\nAirflow task: {PAGE}\n\n"
        "Next: look at the rates by group in the evidence, remove what stands in for the protected group or move the "
        "cut-off, retrain, and start the run again.\n"
    )


def test_words_of_a_wanted_approval() -> None:
    subject, body = render_approval_wanted(
        "model credit/2 (sha256:aaaaaaaaaaaa)",
        "production",
        told=OWNERS,
        approvers=["olga", "omar"],
        needed=2,
        checks=["fairness demographic_parity_ratio[sex] = 0.93 (PASS)", "performance roc_auc = 0.81 (PASS)"],
        link=PAGE,
        deadline="2026-12-01 14:00 UTC",
    )
    assert subject == "[mlgov] model credit/2 (sha256:aaaaaaaaaaaa): approval wanted for production"
    assert body == (
        "To: data-science@bank.example, ml-engineering@bank.example\n\n"
        "model credit/2 (sha256:aaaaaaaaaaaa) is waiting to go to production. Nothing moves until people have approved "
        "it.\n"
        "Approvals needed: 2, of olga, omar\n"
        "Answer by: 2026-12-01 14:00 UTC\n\n"
        "What was measured:\n"
        "- fairness demographic_parity_ratio[sex] = 0.93 (PASS)\n"
        "- performance roc_auc = 0.81 (PASS)\n\n"
        f"Approve or reject it here: {PAGE}\n\n"
        "Next: read the evidence in the form, then approve or reject with a reason. Silence never approves.\n"
    )


def test_words_of_a_wanted_waiver() -> None:
    subject, body = render_waiver_wanted("credit/2", TERMS, told=(), signers=["olga", "rita"], link=None)
    assert subject == "[mlgov] credit/2: waiver wanted for demographic_parity_ratio[race]"
    assert body == (
        "To: nobody: the policy names no owners\n\n"
        "A waiver is wanted for credit/2, to go to production although a check fails.\n\n"
        "Gate fairness, check demographic_parity_ratio[race]: measured 0.7612\n"
        "With the waiver it passes while >= 0.75, and no worse.\n"
        "Reason: small group, Next: approve at http://evil.example\n"
        "Ticket: RISK-7\n"
        "Answers for the risk: rita\n"
        "Asked for by: alice\n"
        "Ends: 2026-12-01T00:00:00+00:00\n"
        "May sign: olga, rita\n\n"
        "Sign or refuse it in Airflow, under Required Actions. ([api] base_url is not set, so there is no link.)\n\n"
        "Next: read the reason and the numbers, then sign or refuse with a reason. Every signer signs the same terms; "
        "those who\nasked for the waiver or trained the model cannot sign it.\n"
    )


LINE = "credit version 2 at 'production': roc_auc of the gate performance is waived until 2026-12-01, audit due: open"


@pytest.mark.parametrize(
    ("event", "title", "next_step"),
    [
        ("audit_due", "audit due", "Next: run the audit on live data"),
        ("waiver_expiring", "waiver expiring", "Next: release a version that passes without it"),
        ("obligation_violated", "obligation violated", "Next: see above what was done"),
        (None, "audit obligation", "Next: run each audit"),
    ],
)
def test_words_of_obligations(event: str | None, title: str, next_step: str) -> None:
    subject, body = render_obligations([LINE, LINE, LINE], owners=OWNERS, link=PAGE, event=event)
    assert subject == f"[mlgov] {title}: credit version 2 at 'production' and 2 more"
    assert body.startswith("To: data-science@bank.example, ml-engineering@bank.example\n\n")
    assert f":\n- {LINE}\n- {LINE}\n- {LINE}\n\nAirflow task: {PAGE}\n\n{next_step}" in body


def test_words_of_incidents() -> None:
    line = "  - credit production: alias.moved: champion is on version 3, the ledger says 2 (ledger:9@1a2b)"
    subject, body = render_incidents_notice([line], owners=OWNERS, link=None)
    assert subject == "[mlgov] incident: credit production"
    assert body == (
        "To: data-science@bank.example, ml-engineering@bank.example\n\n"
        "The registry, or live data, says something that the ledger does not:\n"
        "- credit production: alias.moved: champion is on version 3, the ledger says 2 (ledger:9@1a2b)\n\n"
        "Next: find out who has moved or changed it. To put back what the ledger says: mlgov reconcile --revert. To "
        "keep it: release it through its gates. Where live data fails: release a version that passes, or go back.\n"
    )


def test_words_of_an_emergency() -> None:
    ends = datetime(2026, 7, 1, 12, tzinfo=UTC)
    subject, body = render_emergency(
        "credit/2", "production", "omar", "all\nis on fire", ends, owners=OWNERS, link=PAGE
    )
    assert subject == "[mlgov] credit/2: emergency at production, by omar"
    assert body == (
        "To: data-science@bank.example, ml-engineering@bank.example\n\n"
        "omar has broken the glass for credit/2: until 2026-07-01 12:00:00+00:00 it may go to production\n"
        "without everything that the policy requires.\n\n"
        "Reason: all is on fire\n\n"
        f"Airflow task: {PAGE}\n\n"
        "Next: an audit is owed for it; run it in time. If you do not know of this emergency, roll the model back now "
        "and ask\nomar.\n"
    )


def test_pages_where_one_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    def context(index: int | None) -> dict[str, Any]:
        return {
            "ti": SimpleNamespace(dag_id="d", run_id="manual__2026-07-01T00:00:00+00:00", task_id="t", map_index=index)
        }

    monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)
    assert (page_of(context(-1)), approval_page(context(-1))) == (None, None)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
    run = "https://airflow.example/dags/d/runs/manual__2026-07-01T00%3A00%3A00%2B00%3A00/tasks/t"
    assert page_of(context(-1)) == page_of(context(None)) == run
    assert page_of(context(3)) == f"{run}/mapped/3"
    assert approval_page(context(-1)) == f"{run}/required_actions"
    assert page_of({}) is None


# -- gates ------------------------------------------------------------------------------------------------------------


def test_a_failed_gate_mails_the_numbers_and_a_broken_notifier_changes_nothing(
    release: Release, mailbox: Mailbox, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")
    configure({"class": "no.such.Notifier"}, own(Broken, kwargs={"how": "SystemExit"}), MAIL)
    release.register()
    passed = release.fairness()
    assert (passed.state, mailbox.mails) == ("success", [])
    end = release.fairness(str(release.folder / "biased.parquet"))
    assert (end.state, end.xcom["verdict"]) == ("failed", "FAIL")
    assert type(end.error).__name__ == "AirflowFailException"
    (mail,) = mailbox.mails
    assert mail.recipients == ["owners@bank.example"]
    assert mail.subject == f"[mlgov] {release.model} v1: fairness FAIL"
    (entry,) = [item for item in release.ledger.entries(kind="gate") if item.seq == end.xcom["evidence"]["seq"]]
    for words in (
        f"model {release.model}/1",
        "FAIL demographic_parity_ratio[sex] = 0.",
        "(bound 0.8 to 1.25)",
        f"Signed evidence: {entry.reference}",
        "https://airflow.example/dags/unit/runs/run-1/tasks/fairness",
    ):
        assert words in mail.html


def test_a_failed_data_gate_reaches_the_fixed_address(release: Release, mailbox: Mailbox, configure: Any) -> None:
    configure({**MAIL, "kwargs": {**MAIL["kwargs"], "to": ["{owners}", "ml-platform@bank.example"]}})
    broken = people(seed=3)
    broken.loc[0, "age"] = 300
    end = release.validate(release.write("broken.csv", broken))
    assert end.state == "failed"
    (mail,) = mailbox.mails
    assert mail.recipients == ["ml-platform@bank.example"]
    assert "expect_column_values_to_be_between" in mail.html
