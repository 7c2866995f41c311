"""From a run to production without Airflow: register, judge, read, approve, promote, each a command."""

import json
from pathlib import Path

import pytest

from airflow_mlgov.data.source import subject_of
from airflow_mlgov.evidence.verification import collect
from tests.fixtures.shell import Run, at_a_terminal
from tests.worlds.governed import PASSED, Governed, statement_of
from tests.worlds.release import people

APPROVED = "        approvals: {count: 1, from: [olga], not: [trainer, requester]}\n"


@pytest.fixture
def approving(governed: Governed, run: Run) -> Governed:
    """Olga has to approve, and has a key of her own."""
    governed.policy_file.write_text(governed.policy_file.read_text() + APPROVED)
    words = ["trust", "add", "--trust", governed.trust_file, "--person", "olga", "--duty", "approval"]
    assert run(*words, "--sign", f"local:{governed.folder / 'olga.pem'}", "--make-key")[0] == 0
    return governed


def test_a_model_goes_to_production_by_commands_alone(approving: Governed, shell: Run, tmp_path: Path) -> None:
    run_id, data = approving.server.log_model(), tmp_path / "train.csv"
    data.write_text("a,b\n1,2\n")
    words = ["register", approving.model, "--run", run_id, "--dataset", data, "--trainer", "tom"]
    code, out, err = shell(*words, "--image", f"ghcr.io/x/y@sha256:{'a' * 64}", "--json", duty="registration")
    assert code == 0, err
    made = json.loads(out)
    said = statement_of(approving.ledger.get(made["evidence"]["seq"]).envelope)
    assert said["subject"][0]["digest"]["sha256"] == made["digest"]
    provenance = approving.ledger.entries(kind="provenance")
    assert [entry.subject_digest for entry in provenance] == [made["digest"]]
    assert subject_of(str(data)).digest in json.dumps(said["predicate"])
    version = approving.registry.resolve(f"models:/{approving.model}/{made['version']}")
    assert version.tags["mlgov.provenance"].startswith("ledger:1@")
    code, out, _ = shell(*words, duty="registration")
    assert (code, f"models:/{approving.model}/1 is registered" in out) == (0, True)

    people().rename(columns={"score": "s"}).to_csv(tmp_path / "p.csv", index=False)
    gate = ["gate", "performance", "--model", version.uri, "--data", tmp_path / "p.csv"]
    assert shell(*gate, duty="performance", leave_out=("--trust",))[0] == 0

    ask = ["approve", version.uri, "--target", "production"]
    code, out, err = shell(*ask, duty="olga")
    assert (code, "roc_auc" in out, "nothing was signed" in err) == (2, True, True)
    shown = out.rsplit("evidence ", 1)[1].strip()
    code, _, err = shell(*ask, "--evidence", shown, duty="olga")
    assert (code, "[approval.reason_missing]" in err) == (2, True)
    code, _, err = shell("promote", version.uri, "--target", "production")
    assert (code, "approval.missing" in err) == (1, True)
    code, out, err = shell(*ask, "--evidence", shown[:16], "--reason", "read it", duty="olga")
    assert (code, "it may be promoted" in out) == (0, True), err
    assert shell("promote", version.uri, "--target", "production", "--requester", "rita")[0] == 0
    assert approving.places()[version.version] == PASSED


def test_whoever_sits_at_a_terminal_reads_and_is_asked(approving: Governed, monkeypatch: pytest.MonkeyPatch) -> None:
    server, version = approving.server, approving.candidate()
    said = {"TRACKING_URI": server.url, "TRACKING_USERNAME": server.username, "TRACKING_PASSWORD": server.password}
    for name, value in said.items():
        monkeypatch.setenv(f"MLFLOW_{name}", value)
    monkeypatch.setenv("TERM", "dumb")
    words = [
        *("approve", version.uri, "--target", "production", "--environment", "test"),
        *("--ledger", approving.ledger_url, "--trust", approving.trust_file, "--policy", approving.policy_file),
        *("--sign", f"local:{approving.folder / 'olga.pem'}"),
    ]
    code, shown = at_a_terminal(words, "n\n")
    assert (code, "olga, do you approve" in shown, "| roc_auc" in shown) == (1, True, True), shown
    assert approving.ledger.entries(kind="approval") == []
    code, shown = at_a_terminal(words, "y\nread every line\n")
    assert (code, "for 'production' by olga" in shown) == (0, True), shown
    (answer,), _ = collect(approving.ledger.walk(), approving.trust, kind="approval")
    assert answer.statement.texts() == {"reason": "read every line"}


def test_nothing_is_there_to_approve_where_a_gate_has_not_passed(approving: Governed, shell: Run) -> None:
    version = approving.register()
    code, _, err = shell("approve", version.uri, "--target", "production", "--reason", "x", duty="olga")
    assert (code, "there is nothing to approve" in err, "evidence.missing" in err) == (1, True, True)


def test_registration_is_refused_before_anything_is_made(governed: Governed, shell: Run, tmp_path: Path) -> None:
    run_id, data = governed.server.log_model(), tmp_path / "train.csv"
    data.write_text("a\n1\n")
    words = ["register", governed.model, "--run", run_id, "--dataset", data]
    for more, duty, code in (
        ([], "fairness", "signer.untrusted"),
        (["--image", "x/y:latest"], "registration", "setting.wrong"),
        (["--artifact-path", "other"], "registration", "registry"),
    ):
        result, _, err = shell(*words, *more, duty=duty)
        assert (result, f"[{code}" in err) == (2, True), err
    assert governed.registry.versions(governed.model) == ()
    assert governed.ledger.entries() == []


def test_a_persons_key_says_whose_waiver_it_is(approving: Governed, shell: Run, run: Run) -> None:
    target = "        break_glass: {from: [olga], max_hours: 24, audit_within: 2d}\n"
    approving.policy_file.write_text(approving.policy_file.read_text() + target)
    words = ["trust", "add", "--trust", approving.trust_file, "--person", "olga", "--duty", "waiver"]
    assert run(*words, "--sign", f"local:{approving.folder / 'olga-w.pem'}", "--make-key")[0] == 0
    version = approving.register()
    glass = ["break-glass", version.uri, "--target", "production", "--reason", "outage"]
    code, out, err = shell(*glass, duty="olga-w")
    assert (code, "olga broke the glass" in out) == (0, True), err
    code, _, err = shell(*glass, "--person", "omar", duty="olga-w")
    assert code == 2, err
