"""``mlgov report`` on a real ledger and a real MLflow: files, a person who answers for one, what MLflow then shows."""

import json
from hashlib import sha256
from pathlib import Path

from airflow_mlgov.evidence.statements import ReportStatement
from airflow_mlgov.evidence.verification import verify_entry
from tests.fixtures.shell import Run
from tests.worlds.governed import Governed

MISUSED = [
    (["nobody", "--framework", "iso-42001"], "report.no_evidence"),
    (["{model}", "--framework", "iso-42002"], "framework.unknown"),
    (["{model}", "--framework", "iso-42001", "--format", "docx"], "report.format"),
    (["{model}", "--framework", "fleet"], "report.fleet"),
    (["--framework", "iso-42001"], "option.missing"),
    (["models:/{model}/1", "--framework", "iso-42001", "--version", "2"], "option.missing"),
    (["{model}", "--framework", "iso-42001", "--target", "productoin"], "policy.target_unknown"),
]


def test_a_report_is_written_for_people_and_for_machines(governed: Governed, shell: Run, tmp_path: Path) -> None:
    governed.promote(governed.candidate())
    code, out, _ = shell("report", governed.model, "--framework", "nist-ai-rmf", duty=None)
    assert code == 0
    assert out.startswith(f"# {governed.model} version 1")
    file = tmp_path / "report.json"
    code, _, _ = shell(
        "report", f"models:/{governed.model}@champion", "--framework", "iso-42001", "--out", file, duty=None
    )
    said = json.loads(file.read_text())
    assert code == 0
    assert said["model"]["hashed"] is True
    assert said["allowed"] is True
    assert shell("report", "--framework", "fleet", "--format", "json", duty=None)[0] == 0
    code, _, err = shell("report", governed.model, "--framework", "iso-42001", "--out", file, duty=None)
    assert (code, "[file.not_writable]" in err) == (2, True)


def test_what_is_misused_is_named(governed: Governed, shell: Run) -> None:
    governed.candidate()
    for words, wanted in MISUSED:
        code, _, err = shell("report", *(word.format(model=governed.model) for word in words), duty=None)
        assert (code, f"[{wanted}]" in err) == (2, True), (words, err)


def test_bytes_that_evidence_does_not_name_have_none(governed: Governed, shell: Run) -> None:
    version = governed.candidate()
    governed.promote(version)
    (governed.artifact(version) / "MLmodel").write_text("another: model\n")
    code, out, _ = shell("report", version.uri, "--framework", "nist-ai-rmf", "--format", "json", duty=None)
    said = json.loads(out)
    assert code == 0
    assert said["allowed"] is False
    assert "missing" in said["counts"]
    assert "fresh" not in {
        one["state"] for part in said["sections"] for one in part["controls"] if one["id"] == "MEASURE 2.5"
    }


def test_a_person_answers_for_a_document_and_it_is_evidence_then(
    governed: Governed, shell: Run, tmp_path: Path
) -> None:
    version = governed.candidate()
    governed.promote(version)
    file = tmp_path / "annex.html"
    words = tmp_path / "words.yaml"
    words.write_text("1(e): two racks\n")
    code, _, err = shell(
        "report", version.uri, "--framework", "annex-iv", "--words", words, "--out", file, "--person", "petra",
        duty="registration",
    )  # fmt: skip
    assert (code, "petra answers for it" in err) == (0, True)
    statement = verify_entry(governed.ledger.entries()[-1], governed.trust).statement
    assert isinstance(statement, ReportStatement)
    assert statement.document_sha256 == sha256(file.read_bytes()).hexdigest()
    assert (statement.framework, statement.person.name) == ("annex-iv", "petra")
    assert governed.explain(version).allowed
    said = json.loads(shell("report", version.uri, "--framework", "iso-42001", "--format", "json", duty=None)[1])
    states = {one["id"]: one["state"] for part in said["sections"] for one in part["controls"]}
    assert states["A.8.2"] == "fresh"


def test_a_key_of_another_duty_answers_for_nothing(governed: Governed, shell: Run, tmp_path: Path) -> None:
    version, file = governed.candidate(), tmp_path / "annex.html"
    code, _, err = shell("report", version.uri, "--framework", "annex-iv", "--out", file, duty="promotion")
    assert (code, "[signer.untrusted]" in err) == (2, True)
    assert "report" not in governed.kinds()
    assert not file.exists()


def test_a_card_is_pushed_beside_the_model_and_the_rest_of_its_description_stays(
    governed: Governed, shell: Run, tmp_path: Path
) -> None:
    version = governed.candidate()
    with governed.registry.calling("describe it") as client:
        client.update_model_version(version.name, version.version, description="Written by hand.")
    for _ in range(2):
        code, _, err = shell(
            "report", version.uri, "--framework", "model-card", "--format", "html", "--push", duty=None
        )
        assert code == 0, err
    with governed.registry.calling("look") as client:
        text = client.get_model_version(version.name, version.version).description
        path = client.download_artifacts(version.run_id, "mlgov/reports/model-card-1.html", str(tmp_path))
    assert text.startswith("Written by hand.")
    assert text.count("<!-- mlgov report model-card -->") == 1
    assert "Whether a control is met is for people to say." in text
    assert "Quantitative analyses" in Path(path).read_text()
