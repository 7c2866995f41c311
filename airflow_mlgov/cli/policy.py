"""``mlgov policy``: the mistakes in a policy, packs of rules as bundles, their tests and mistakes, what a new version
changes. Needs neither Airflow nor a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airflow_mlgov.cli.common import AsJson, print_json, say
from airflow_mlgov.cli.values import path
from airflow_mlgov.errors import AccessError, ConfigurationError

if TYPE_CHECKING:
    from airflow_mlgov.governance.differences import Change
    from airflow_mlgov.governance.pack_tests import Tested
    from airflow_mlgov.governance.packs import Pack

policy_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Governance policies, and packs of rules.")
_Pack = Annotated[str, typer.Argument(help="Folder or bundle of rules, or a shipped package such as mlgov.pii.")]


@policy_app.callback()
def _policy() -> None:
    """Governance policies, and packs of rules."""


@policy_app.command("check")
def check(
    file: Annotated[list[Path], typer.Argument(parser=path, help="Governance policies, mlgov.yaml.")],
    as_json: AsJson = False,
) -> None:
    """Show every mistake in a governance policy, with its line and its mend, and bounds that no model or every model
    meets. Exit code 1 if it would be refused, or can let nothing through."""
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.governance.policy_mistakes import Examined, doubts_of
    from airflow_mlgov.strict_files import read_yaml

    found = []
    for one in file:
        mistakes = list(Examined(read_yaml(one, "policy")).mistakes())
        found += sorted(mistakes or doubts_of(load_policy(one)), key=lambda one: one.line)
    if as_json:
        print_json([{"code": one.error.code, "where": one.where, "text": one.text} for one in found])
    else:
        say(*(f"{one.error} [{one.error.code}]" for one in found)) if found else say("no mistake was found")
    raise typer.Exit(1 if any(one.error.code != "policy.bound_idle" for one in found) else 0)


@policy_app.command("schema")
def schema() -> None:
    """Print the JSON Schema of the governance policy, for editors: with the gates that are installed."""
    from airflow_mlgov.governance.schema import policy_schema

    print_json(policy_schema())


@policy_app.command("bundle")
def bundle(
    pack: _Pack,
    out: Annotated[Path, typer.Option("--out", parser=path, help="File to write, such as rules.tar.gz.")],
    as_json: AsJson = False,
) -> None:
    """Pack rules as a bundle of OPA's format: the same rules, the same bytes; its revision is their digest."""
    from airflow_mlgov.governance.bundles import write_bundle

    found = _open(pack)
    rules = found.rules  # what is no pack is told before anything is written
    try:
        out.write_bytes(write_bundle(found.modules))
    except PermissionError:
        raise AccessError(f"may not write {out}: permission denied", code="file.refused") from None
    except OSError as error:
        raise ConfigurationError(f"cannot write {out}: {error.strerror or error}", code="file.not_writable") from None
    if as_json:
        print_json({"file": str(out), "package": found.package, "revision": found.digest, "rules": len(rules)})
        return
    say(f"{out}: {len(rules)} rules of {found.package}", f'  packages: ["{out}@sha256:{found.digest}"]')


@policy_app.command("test")
def run_rules(
    pack: _Pack,
    opa: Annotated[
        str | None, typer.Option("--opa-program", help="OPA's binary; the one on the PATH if there is one.")
    ] = None,
    alone: Annotated[bool, typer.Option("--embedded-only", help="Do not ask OPA.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the rules test_… in the embedded engine and in OPA. A rule that no test needs fails too: each is taken out
    once, and a test has to fail then."""
    from airflow_mlgov.governance.pack_tests import find_opa, run_tests

    found = run_tests(_open(pack), None if alone else opa or find_opa())
    if as_json:
        print_json(_tested(found))
    else:
        say(*_tested_lines(found))
    raise typer.Exit(0 if found.passed else 1)


@policy_app.command("lint")
def lint(pack: _Pack, as_json: AsJson = False) -> None:
    """Show every mistake in a pack, with its line and its mend: what engines read differently, what a decision could
    not be replayed with, rules without METADATA."""
    from airflow_mlgov.governance.pack_lint import mistakes_of

    found = mistakes_of(_open(pack))
    if as_json:
        print_json([{"where": one.where, "text": one.text} for one in found])
    else:
        say(*(f"{one.where}: {one.text}" for one in found)) if found else say("no mistake was found")
    raise typer.Exit(1 if found else 0)


@policy_app.command("diff")
def diff(
    old: Annotated[str, typer.Argument(help="mlgov.yaml, a folder or a bundle of rules, or a shipped package.")],
    new: Annotated[str, typer.Argument(help="The same, as it is to be.")],
    as_json: AsJson = False,
) -> None:
    """Say in words which rules came, went or changed, and which bounds moved. Exit code 1 if anything is milder."""
    found = _compared(old, new)
    if as_json:
        print_json([{"text": one.text, "direction": one.direction or None} for one in found])
    else:
        say(*found) if found else say("they ask the same")
    raise typer.Exit(1 if any(one.direction == "milder" for one in found) else 0)


def _open(word: str) -> Pack:
    from airflow_mlgov.governance.packs import load_pack, open_pack

    return open_pack(Path(word)) if Path(word).exists() else load_pack(word)


def _compared(old: str, new: str) -> list[Change]:
    from airflow_mlgov.governance.differences import compare_packs, compare_policies
    from airflow_mlgov.governance.policy import load_policy

    are_policies = [Path(word).suffix in (".yaml", ".yml") for word in (old, new)]
    if are_policies[0] is not are_policies[1]:
        raise ConfigurationError(
            f"{old} and {new} are not of one kind: compare two governance policies, or two packs", code="policy.kinds"
        )
    if are_policies[0]:
        return compare_policies(load_policy(old), load_policy(new))
    return compare_packs(_open(old), _open(new))


def _tested(found: Tested) -> dict[str, object]:
    return {
        "passed": found.passed,
        "tests": dict(found.results),
        "opa": None if found.in_opa is None else dict(found.in_opa),
        "engines_differ": list(found.told_apart),
        "untested": [{"where": one.where, "code": one.code} for one in found.untested],
        "coverage": round(found.coverage, 4),
        "not_covered": {name: list(lines) for name, lines in found.not_covered.items()},
    }


def _tested_lines(found: Tested) -> list[str]:
    engines = "the embedded engine" if found.in_opa is None else "the embedded engine and OPA"
    head = f"{len(found.results) - len(found.failed)} of {len(found.results)} tests pass in {engines}"
    lines = [f"{head}; {found.coverage:.0%} of the rules' lines are reached"]
    lines += [f"  FAIL {name}" for name in found.failed]
    lines += [
        f"  DIFFER {name}: one engine says that it passes, the other that it does not" for name in found.told_apart
    ]
    lines += [
        f"  UNTESTED {one.where}: no test fails without the rule {one.code}: write one that needs it"
        for one in found.untested
    ]
    shown = (f"  not reached: {name}:{', '.join(map(str, lines))}" for name, lines in found.not_covered.items())
    return [*lines, *shown]
