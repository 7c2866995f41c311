"""What every command has: an example that a shell would take, options of one meaning, and a document where it fails."""

import json
import shlex
from collections import defaultdict
from pathlib import Path

import pytest

from airflow_mlgov.cli.examples import EXAMPLES
from airflow_mlgov.reference.commands import commands
from tests.fixtures.shell import Run
from tests.worlds.governed import Governed

COMMANDS = commands()


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_help_ends_with_examples_that_a_shell_would_take(path: str, run: Run) -> None:
    code, out, _ = run(*path.split(), "--help")
    assert code == 0
    assert "Examples:" in out
    for line in EXAMPLES[path]:
        assert line.startswith(("mlgov " + path, "source <(mlgov " + path))
        words = shlex.split(line.partition("|")[0].partition(">")[0] if " | " in line or " > " in line else line)
        known = {option for item in COMMANDS[path].params for option in (*item.opts, *item.secondary_opts)}
        given = {word for word in words if word.startswith("--")}
        assert given <= known, line
        required = {item.opts[-1] for item in COMMANDS[path].params if item.required and item.opts[-1].startswith("--")}
        assert required <= given, line


def test_no_example_is_of_a_command_that_is_not_there() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


def test_an_option_takes_the_same_wherever_it_is() -> None:
    """Of one name, all are flags, or all take a value; those that had two meanings have two names."""
    flags: dict[str, set[bool]] = defaultdict(set)
    for command in COMMANDS.values():
        for item in command.params:
            for option in item.opts:
                if option.startswith("--"):
                    flags[option].add(bool(getattr(item, "is_flag", False)))
    assert [name for name, kinds in flags.items() if len(kinds) > 1] == []
    who = {name: sorted(path for path, one in COMMANDS.items() if any(name in item.opts for item in one.params))
           for name in ("--reference", "--reference-group", "--sensitive-step", "--opa", "--opa-program")}  # fmt: skip
    assert who == {
        "--reference": ["gate data"],
        "--reference-group": ["gate fairness"],
        "--sensitive-step": ["gate policy"],
        "--opa": ["admission"],
        "--opa-program": ["policy test"],
    }


def test_the_old_name_of_an_option_is_taken_with_a_notice(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("y,p,sex\n" + "1,1,f\n0,0,f\n1,1,m\n0,0,m\n" * 30)
    words = [
        "gate",
        "fairness",
        "--data",
        tmp_path / "a.csv",
        "--label",
        "y",
        "--prediction",
        "p",
        "--sensitive",
        "sex",
    ]
    words += ["--bound", "fpr_disparity<=3", "--decide", "point"]
    old = run(*words, "--reference=sex=f")
    new = run(*words, "--reference-group", "sex=f")
    assert old[0] == new[0]
    assert old[1] == new[1]
    assert "--reference is called --reference-group now" in old[2]
    assert "is called" not in new[2]


def test_a_refusal_prints_its_document_too(governed: Governed, shell: Run, run: Run, tmp_path: Path) -> None:
    version = governed.register()
    code, out, err = shell("promote", version.uri, "--target", "production", "--json")
    said = json.loads(out)
    assert (code, said["allowed"], said["error"]["code"]) == (1, False, "promotion.refused")
    assert [reason["code"] for reason in said["reasons"]] == ["evidence.missing"]
    assert "evidence.missing" in err
    code, out, _ = shell("rollback", governed.model, "--target", "production", "--reason", "x", "--json")
    assert (code != 0, "code" in json.loads(out)["error"]) == (True, True)


@pytest.mark.parametrize(
    "path", sorted(path for path, one in COMMANDS.items() if any("--json" in p.opts for p in one.params))
)
def test_every_command_with_json_prints_one_document_where_it_fails(
    path: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    given = [
        part
        for item in COMMANDS[path].params
        if item.required
        for part in ([f"{tmp_path}/nothing"] if item.param_type_name == "argument" else [item.opts[-1], "1"])
    ]
    places = {"--ledger": f"sqlite:///{tmp_path}/none.db", "--trust": f"{tmp_path}/none.json",
              "--policy": f"{tmp_path}/none.yaml", "--sign": "nobody:1"}  # fmt: skip
    known = {option for item in COMMANDS[path].params for option in item.opts}
    words = [part for name, value in places.items() if name in known and name not in given for part in (name, value)]
    code, out, err = run(*path.split(), *given, *words, "--json")
    document = json.loads(out)
    assert document or code == 0, err


def test_a_search_finds_by_text_person_gate_and_time(governed: Governed, run: Run) -> None:
    version = governed.candidate()
    governed.approve(version, by="olga")
    where = ["--ledger", governed.ledger_url]

    def found(*words: object) -> list[str]:
        code, out, err = run("ledger", "search", *where, *words, "--json")
        assert code == 0, err
        return [entry["kind"] for entry in json.loads(out)]

    assert found() == ["provenance", "gate", "approval"]
    assert found("--person", "Olga") == ["approval"]
    assert found("--person", "tom") == ["provenance"]
    assert found("--text", "LOOKED AT") == ["approval"]
    assert found("--gate", "performance") == ["gate"]
    assert found("--gate", "fairness") == []
    assert found("--person", "olga", "--kind", "gate") == []
    assert found("--after", "2020-01-01", "--before", "2020-01-02") == []
    assert found("--after", "2020-01-01T00:00:00+00:00", "--last", "1") == ["approval"]
    assert "approval" in run("ledger", "search", *where, "--person", "olga")[1]
    code, _, err = run("ledger", "search", *where, "--after", "yesterday")
    assert (code, "[option.date]" in err) == (2, True)
