"""Promote, verify, roll back, reconcile, replay, export and checkpoint from a shell, on a real MLflow server."""

import json
from pathlib import Path
from typing import Any

from airflow_mlgov.evidence.statements import ProvenanceStatement
from airflow_mlgov.results import Subject
from tests.fixtures.shell import Run
from tests.worlds.governed import PASSED, Governed, statement_of
from tests.worlds.release import people


def test_a_release_and_its_way_back(governed: Governed, shell: Run, run: Run) -> None:
    first, second, bad = governed.candidate(1.0), governed.candidate(2.0), governed.register(3.0)
    code, out, _ = shell("promote", first.uri, "--target", "production", "--json")
    assert code == 0
    assert json.loads(out)["moved"]["alias"] == {"to": "champion", "previous": None}
    code, out, _ = shell("promote", second.uri, "--target", "production")
    assert code == 0
    assert "alias champion (was 1)" in out
    code, out, err = shell("promote", bad.uri, "--target", "production")
    assert code == 1
    assert "evidence.missing: no verified evidence of the gate performance" in err

    where = ["--ledger", governed.ledger_url, "--trust", governed.trust_file]
    verify = ["verify", f"models:/{governed.model}@champion", *where]
    assert run(*verify)[0] == 0
    code, out, _ = shell("rollback", governed.model, "--target", "production", "--reason", "complaints")
    assert code == 0
    assert governed.places()[first.version] == PASSED
    assert run(*verify)[0] == 0
    code, out, _ = run("verify", second.uri, *where)
    assert code == 1
    assert "promotion.superseded: 'production' was rolled back to version 1" in out

    governed.registry.set_alias(second, "champion")
    code, out, _ = shell("reconcile", "--model", governed.model, duty="reconcile")
    assert code == 1
    assert "alias.moved" in out
    code, out, _ = shell("reconcile", "--model", governed.model, "--revert", "--json", duty="reconcile")
    assert (code, json.loads(out)["incidents"][0]["action"]) == (0, "reverted")
    assert governed.places()[first.version] == PASSED

    code, out, _ = shell("replay", duty=None, leave_out=("--policy", "--environment"))
    assert code == 0
    assert out.count("the same now") == 3
    governed.policy_file.write_text(governed.policy_file.read_text().replace("0.75", "0.9"))
    code, out, _ = shell("replay", duty=None, leave_out=("--environment",))
    assert code == 1
    assert "allow then, deny under this policy" in out
    assert "does not meet the policy's >= 0.9" in out
    assert "judged: " in out
    code, out, _ = shell("replay", "--json", duty=None, leave_out=("--environment",))
    assert (code, json.loads(out)["denies"]) == (1, True)


def test_the_audit_trail_leaves_the_house(governed: Governed, shell: Run, run: Run, tmp_path: Path) -> None:
    version = governed.candidate()
    governed.promote(version)
    checkpoint, pack = tmp_path / "checkpoint.json", tmp_path / "evidence.zip"
    ledger, sign = ["--ledger", governed.ledger_url], ["--sign", f"local:{governed.folder / 'checkpoint.pem'}"]
    code, out, _ = run("ledger", "checkpoint", *ledger, *sign, "--out", checkpoint)
    assert code == 0
    assert run("ledger", "checkpoint", *ledger, *sign, "--out", checkpoint)[0] == 2
    trust = ["--trust", governed.trust_file]
    code, out, _ = run("ledger", "verify", *ledger, "--checkpoint", checkpoint, *trust)
    assert code == 0
    assert "it holds what the checkpoint of 6 entries says" in out
    assert run("ledger", "verify", *ledger, "--checkpoint", checkpoint)[0] == 2
    code, out, _ = run("ledger", "list", *ledger, "--model", governed.model, "--kind", "promotion", "--json")
    assert (code, [entry["kind"] for entry in json.loads(out)]) == (0, ["promotion"])
    code, out, err = run("ledger", "list", *ledger, "--last", "2")
    assert (code, [int(line.split()[0]) for line in out.splitlines()], "4 more" in err) == (0, [5, 6], True)
    digest = governed.registry.digest(version)
    assert len(run("ledger", "list", *ledger, "--digest", digest, "--since", "3")[1].splitlines()) == 3
    code, _, err = run("ledger", "list", *ledger, "--kind", "gates")
    assert (code, "did you mean 'gate'?" in err) == (2, True)
    code, out, _ = run("ledger", "export", *ledger, "--model", version.uri, "--out", pack, *sign)
    assert (code, out) == (0, f"{pack}: 6 of 6 entries whole, the others as links of the chain\n")
    code, out, _ = run("verify", "--pack", pack, "--artifact", governed.artifact(version), *trust, "--json")
    assert (code, json.loads(out)["notes"]) == (0, [])
    assert json.loads(out)["facts"][-1].endswith("of 6 entries")
    code, out, _ = run("verify", "--pack", pack, *trust, "--checkpoint", checkpoint)
    assert code == 0
    (tmp_path / "promotion.json").write_text(governed.ledger.entries(kind="promotion")[0].envelope)
    assert run("verify", "--pack", pack, *trust, "--checkpoint", tmp_path / "promotion.json")[0] == 0
    for words in (["--pack", pack, *ledger], [], ["models:/x/1", "--artifact", tmp_path, *ledger]):
        code, _, err = run("verify", *words, *trust)
        assert code == 2
        assert "verify takes a model with --ledger (and --into), or --pack" in err


def test_keys_are_rotated_in_the_trust_root(run: Run, tmp_path: Path) -> None:
    trust = tmp_path / "trust.json"
    for name in ("one", "two"):
        words = [
            "trust",
            "add",
            "--trust",
            trust,
            "--sign",
            f"local:{tmp_path / name}.pem",
            "--make-key",
            "--duty",
            "fairness",
        ]
        assert run(*words)[0] == 0
    code, _, err = run(*words)
    assert code == 2
    assert "is in the trust root already" in err
    shown = json.loads(run("trust", "show", "--trust", trust, "--json")[1])
    assert [row["duties"] for row in shown] == [["fairness"], ["fairness"]]
    assert shown[0]["valid_until"] > shown[1]["valid_from"]
    assert (shown[0]["valid_from"], shown[1]["valid_until"]) == (None, None)
    assert "fairness" in run("trust", "show", "--trust", trust)[1]
    code, _, err = run(*words[:-1], "fair")
    assert code == 2
    assert "unknown duty fair; known: data_validation" in err


def test_the_vault_policy_of_a_duty(run: Run) -> None:
    code, out, _ = run("vault-policy", "data_validation")
    assert code == 0
    assert 'path "transit/sign/mlgov-data-validation"' in out
    assert "promotion" not in out
    assert run("vault-policy", "nobody")[0] == 2


def test_a_version_of_a_lesser_target_may_not_serve_under_the_alias_of_another(
    governed: Governed, run: Run, shell: Run
) -> None:
    sandbox = "      sandbox: {alias: candidate, requires: [performance]}\n"
    governed.policy_file.write_text(governed.policy_file.read_text() + sandbox)
    version = governed.candidate()
    assert shell("promote", version.uri, "--target", "sandbox")[0] == 0
    governed.registry.set_alias(version, "champion")
    where = ["--ledger", governed.ledger_url, "--trust", governed.trust_file, "--policy", governed.policy_file]
    code, out, _ = run("verify", f"models:/{governed.model}@champion", *where)
    assert code == 1
    assert "promotion.missing: no verified promotion to 'production'" in out
    assert run("verify", f"models:/{governed.model}@candidate", *where)[0] == 0


def test_a_what_if_at_the_command_line_is_signed_and_makes_no_decision_better(
    governed: Governed, shell: Run, tmp_path: Path
) -> None:
    version = governed.register()
    people().rename(columns={"score": "s"}).to_csv(tmp_path / "p.csv", index=False)
    gate = ["gate", "performance", "--model", version.uri, "--data", tmp_path / "p.csv"]
    given: dict[str, Any] = {"duty": "performance", "leave_out": ("--trust",)}
    code, out, err = shell(*gate, "--what-if", **given)
    assert (code, "evidence: ledger:" in out) == (0, True), err
    said = statement_of(governed.ledger.entries(kind="gate")[-1].envelope)["predicate"]["mlgov"]
    assert said["purpose"] == "what_if"
    code, _, err = shell("promote", version.uri, "--target", "production")
    assert (code, "evidence.missing" in err) == (1, True), err
    assert shell(*gate, **given)[0] == 0
    code, out, _ = shell(*gate, "--what-if", "--bound", "roc_auc>=0.9999", **given)
    assert (code, "FAIL" in out) == (1, True)
    code, _, err = shell("promote", version.uri, "--target", "production")
    assert code == 0, err


def test_a_version_that_was_promoted_in_two_environments_is_verified_for_one(
    governed: Governed, shell: Run, run: Run, tmp_path: Path
) -> None:
    version = governed.candidate()
    where = ["--ledger", governed.ledger_url, "--trust", governed.trust_file]
    verify = ["verify", f"models:/{governed.model}@champion", *where]
    assert shell("promote", version.uri, "--target", "production")[0] == 0
    assert run(*verify)[0] == 0
    there, data = governed.context(environment="live"), Subject("dataset", "train.csv", "d" * 64)
    made = ProvenanceStatement(governed.registry.subject(version), there, (data,), ("tom",), {"run_id": "r"})
    governed.attest("registration", made)
    governed.judge(version, environment="live")
    live = ["--environment", "live"]
    code, _, err = shell("promote", version.uri, "--target", "production", *live, leave_out=("--environment",))
    assert code == 0, err
    pack = tmp_path / "pack.zip"
    assert run("ledger", "export", "--model", version.uri, "--out", pack, "--ledger", governed.ledger_url)[0] == 0
    for words in (verify, ["verify", "--pack", pack, "--trust", governed.trust_file]):
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert "was promoted in the environments live, test: name the one" in err
        assert "--environment" in err
        assert [run(*words, "--environment", name)[0] for name in ("live", "test")] == [0, 0]
    assert run(*verify, "--environment", "elsewhere")[0] == 1
    governed.judge(version, auc=0.5)
    assert [run(*verify, "--environment", name)[0] for name in ("live", "test")] == [0, 1]
