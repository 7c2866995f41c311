"""What a release is made of: the engine of rules by its hash, a list of everything, an audit that cannot pass by having
asked nobody, and the workflow that signs."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.audit import judged
from tests.licences import PROVIDER, brought
from tests.sbom import sbom

ROOT = Path(__file__).parents[1]
ENGINE = ROOT / "regorus.lock"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())


def install(requirements: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    words = ["pip", "install", "--require-hashes", "--no-deps", "--target", str(folder), "--requirement"]
    return subprocess.run([sys.executable, "-m", "uv", *words, str(requirements)], capture_output=True, text=True)


def test_the_engine_of_rules_is_the_wheel_that_has_the_pinned_hash(tmp_path: Path) -> None:
    import regorus

    (pinned,) = re.findall(r"^\S+==\S+", ENGINE.read_text(), re.MULTILINE)
    assert pinned in (ROOT / "requirements.lock").read_text().splitlines()
    done = install(ENGINE, tmp_path / "as-pinned")
    assert done.returncode == 0, done.stderr
    made = sorted(path for path in (tmp_path / "as-pinned" / "regorus").glob("*") if path.suffix in (".py", ".so"))
    assert len(made) == 2
    here = Path(regorus.__file__).parent
    assert [path.name for path in made if path.read_bytes() != (here / path.name).read_bytes()] == []

    other = tmp_path / "other.lock"
    other.write_text(re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", ENGINE.read_text()))
    done = install(other, tmp_path / "as-changed")
    assert (done.returncode, "Hash mismatch" in done.stderr) == (1, True), done.stderr


def test_make_installs_the_engine_by_its_hash_before_anything_else() -> None:
    for name in (".venv/.demo", ".venv/.test"):
        steps = (ROOT / "Makefile").read_text().split(f"\n{name}:")[1].splitlines()[1:3]
        assert (steps[0], "pip install" in steps[1]) == ("\t$(PINNED)", True)
    assert "--require-hashes" in (ROOT / "Makefile").read_text()


@pytest.mark.slow
def test_the_list_of_what_is_installed_is_cyclonedx_and_whole() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = sbom(PROVIDER, ["all"])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    listed = json.loads(text)
    root = listed["metadata"]["component"]
    assert root["name"] == PROVIDER
    names = {item["name"]: item for item in listed["components"]}
    assert set(names) == set(brought(PROVIDER, ["all"])) - {PROVIDER}
    assert all(item["purl"] == f"pkg:pypi/{name}@{item['version']}" for name, item in names.items())
    needs = {item["ref"]: item.get("dependsOn", []) for item in listed["dependencies"]}
    assert names["mlgov-core"]["bom-ref"] in needs[root["bom-ref"]]
    assert names["gordon-to-regorus"]["bom-ref"] in needs[names["mlgov-core"]["bom-ref"]]


CLEAN = {"name": "a", "version": "1", "vulns": []}
KNOWN = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
LEFT_OUT = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (1)"}


@pytest.mark.parametrize(
    ("items", "must", "code", "said"),
    [
        ([CLEAN], True, 0, "1 packages looked up, 0 vulnerabilities known"),
        ([CLEAN, KNOWN], False, 1, "b 2: PYSEC-1, mended in 3"),
        ([CLEAN, LEFT_OUT], False, 0, "not looked up: c"),
        ([CLEAN, LEFT_OUT], True, 1, "not looked up: c"),
        ([], True, 1, "0 packages looked up, 0 vulnerabilities known"),
    ],
)
def test_an_audit_tells_what_it_could_not_look_up(items: list[Any], must: bool, code: int, said: str) -> None:
    found, lines = judged({"dependencies": items}, must)
    assert (found, said in lines) == (code, True)


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_workflows_are_what_github_takes(schema: str) -> None:
    checker = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", schema]
    done = subprocess.run([*checker, *map(str, WORKFLOWS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_do_little(path: Path) -> None:
    permissions = yaml.safe_load(path.read_text())["permissions"]
    assert set(permissions.values()) <= {"read"}


def test_a_release_is_tested_listed_and_signed_by_a_job_that_runs_no_code_of_ours() -> None:
    build, publish = RELEASE["jobs"]["build"], RELEASE["jobs"]["publish"]
    assert (RELEASE["permissions"], build["permissions"]) == ({}, {"contents": "read"})
    assert publish["permissions"] == {"contents": "write", "id-token": "write", "attestations": "write"}
    assert publish["needs"] == "build"
    runs = [step["run"] for step in build["steps"] if "run" in step]
    targets = {word for run in runs for word in re.findall(r"make ([a-z.][\w./]*)", run)}
    told = (ROOT / "Makefile").read_text()
    assert targets == {".venv/.test", "audit", "dist", "sbom", "check"}
    assert all(f"\n{target}:" in told for target in targets)
    assert any("pip install" in run and "dist/*.whl" in run and "pip check" in run for run in runs)
    used = [step["uses"].partition("@")[0] for step in publish["steps"] if "uses" in step]
    assert {"actions/attest-build-provenance", "actions/attest-sbom"} < set(used)
    assert not {"actions/checkout", "actions/setup-python"} & set(used)
    assert "pypi" not in json.dumps(RELEASE)
