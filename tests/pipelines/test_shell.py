"""Exit codes of commands in shell scripts, held against bash itself."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_mlgov.pipelines.manifest import ExitCode
from airflow_mlgov.pipelines.shell import Script, Shell, read_script, read_words

STRICT, LOOSE = Shell("bash", errexit=True), Shell("bash", errexit=False)
KEPT = [
    "gate\nship",
    "gate || exit 1\nship",
    "gate || { echo no; exit 1; }\nship",
    "gate && ship",
    "set -o pipefail\ngate | cat\nship",
    "if gate; then ship; else exit 1; fi",
    "if ! gate; then exit 1; fi\nship",
    "x=$(gate)\nship",
    "check() { gate; }\ncheck\nship",
    "(gate)\nship",
    "bash -ec 'gate; echo'\nship",
    "env A=b timeout 60 gate\nship",
    "gate > log 2>&1\nship",
    "gate; ship",
    "gate \\\n  --more\nship",
    "gate || exit\nship",
    "gate || exit $?\nship",
    "gate || (echo no; exit 1)\nship",
    "gate || (echo no && exit 1)\nship",
    "gate || false\nship",
    "die() { echo no; exit 1; }\ngate || die\nship",
    "(cd . && gate)\nship",
    "check() { cd . && gate; }\ncheck\nship",
    "for m in a b; do gate; done\nship",
    "trap 'rc=$?; true; exit $rc' EXIT\ngate\nship",
    "trap 'exit' EXIT\ngate\nship",
    "rc=0\ngate || rc=$?\nif [ $rc -ne 0 ]; then exit $rc; fi\nship",
    "set +e\ngate\nrc=$?\nset -e\n[ $rc -eq 0 ] || exit $rc\nship",
    "eval 'gate'\nship",
    "check() { gate || return 1; }\ncheck\nship",
    'run() { "$@"; }\nrun gate\nship',
]
LOST = [
    "gate || true\nship",
    "gate || :\nship",
    "gate || echo no\nship",
    "gate || exit 0\nship",
    "gate | cat\nship",
    "set +e\ngate\nship",
    "gate &\nship",
    "export X=$(gate)\nship",
    "echo $(gate)\nship",
    "! gate\nship",
    "if gate; then echo; fi\nship",
    "if true; then gate || true; fi\nship",
    "for m in $NONE; do gate; done\nship",
    "while false; do gate; done\nship",
    "case x in y) gate;; esac\nship",
    "trap 'exit 0' EXIT\ngate\nship",
    "false || true && gate || true\nship",
    "{ gate; echo; } || exit 1\nship",
    "check() { gate; echo; }\ncheck || exit 1\nship",
    "bash -c 'gate; echo'\nship",
    "gate && echo\nship",
    "exit 0\ngate\nship",
    'if [ -z "$NONE" ]; then exit 0; fi\ngate\nship',
    '[ -z "$NONE" ] && exit 0\ngate\nship',
    "set +o errexit\ngate\nship",
    "gate | tee log || true\nship",
    "check() { return 0; gate; }\ncheck\nship",
    'check() { [ -n "$NONE" ] || return 0; gate; }\ncheck\nship',
    "f() { exit 0; }\nf\ngate\nship",
    "f() { set +e; }\nf\ngate\nship",
    "f() { trap 'exit 0' EXIT; }\nf\ngate\nship",
    "f() { exit 0; }\ntrap f EXIT\ngate\nship",
    "trap -- 'exit 0' EXIT\ngate\nship",
    "trap 'exec true' EXIT\ngate\nship",
    "exec true\ngate\nship",
    "shopt -uo errexit\ngate\nship",
    "builtin set +e\ngate\nship",
    "s'e't +e\ngate\nship",
    "set -n\ngate\nship",
    'set +e\nif [ -n "$NONE" ]; then set -e; fi\ngate\nship',
    "set +e\nset -e | cat\ngate\nship",
    '[ -n "$NONE" ] && gate\nship',
    "if gate; true; then ship; else exit 1; fi",
    '([ -n "$NONE" ] || exit 0; gate)\nship',
    "gate <<E || true\nE\nship",
    'for m in a b; do [ -z "$NONE" ] && continue; gate; done\nship',
    "exit() { :; }\ngate || exit 1\nship",
    'check() { :; }\nif [ -n "$NONE" ]; then check() { gate; }; fi\ncheck\nship',
    "set +e\n(gate || exit 1)\nship",
]


def gate_of(script: Script) -> tuple[ExitCode, bool]:
    """Whether the gate's exit code is kept, and whether ``ship`` needs its success."""
    at, gate = next((at, one) for at, one in enumerate(script.commands) if one.words[0] == "gate")
    ship = next((one for one in script.commands if one.words[0] == "ship"), None)
    return gate.exit_code, ship is None or at in ship.after


@pytest.fixture
def bash(tmp_path: Path):
    """Runs a script in which ``gate`` fails; whether the script failed, and whether it shipped."""
    for name, text in (("gate", "exit 1"), ("ship", "touch shipped")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    def run(text: str, *flags: str) -> tuple[bool, bool]:
        script = tmp_path / "script.sh"
        script.write_text(text)
        done = subprocess.run(
            ["bash", *flags, str(script)], cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True, timeout=20, check=False,
        )  # fmt: skip
        return done.returncode != 0, (tmp_path / "shipped").exists()

    return run


@pytest.mark.parametrize("text", KEPT)
def test_a_failure_that_reaches_whoever_runs_the_script(text, bash):
    assert gate_of(read_script(text, STRICT)) == (ExitCode.KEPT, True)
    assert bash(text, "-e") == (True, False)


@pytest.mark.parametrize("text", LOST)
def test_a_failure_that_is_lost(text, bash):
    code, needed = gate_of(read_script(text, STRICT))
    assert code is ExitCode.LOST
    failed, shipped = bash(text, "-e")
    assert not failed or shipped, "bash itself says that it is kept"
    assert not needed or not shipped


def test_without_errexit_only_the_last_command_counts(bash):
    assert gate_of(read_script("gate\nship", LOOSE)) == (ExitCode.LOST, False)
    assert bash("gate\nship") == (False, True)
    assert gate_of(read_script("echo\ngate", LOOSE))[0] is ExitCode.KEPT
    assert gate_of(read_script("gate && ship", LOOSE)) == (ExitCode.KEPT, True)


def test_why_and_where_are_said():
    (gate, *_) = read_script("gate || true\n", STRICT, 12).commands
    assert (gate.line, gate.why) == (12, "line 12: || true")


@pytest.mark.parametrize(
    "text",
    ["#!/usr/bin/env python\nprint('gate')", "echo 'unterminated\ngate", "if true\ngate"],
)
def test_what_cannot_be_read_is_said(text):
    script = read_script(text, STRICT, 1)
    assert script.problem
    assert all(one.exit_code is not ExitCode.KEPT for one in script.commands)


def test_a_shebang_has_its_own_flags():
    assert gate_of(read_script("#!/bin/sh\ngate\nship", STRICT))[0] is ExitCode.LOST
    assert gate_of(read_script("#!/bin/bash -e\ngate\nship", LOOSE))[0] is ExitCode.KEPT


def test_words_of_a_container():
    assert read_words(["/usr/bin/gate", "x"]).commands[0].words == ("gate", "x")
    assert gate_of(read_words(["sh", "-c", "gate; ship"])) == (ExitCode.LOST, False)
    assert gate_of(read_words(["bash", "-eo", "pipefail", "-c", "gate | cat; ship"])) == (ExitCode.KEPT, True)
    assert read_words([]).commands == ()


def test_expressions_are_words():
    for said, platform in (('"${{ inputs.x }}"', "github"), ("{{workflow.name}}", "argo"), ("$(params.y)", "tekton")):
        script = read_script(f"gate {said}\nship", replace(STRICT, fills=platform))
        assert not script.problem
        assert gate_of(script) == (ExitCode.KEPT, True)


def test_what_no_platform_puts_in_is_read_as_it_stands():
    script = read_script("gate {{ || true # }}\nship", replace(STRICT, fills="github"))
    assert gate_of(script)[0] is not ExitCode.KEPT


def test_a_text_that_names_a_gate_runs_none():
    script = read_script("echo 'gate'\n# gate\ncat <<E\ngate\nE\nship", STRICT)
    assert [one.words[0] for one in script.commands] == ["echo", "cat", "ship"]
