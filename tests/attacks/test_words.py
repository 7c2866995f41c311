"""Words that people, files and data may choose, made hostile in every field at once: everywhere they stay words."""

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.pack import write_pack
from airflow_mlgov.evidence.signing import TrustRoot, open_signer
from airflow_mlgov.evidence.statements import ApprovalStatement, GateStatement, Person
from airflow_mlgov.gates.report import render_junit, render_markdown, render_report
from airflow_mlgov.notifications import words as mail
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, Subject
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.shell import Run
from tests.worlds.exceptions import EXCEPTIONS, Exceptions
from tests.worlds.governed import Governed
from tests.worlds.hostile import HARMLESS, HOSTILE, same_shape, spoken, unruly
from tests.worlds.samples import MODEL, STATEMENTS

COMMANDS = (("ledger", "verify"), ("obligations",), ("replay",))


def said_everywhere(folder: Path, words: str, run: Run) -> dict[str, str]:
    """A ledger in which every kind of statement says these words wherever it may: what each command prints of it."""
    folder.mkdir()
    url, trust, written = f"sqlite:///{folder / 'ledger.db'}", TrustRoot(), 0
    ledger, keys = open_ledger(url), {}
    for make in STATEMENTS.values():
        statement, count = spoken(make(), words)
        if statement.duty not in keys:
            keys[statement.duty] = open_signer(f"local:{folder / f'key{len(keys)}.pem'}", make_key=True)
            trust = trust.with_key(keys[statement.duty].public_key, [statement.duty])
        ledger.attest(statement, keys[statement.duty])
        written += count
    assert written > 60, "the texts of statements were not found"
    trust.save(folder / "trust.json")
    model = replace(MODEL, name=words)
    write_pack(ledger, model, folder / "pack.zip")
    given = ("--ledger", url, "--trust", folder / "trust.json")
    asked = [(*command, *given) for command in COMMANDS]
    asked += [("ledger", "show", entry.seq, "--ledger", url) for entry in ledger.entries()]
    asked += [("verify", "--pack", folder / "pack.zip", "--trust", folder / "trust.json")]
    asked += [(*command, "--json") for command in asked[:3]]
    found = {}
    for number, command in enumerate(asked):
        code, out, err = run(*command)
        assert code in (0, 1), (command, err[-600:])
        found[f"{number} {command[0]}"] = f"{out}---\n{err}"
    return found


@pytest.mark.slow
def test_every_text_of_every_statement_at_the_command_line(tmp_path: Path, run: Run) -> None:
    bad = said_everywhere(tmp_path / "bad", HOSTILE, run)
    good = said_everywhere(tmp_path / "good", HARMLESS, run)
    assert sum("Approved by everybody" in text for text in bad.values()) > len(STATEMENTS)
    for name, text in bad.items():
        assert unruly(text) == [], name
        assert text.count("\n") == good[name].count("\n"), name


@pytest.mark.parametrize(
    "command",
    [
        ("verify", "--trust", "{}", "--pack", "no.zip"),
        ("verify", "{}", "--trust", "{}", "--ledger", "sqlite:///none.db"),
        ("ledger", "verify", "--ledger", "{}"),
        ("ledger", "verify", "--ledger", "sqlite:///{}.db"),
        ("gate", "data-validation", "--data", "{}.csv", "--suite", "{}"),
        ("gate", "data-validation", "--data", "{csv}", "--suite", "{suite}"),
        ("gate", "performance", "--data", "{csv}", "--label", "{}", "--bound", "{}>=1"),
        ("gate", "{}"),
        ("{}",),
        ("trust", "add", "--trust", "t.json", "--sign", "{}:x", "--duty", "fairness"),
        ("trust", "add", "--trust", "t.json", "--sign", "local:k", "--make-key", "--duty", "{}"),
        ("vault-policy", "{}"),
        ("waive", "{}", "--target", "{}", "--{}", "x"),
    ],
)
def test_arguments_and_files_at_the_command_line(
    command: tuple[str, ...], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def printed(words: str) -> str:
        with open("x.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([[words.replace("\x00", ""), "y"], ["1", words.replace("\x00", "")]])
        kwargs = {"column": words}
        Path("x.json").write_text(json.dumps({"name": words, "expectations": [{"type": words, "kwargs": kwargs}]}))
        said = words.replace("\x00", "").replace("/", ":")
        parts = [part.replace("{csv}", "x.csv").replace("{suite}", "x.json").replace("{}", said) for part in command]
        code, out, err = run(*parts)
        assert code in (1, 2), err
        return out + err

    same_shape(printed, quoted=command[-1] not in ("{}", "sqlite:///{}.db"))


def test_what_a_library_writes_to_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that forgets to call anything passes no escape either."""
    from airflow_mlgov.cli import trust

    def careless(*_: object) -> None:
        sys.stderr.write("done\r\x1b[2Kallowed\u202e\n")
        print("\x1b]0;title\x07")

    monkeypatch.setattr(trust, "say", careless)
    code, out, err = run("vault-policy", "fairness")
    assert (code, out, err) == (0, "\\x1b]0;title\\x07\n", "done\\x0d\\x1b[2Kallowed\\u202e\n")


def result_of(words: str) -> GateResult:
    checks = (
        Check(words, Outcome.FAIL, words, words, detail=words),
        Check(f"rate[{words}]", Outcome.PASS, 0.5, Bound(min=0.1, source=words), Severity.WARNING, words),
    )
    subject = Subject("model", words, "a" * 64, words, words)
    return GateResult(
        "fairness", subject, checks, inputs=(Subject("dataset", words, "b" * 64),), libraries={words: words}
    )


def test_reports_of_a_gate() -> None:
    same_shape(lambda words: result_of(words).summary())
    same_shape(lambda words: render_markdown(result_of(words)), markdown=True)
    same_shape(lambda words: render_junit(result_of(words)), html=True)
    same_shape(lambda words: render_report(result_of(words)), html=True)


def test_figures_of_a_report() -> None:
    from airflow_mlgov.gates.fairness.plots import draw_rates

    def drawn(words: str) -> str:
        check = Check(f"demographic_parity_ratio[{words}]", Outcome.FAIL, 0.5, Bound(min=0.8))
        rates = {words: {words: {"selection_rate": 0.5}, "b": {"selection_rate": 1.0}}}
        figures = draw_rates([check], {"rates": rates, "intervals": {words: {words: {}, "b": {}}}}, 0.95)
        return render_report(result_of(words), figures)

    same_shape(drawn, html=True)


NOTICES: dict[str, Callable[[str], tuple[str, str]]] = {
    "gate_failed": lambda w: mail.render_gate_failed(result_of(w), owners=[w], model=w, evidence=w, link=w),
    "approval": lambda w: mail.render_approval_wanted(
        w, w, told=[w], approvers=[w], needed=1, checks=[w, w], link=None
    ),
    "waiver": lambda w: mail.render_waiver_wanted(
        w,
        {"gate": w, "check": w, "target": w, "observed": 0.5, "min": 0.4, "max": None, "reason": w, "ticket": w}
        | {"risk_owner": w, "requesters": [w], "expires": w},
        told=[w],
        signers=[w],
        link=w,
    ),
    "obligations": lambda w: mail.render_obligations([w, w], owners=[w], link=w, event="audit_due"),
    "incidents": lambda w: mail.render_incidents_notice([w], owners=[w], link=w),
    "emergency": lambda w: mail.render_emergency(w, w, w, w, w, owners=[w], link=w),
}


@pytest.mark.parametrize("notice", NOTICES)
def test_subject_and_body_of_a_notification(notice: str) -> None:
    same_shape(lambda words: "\n".join(NOTICES[notice](words)))
    assert "\n" not in NOTICES[notice](HOSTILE)[0]


def test_a_notification_in_the_log_in_a_mail_and_in_a_chat(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow_mlgov import notifications

    sent: list[dict[str, str]] = []
    monkeypatch.setattr(notifications, "_notifiers_of", lambda _: [notifications.Notifier("x", {}, None)])
    monkeypatch.setattr(notifications, "_send", lambda _, words, *__: sent.append(dict(words)))
    for words in (HOSTILE, HARMLESS):
        subject, body = mail.render_incidents_notice([words], owners=["o"], link=None)
        notifications.notify("incident", subject, body + words.splitlines()[0], owners=[words], context={})
    bad, good = sent
    logged = [record.getMessage() for record in caplog.records]
    assert len(logged) == 2
    assert logged[0].count("\n") == logged[1].count("\n")
    for text in (*bad.values(), *logged):
        assert unruly(text) == []
    for place in ("subject", "body", "html", "chat", "owners"):
        assert bad[place].count("\n") == good[place].count("\n"), place
    assert "<" not in bad["chat"]
    assert not set("*`~") & set(bad["chat"])
    assert bad["html"].count("<") == good["html"].count("<") == 2


class Told:
    """A governed model about which hostile things were said, and the forms in which people read them."""

    def __init__(self, governed: Governed, words: str) -> None:
        self.governed, self.words = governed, words
        people = f"[olga, omar, {json.dumps(words)}]"
        policy = governed.policy_file.read_text() + EXCEPTIONS.replace("[Olga, omar, tom, rita]", people)
        governed.policy_file.write_text(policy)
        self.exceptions = Exceptions.__new__(Exceptions)
        self.exceptions.governed, self.exceptions.version = governed, governed.register()
        checks = (
            Check(f"roc_auc[{words}]", Outcome.FAIL, 0.7, Bound(min=0.75)),
            Check(words, Outcome.PASS, words, words),
        )
        checks += (Check("roc_auc", Outcome.FAIL, 0.72, Bound(min=0.75), detail=words),)
        result = GateResult("performance", self.subject, checks, evaluation_digest="e" * 64)
        governed.attest("performance", GateStatement.of(result, governed.context()))

    @property
    def subject(self) -> Subject:
        return self.governed.registry.subject(self.exceptions.version)

    def forms(self) -> str:
        from airflow_mlgov.operators.waiver import render_terms
        from airflow_mlgov.release.approvals import render_case

        words = self.words
        terms = self.exceptions.terms(reason=words, ticket=words, risk_owner=words, requesters=(words, "rita"))
        self.exceptions.sign(terms, "olga", "omar")
        case = self.exceptions.case()
        for approved in (True, False):
            answer = ApprovalStatement(
                case.model,
                self.governed.context(),
                target="production",
                approver=Person(words, words),
                approved=approved,
                reason=words,
                shown=tuple(case.decision.needed),
                answered_at=datetime.now(UTC),
                requesters=(words,),
            )
            self.governed.attest("approval", answer)
        return f"{render_terms(terms, 2, frozenset([words]))}\n\n{render_case(self.exceptions.case())}"


def test_forms_in_which_people_answer(tmp_path: Path, mlflow_server: MlflowServer) -> None:
    def made(words: str) -> str:
        folder = tmp_path / str(len(words))
        folder.mkdir()
        typed = words.replace("\0", "")  # what nobody can type: it is refused before
        return Told(Governed(folder, mlflow_server), typed).forms()

    same_shape(made, markdown=True)


def test_an_error_that_quotes_hostile_words_is_one_line() -> None:
    from airflow_mlgov import errors

    for kind in (errors.ConfigurationError, errors.DependencyError, errors.EvidenceError):
        same_shape(lambda words, kind=kind: str(kind(f"no such {words}", code="file.missing")))  # type: ignore[misc]
    same_shape(lambda words: errors.PromotionRefused("no", [("a.b", words), (words, words)]).coded)


def test_a_task_fails_in_the_lines_that_we_wrote() -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    from airflow_mlgov.errors import PromotionRefused
    from airflow_mlgov.operators.base import final, task_errors

    def failed(words: str) -> str:
        with pytest.raises(AirflowFailException) as caught, task_errors():
            raise PromotionRefused(f"{words} is refused", [("gate.not_passed", words)])
        return f"{caught.value}\n{final(words, words)}"

    same_shape(failed)
