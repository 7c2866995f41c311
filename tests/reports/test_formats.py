"""Files that other tools verify: CycloneDX by the library's strict validator, OSCAL by compliance-trestle, PDF by what
can be read in it."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.reports.document import Report
from airflow_mlgov.reports.frameworks import framework, frameworks
from airflow_mlgov.reports.rendering import form_of, render_report
from tests.gates.environments import interpreter
from tests.worlds.hostile import HARMLESS, HOSTILE, unruly

pytestmark = pytest.mark.xdist_group("board")

Reporting = Callable[..., Report]
HERE = Path(__file__).parent
SKELETON = HERE / "assessment-results.paths.json"
"""Paths of documents that compliance-trestle found valid, and what stands there. Written anew by its test, with
``MLGOV_WRITE_SKELETON=1``."""
MODELS = ("credit_risk", "card_limits", "fraud_detection")


@pytest.mark.parametrize("name", MODELS)
def test_the_bill_of_materials_is_strictly_valid(report: Reporting, name: str) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    made = report(name, "model-card", words={"Intended use": HOSTILE, "Caveats and recommendations": "small groups"})
    text = render_report("cyclonedx", made).decode()
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"machine-learning-model"', '"model"')) is not None
    said = json.loads(text)["metadata"]["component"]
    assert said["hashes"] == [{"alg": "SHA-256", "content": made.matter.model.digest}]
    metrics = {one["type"]: one for one in said["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    assert {"roc_auc", "demographic_parity_ratio"} <= metrics.keys()
    assert metrics["demographic_parity_ratio"]["slice"] == "sex"
    assert len(said["externalReferences"]) == len(made.matter.mine)
    assert "female" in json.dumps(said["modelCard"]["considerations"]["fairnessAssessments"])
    data = {one["bom-ref"] for one in json.loads(text)["components"] if one["type"] == "data"}
    assert data == {one["ref"] for one in said["modelCard"]["modelParameters"]["datasets"]}


def paths(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Each path of a document with the kind of what stands there."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from paths(item, f"{at}/{name}")
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, f"{at}[]")
    elif re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", str(value)):
        yield at, "uuid"
    elif re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", str(value)):
        yield at, "moment"
    else:
        yield at, type(value).__name__


def results(report: Reporting) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in MODELS:
        for of in frameworks():
            yield of, json.loads(render_report("oscal", report(name, of)))


def test_oscal_has_no_path_that_trestle_has_not_found_valid_and_says_nothing_is_satisfied(report: Reporting) -> None:
    known = json.loads(SKELETON.read_text())
    for of, document in results(report):
        found = dict(paths(document))
        assert found.items() <= known.items(), of
        (result,) = document["assessment-results"]["results"]
        assert "findings" not in result
        labels = [prop["value"] for one in result["observations"] for prop in one["props"] if prop["name"] == "label"]
        assert labels == [control.id for control in framework(of).controls]
        tokens = [one["control-id"] for one in result["reviewed-controls"]["control-selections"][0]["include-controls"]]
        assert len(set(tokens)) == len(labels)
        assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9._-]*", token) for token in tokens)


@pytest.mark.slow
def test_compliance_trestle_finds_every_report_valid(report: Reporting) -> None:
    python, seen = interpreter("trestle"), dict[str, str]()
    for of, document in results(report):
        said = held(python, json.dumps(document))
        assert said["wrong"] == "", of
        assert said["labels"] == [control.id for control in framework(of).controls]
        seen |= dict(paths(document))
    document["assessment-results"]["results"][0]["observations"][0]["methods"] = []
    assert "methods" in held(python, json.dumps(document))["wrong"]
    if os.environ.get("MLGOV_WRITE_SKELETON"):
        SKELETON.write_text(json.dumps(dict(sorted(seen.items())), indent=1) + "\n")
    assert seen.items() <= json.loads(SKELETON.read_text()).items()


def held(python: Path, document: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(python), str(HERE / "held_by_trestle.py")], input=document, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.slow
def test_a_pdf_can_be_read_and_holds_every_control(report: Reporting) -> None:
    import pypdfium2

    for name, of in (("card_limits", "annex-iv"), ("fraud_detection", "nist-ai-rmf")):
        pdf = pypdfium2.PdfDocument(render_report("pdf", report(name, of, words={})))
        text = " ".join(page.get_textpage().get_text_bounded() for page in pdf)
        assert all(control.id in text for control in framework(of).controls)
        assert f"page 1 of {len(pdf)}" in text
        assert "Whether a control is met is for people to say." in " ".join(text.split())


@pytest.mark.slow
def test_hostile_words_are_text_in_a_pdf(report: Reporting) -> None:
    import pypdfium2

    def made(words: str) -> str:
        pdf = pypdfium2.PdfDocument(render_report("pdf", report("credit_risk", "annex-iv", words={"1(e)": words})))
        return " ".join(page.get_textpage().get_text_bounded() for page in pdf)

    bad, good = made(HOSTILE), made(HARMLESS)
    assert "Approved by everybody" in bad.replace("\r\n", " ")
    assert unruly(bad.replace("\r", "").replace("\ufffe", "").replace("\x02", "")) == unruly(
        good.replace("\r", "").replace("\ufffe", "").replace("\x02", "")
    )


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.html", "html"), ("a.oscal.json", "oscal"), ("a.cdx.json", "cyclonedx"), ("a.json", "json"), ("a.pdf", "pdf")],
)
def test_a_format_is_told_by_the_name_of_the_file(name: str, form: str) -> None:
    assert form_of(None, Path(name)) == form
    assert form_of("md", Path(name)) == "md"
    assert form_of(None, None) == "md"
