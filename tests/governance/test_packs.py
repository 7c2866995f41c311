"""The shipped packs, tested in both engines; packs of one's own, pinned; and what no pack may be."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.governance.pack_tests import find_opa, run_tests
from airflow_mlgov.governance.packs import Pack, ask, in_force_from, load_pack, open_pack, shipped
from tests.codes import raises_code
from tests.worlds.packs import RULE, TEST


def made(tmp_path: Path, rule: str = RULE, test: str = TEST) -> Pack:
    tmp_path.chmod(0o755)
    (tmp_path / "credit.rego").write_text(rule)
    if test:
        (tmp_path / "credit_test.rego").write_text(test)
    return open_pack(tmp_path)


def test_what_is_shipped() -> None:
    assert shipped() == ("mlgov.model", "mlgov.monitoring", "mlgov.pii", "mlgov.pipeline")


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_pack_says_the_same_in_both_engines_and_each_rule_is_needed_by_a_test(name: str) -> None:
    pack = load_pack(name)
    found = run_tests(pack, find_opa())
    assert (found.failed, found.told_apart, found.untested, found.not_covered) == ((), (), (), {})
    assert found.passed
    assert found.coverage == 1
    assert len(found.results) >= len(pack.rules)
    assert all(rule.controls and rule.title and rule.mend for rule in pack.rules)


def test_the_decision_is_the_same_for_the_same_rules(tmp_path: Path) -> None:
    pack = made(tmp_path)
    assert load_pack(f"{tmp_path.name}@sha256:{pack.digest}", tmp_path.parent).rules == pack.rules
    with raises_code(ConfigurationError, "pack.digest"):
        load_pack(f"{tmp_path.name}@sha256:{'0' * 64}", tmp_path.parent)
    (tmp_path / "credit.rego").write_text(RULE + "# another\n")
    with raises_code(ConfigurationError, "pack.digest"):
        load_pack(f"{tmp_path.name}@sha256:{pack.digest}", tmp_path.parent)


def test_a_pack_of_ones_own_is_asked(tmp_path: Path) -> None:
    answer = ask(made(tmp_path), {"pipelines": [{"name": "a"}, {"name": "b", "owner": "c"}]})
    assert [(one.code, one.term) for one in answer.findings] == [("owner.missing", "a")]
    assert answer.name == "acme.credit"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("package acme.credit\n\nimport rego.v1\n\nallow if true\n", "pack.package"),
        (RULE.replace("# METADATA\n", "# METADATE\n"), "pack.metadata"),
        (RULE.replace('#   mend: "name an owner"\n', ""), "pack.metadata"),
        (RULE.replace("owner.missing\n", "Owner\n"), "pack.metadata"),
        (RULE.replace("severity: warning", "severity: harmless"), "pack.metadata"),
        (RULE.replace("  mend", "  mildest: enforce\n#   mend"), "pack.metadata"),
        (RULE.replace("  mend", "  mildest: never\n#   mend"), "pack.metadata"),
        (RULE.replace("# title: The", "# title: [The"), "pack.metadata"),
        (RULE.replace("deny contains", "\ndeny contains"), "pack.metadata"),
        (RULE + '  deny contains {"code": "owner.missing", "message": "m"} if input.pipelines\n', "pack.metadata"),
        (RULE.rstrip() + ' deny contains {"code": "owner.missing", "message": "m"} if 1 > 0\n', "pack.metadata"),
        (RULE + '\ndeny contains {"code": "owner.missing", "message": "m"}\n', "pack.metadata"),
        (
            RULE + RULE.partition("rego.v1\n")[2].replace("  mend", "  effective_on: 2099-01-01\n#   mend"),
            "pack.metadata",
        ),
    ],
)
def test_what_is_no_pack(tmp_path: Path, rule: str, code: str) -> None:
    pack = made(tmp_path, rule)
    with raises_code(ConfigurationError, code):
        assert pack.package
        assert pack.rules


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (RULE.replace('"term": pipeline.name', '"term": 1'), "pack.finding"),
        (RULE.replace('"message": "nobody owns it", ', ""), "pack.finding"),
        (RULE.replace('{"code": "owner.missing"', '{"code": "owner.other"'), "pack.finding"),
        (RULE.replace('"term": pipeline.name', '"value": pipeline.name'), "pack.finding"),
        (RULE.replace("pipeline.owner", "unknown.owner"), "pack.broken"),
        (RULE.replace("not pipeline.owner", 'not http.send({"url": "x", "method": "get"})'), "pack.broken"),
    ],
)
def test_rules_that_say_what_is_no_finding(tmp_path: Path, rule: str, code: str) -> None:
    with raises_code(ConfigurationError, code):
        ask(made(tmp_path, rule), {"pipelines": [{"name": "a"}]})


def test_rules_are_not_asked_of_what_is_not_there(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "pack.input"):
        ask(made(tmp_path), {"features": []})
    with raises_code(ConfigurationError, "pack.input"):
        ask(made(tmp_path, RULE.replace("input.pipelines", 'input["pipelines"]')), {"features": []})


@pytest.mark.parametrize(
    "reading",
    [
        "some pipeline in doc.pipelines",
        'some part in ["pipelines"]\n\tsome pipeline in input[part]',
        "whole := input\n\tsome pipeline in whole.pipelines",
        'some pipeline in object.get(input, "pipelines", [])',
    ],
)
def test_rules_that_hide_what_they_read_are_asked_of_everything(tmp_path: Path, reading: str) -> None:
    rule = RULE.replace(
        "import rego.v1\n", "import rego.v1\n\nimport input as doc\n" if "doc" in reading else "import rego.v1\n"
    )
    pack = made(tmp_path, rule.replace("some pipeline in input.pipelines", reading))
    assert pack.reads == {"pipelines", "features", "model"}
    with raises_code(ConfigurationError, "pack.input"):
        ask(pack, {"features": []})


def test_what_a_comment_names_is_not_read(tmp_path: Path) -> None:
    assert made(tmp_path, RULE + "\n# input.features\n").reads == {"pipelines"}


def test_metadata_in_a_text_or_with_the_line_ends_of_windows(tmp_path: Path) -> None:
    assert made(tmp_path, RULE.replace("\n", "\r\n")).rules[0].code == "owner.missing"
    hidden = RULE.replace("# METADATA", "text := `\n# METADATA").replace('owner"\n', 'owner"\n`\n')
    with raises_code(ConfigurationError, "pack.metadata"):
        assert made(tmp_path, hidden).rules


def test_a_name_that_is_near(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "pack.unknown", match=re.escape("mlgov.pii")):
        load_pack("mlgov.pi")
    for name in ("mlgov.pii", "mlgov"):
        renamed = made(tmp_path, RULE.replace("acme.credit", name), "")
        with raises_code(ConfigurationError, "pack.package"):
            load_pack(f"{tmp_path.name}@sha256:{renamed.digest}", tmp_path.parent)


def test_a_folder_may_be_a_bundle_and_holds_no_link(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "other.rego").symlink_to(tmp_path / "credit.rego")
    with raises_code(ConfigurationError, "pack.link"):
        open_pack(tmp_path)
    (tmp_path / "other.rego").unlink()
    (tmp_path / "sub").symlink_to(tmp_path.parent)
    with raises_code(ConfigurationError, "pack.link"):
        open_pack(tmp_path)


def test_a_rule_that_no_test_needs(tmp_path: Path) -> None:
    found = run_tests(made(tmp_path, test=TEST.replace("count(found) == 1", "count(found) >= 0")))
    assert all(found.results.values())
    assert [one.code for one in found.untested] == ["owner.missing"]
    assert not found.passed


def test_tests_that_fail_or_are_not_there(tmp_path: Path) -> None:
    found = run_tests(made(tmp_path, test=TEST.replace("== 1", "== 2")), find_opa())
    assert found.failed == ("data.acme.credit_test.test_no_owner",)
    assert found.told_apart == ()
    (tmp_path / "credit_test.rego").unlink()
    with raises_code(ConfigurationError, "pack.no_tests"):
        run_tests(open_pack(tmp_path))


def test_a_pack_that_would_take_all_time_to_parse_is_not_tested(tmp_path: Path) -> None:
    deep = RULE + f"x := {'[' * 40}{']' * 40}\n"
    with raises_code(ConfigurationError, "pack.broken", match="nested 40 levels"):
        run_tests(made(tmp_path, deep))


def test_from_when_on_a_rule_is_in_force() -> None:
    assert in_force_from("2027-01-01") == datetime(2027, 1, 1, tzinfo=UTC)
    assert in_force_from("2027-01-01T12:00:00+02:00") == datetime(2027, 1, 1, 10, tzinfo=UTC)
    for said in (None, "soon", "2027-13-01", "", 5):
        assert in_force_from(said) is None
