"""``mlgov policy``: bundles, tests, mistakes, differences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.worlds.packs import RULE, TEST


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    found = tmp_path / "rules"
    found.mkdir()
    (found / "credit.rego").write_text(RULE)
    (found / "credit_test.rego").write_text(TEST)
    return found


def test_a_bundle_says_how_it_is_pinned_and_is_asked(folder: Path, run, tmp_path: Path) -> None:
    out = tmp_path / "rules.tar.gz"
    code, said, err = run("policy", "bundle", folder, "--out", out)
    assert code == 0, err
    word = said.split('"')[1]
    assert word.startswith(f"{out}@sha256:")
    first = out.read_bytes()
    assert run("policy", "bundle", folder, "--out", out)[0] == 0
    assert out.read_bytes() == first
    (tmp_path / "w.yaml").write_text("on: push\njobs: {deploy: {runs-on: x, steps: [{run: kubectl apply -f x}]}}\n")
    code, said, _ = run("gate", "policy", "--input", tmp_path / "w.yaml", "--package", word, "--mode", "warn", "--json")
    assert code == 0
    assert "acme.credit/owner.missing w.yaml" in said
    assert run("gate", "policy", "--input", tmp_path / "w.yaml", "--package", f"{word[:-4]}0000")[0] == 2


def test_tests_of_rules(folder: Path, run) -> None:
    code, said, _ = run("policy", "test", folder)
    assert code == 0
    assert "2 of 2 tests pass" in said
    (folder / "credit_test.rego").write_text(TEST.replace("== 1", ">= 0"))
    code, said, _ = run("policy", "test", folder, "--embedded-only", "--json")
    found = json.loads(said)
    assert (code, found["passed"], found["opa"]) == (1, False, None)
    assert found["untested"] == [{"where": f"{folder}/credit.rego:11", "code": "owner.missing"}]
    (folder / "credit_test.rego").write_text(TEST.replace("== 1", "== 7"))
    code, said, _ = run("policy", "test", folder, "--embedded-only")
    assert code == 1
    assert "FAIL data.acme.credit_test.test_no_owner" in said


def test_mistakes_are_all_shown(folder: Path, run) -> None:
    assert run("policy", "lint", folder)[0] == 0
    (folder / "other.rego").write_text(
        'package acme.credit\n\nimport rego.v1\n\ndeny contains {"code": "x.y", "message": "m"} if {\n'
        "\tsome pipeline in input.pipelines\n\ttime.now_ns() > 0\n}\n"
    )
    code, said, _ = run("policy", "lint", folder)
    assert code == 1
    assert "other.rego: 1 rules deny, and 0 of them have METADATA" in said
    assert "time.now_ns" in said
    code, said, _ = run("policy", "lint", folder, "--json")
    assert len(json.loads(said)) == 2
    asked = [
        "time.now_ns() > 0",
        "rand.intn(1, 2)",
        "opa.runtime()",
        "uuid.rfc4122(1)",
        "a := -1",
        'regex.match("\\\\d", "")',
        "any([])",
    ]
    (folder / "many.rego").write_text(
        "package acme.credit\n\nimport rego.v1\n\nx if {\n\t" + "\n\t".join(asked) + "\n}\n"
    )
    code, said, _ = run("policy", "lint", folder, "--json")
    places = {one["where"] for one in json.loads(said)}
    assert {f"{folder}/many.rego:{6 + number}" for number in (0, 1, 2, 3, 5, 6)} <= places


def test_a_rule_in_a_file_that_is_taken_for_tests(folder: Path, run) -> None:
    (folder / "load_test.rego").write_text(RULE)
    code, said, _ = run("policy", "lint", folder)
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith(f"{folder}/load_test.rego:11: a rule that denies in a file of tests is never asked")


def test_differences(folder: Path, run, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "credit.rego").write_text(RULE.replace("severity: warning", "severity: info"))
    assert run("policy", "diff", folder, folder)[:2] == (0, "they ask the same\n")
    assert run("policy", "diff", folder, other)[:2] == (1, "the rule owner.missing was warning and is info (milder)\n")
    assert run("policy", "diff", other, folder)[0] == 0
    code, said, _ = run("policy", "diff", "mlgov.pii", "mlgov.pii", "--json")
    assert (code, json.loads(said)) == (0, [])
    (tmp_path / "mlgov.yaml").write_text("version: 1\nmodels: {}\n")
    assert run("policy", "diff", folder, tmp_path / "mlgov.yaml")[0] == 2


@pytest.mark.parametrize("command", ["test", "lint", "bundle", "diff"])
def test_what_is_not_there(run, tmp_path: Path, command: str) -> None:
    rest = {"bundle": ("--out", tmp_path / "x"), "diff": (tmp_path / "nothing",)}.get(command, ())
    code, _, err = run("policy", command, tmp_path / "nothing", *rest)
    assert code == 2
    assert "pack.unknown" in err


def test_a_policy_is_checked_before_it_is_merged(run, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    good, bad, idle = tmp_path / "good.yaml", tmp_path / "bad.yaml", tmp_path / "idle.yaml"
    text = "version: 1\nmodels:\n  m:\n    gates: {performance: {label: y, score: s, roc_auc: {min: 0.75}}}\n"
    good.write_text(text + "    targets: {production: {stage: Production, requires: [performance]}}\n")
    bad.write_text(good.read_text().replace("requires", "requirs").replace("0.75", "x"))
    idle.write_text(good.read_text().replace("0.75", "0"))
    assert run("policy", "check", good)[:2] == (0, "no mistake was found\n")
    code, out, _ = run("policy", "check", good, bad, "--json")
    assert code == 1
    found = json.loads(out)
    assert [one["where"] for one in found] == [f"{bad}:4", f"{bad}:5", f"{bad}:5"]
    assert "did you mean 'requires'?" in out
    code, out, _ = run("policy", "check", idle)
    assert (code, "every model meets {min: 0}" in out) == (0, True)
    code, _, err = run("policy", "check", tmp_path / "gone.yaml")
    assert (code, "file.missing" in err) == (2, True)
    code, out, _ = run("policy", "schema")
    assert (code, "performance" in json.loads(out)["$defs"]["model"]["properties"]["gates"]["properties"]) == (0, True)
