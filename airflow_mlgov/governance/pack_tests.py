"""Tests of a pack's rules, run in the embedded engine and, if it is there, in OPA.

A rule that no test needs is a failure: each rule is taken out once, and a test that passed has to fail then. So tests
that pass whatever the rules say are found out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError, DependencyError
from airflow_mlgov.governance.packs import Pack

_TIMEOUT = 120.0
_INHERITED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Untested:
    """A rule that no test needs."""

    where: str
    """``file:line``."""
    code: str


@dataclass(frozen=True)
class Tested:
    """What the tests of a pack say."""

    results: Mapping[str, bool]
    """Test -> whether it is true in the embedded engine."""
    in_opa: Mapping[str, bool] | None
    """The same of OPA; None if it was not asked."""
    untested: tuple[Untested, ...]
    not_covered: Mapping[str, tuple[int, ...]]
    """Module -> lines that no test reaches."""
    lines: int
    """Lines of the rules that can be reached."""

    @property
    def coverage(self) -> float:
        """Share of the lines that tests reach; 0 if there is none."""
        missed = sum(map(len, self.not_covered.values()))
        return 1 - missed / self.lines if self.lines else 0.0

    @property
    def failed(self) -> tuple[str, ...]:
        """Tests that are not true, in one engine or the other."""
        other = self.in_opa or {}
        return tuple(test for test, passed in self.results.items() if not passed or other.get(test) is False)

    @property
    def told_apart(self) -> tuple[str, ...]:
        """Tests on which the engines differ."""
        if self.in_opa is None:
            return ()
        names = dict.fromkeys([*self.results, *self.in_opa])
        return tuple(name for name in names if self.results.get(name) != self.in_opa.get(name))

    @property
    def passed(self) -> bool:
        """Whether there are tests, all are true in every engine that was asked, and each rule is needed by one."""
        return bool(self.results) and not (self.failed or self.told_apart or self.untested)


def run_tests(pack: Pack, opa: str | None = None) -> Tested:
    """Run a pack's tests.

    :param opa: the binary of OPA, to run them in it too
    :raises ConfigurationError: the rules or the tests cannot be evaluated, or there are no tests
    :raises DependencyError: OPA does not answer
    """
    if not pack.tests:
        raise ConfigurationError(
            f"{pack.source} has no tests: write rules test_… into a file that ends in _test.rego", code="pack.no_tests"
        )
    answer = _in_child({"modules": dict(pack.modules), "tests": dict(pack.tests), "set": "deny"}, pack.source)
    lines = [len(found["covered"]) + len(found["not_covered"]) for found in answer["coverage"].values()]
    untested = tuple(
        Untested(f"{pack.source}/{rule['module']}:{rule['line']}", _code_at(pack.modules[rule["module"]], rule["line"]))
        for rule in answer["rules"]
        if not rule["needed_by"]
    )
    return Tested(
        answer["tests"],
        None if opa is None else _in_opa(pack, opa),
        untested,
        {name: tuple(found["not_covered"]) for name, found in answer["coverage"].items() if found["not_covered"]},
        sum(lines),
    )


def find_opa() -> str | None:
    """OPA's binary on the PATH; None if there is none."""
    return shutil.which("opa")


def _code_at(text: str, line: int) -> str:
    """The code in the METADATA before a rule, or the rule's own first line."""
    lines = text.splitlines()
    for said in reversed(lines[: line - 1]):
        if not said.startswith("#"):
            break
        if said.lstrip("# ").startswith("code:"):
            return said.partition("code:")[2].strip()
    return lines[line - 1][:80]


def _in_child(asked: Mapping[str, Any], source: str) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "airflow_mlgov.governance.rego_test_child"],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError(
            f"{source}: the tests did not come to an end in {_TIMEOUT:g} s", code="pack.broken"
        ) from None
    if done.returncode:
        raise ConfigurationError(
            f"{source}: the engine ended with code {done.returncode}: {done.stderr.strip()[-300:]}", code="pack.broken"
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        raise ConfigurationError(f"{source}: {answer['error']}", code="pack.broken")
    found: dict[str, Any] = answer["result"]
    return found


def _in_opa(pack: Pack, opa: str) -> dict[str, bool]:
    """What OPA says of the same tests."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**pack.modules, **pack.tests}.items():
            place = Path(folder) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run(
                [opa, "test", "--format", "json", "--timeout", "60s", folder],
                capture_output=True, text=True, timeout=_TIMEOUT, env={"PATH": os.defpath, "HOME": folder},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DependencyError(f"OPA ({opa}) does not answer: {error}", code="opa.down") from None
    try:
        said = json.loads(done.stdout or "null")
    except ValueError:
        said = None
    if said is None:
        why = (done.stderr or done.stdout).strip().replace(folder, pack.source)[-500:]
        raise ConfigurationError(f"{pack.source}: OPA cannot run the tests: {why}", code="pack.broken")
    return {f"{item['package']}.{item['name']}": not (item.get("fail") or item.get("error")) for item in said}
