"""Rules of one's own that would make a decision depend on what is not in it, or take more than they are given."""

from typing import Any

import pytest

from airflow_mlgov.governance.decision import SHIPPED, input_schema
from airflow_mlgov.governance.reasons import shipped_rules
from airflow_mlgov.rego.protocol import Bundle
from airflow_mlgov.rego.server import OpaServer
from tests.fixtures.opa_over_tls import OpaServerOfTests
from tests.worlds.guarded import Guarded

HEAD = "package mlgov.custom\nimport rego.v1\n"


def under(guarded: Guarded, *rules: str) -> list[set[str]]:
    """Why the promotion of a version that has all evidence is refused under each of these rules."""
    version = guarded.green()
    guarded.change_policy("version: 1\n", "version: 1\nrules: [own.rego]\n")
    found = []
    for text in rules:
        (guarded.folder / "own.rego").write_text(HEAD + text)
        found.append(guarded.refused(version))
    return found


def test_rules_that_ask_what_is_not_in_the_input(guarded: Guarded) -> None:
    rules = [
        'deny contains {"code": "late", "message": "x"} if time["now_ns"]() > 1',
        'deny contains {"code": "late", "message": "x"} if opa["runtime"]().env.HOME',
        'import data.time as clock\ndeny contains {"code": "c", "message": "x"} if clock.now_ns() > 1',
        'deny contains {"code": "c", "message": "x"} if { count([1]) == 2 with count as rand.intn }',
        'deny contains {"code": "c", "message": "x"} if { [path, value] := walk(input); value == "forbidden" }',
    ]
    assert under(guarded, *rules) == [{"engine.error"}] * len(rules)


@pytest.mark.slow
def test_rules_that_take_all_there_is(guarded: Guarded) -> None:
    doubled = "".join(f"t{n + 1} := concat(``, [t{n}, t{n}])\n" for n in range(28))
    greedy = f'{doubled}t0 := `aaaaaaaaaaaaaaaa`\ndeny contains {{"code": "c", "message": t28}}'
    nested = "deny contains x if { x := " + "[" * 5000 + "]" * 5000 + " }"
    assert under(guarded, greedy, nested) == [{"engine.error"}] * 2


def test_an_opa_server_that_was_tampered_with_promotes_nothing(
    guarded: Guarded, opa_over_tls: OpaServerOfTests
) -> None:
    """Rules that deny nothing, in the place of ours: the server then says that a version without evidence may pass."""
    engine: Any = OpaServer(opa_over_tls.settings())
    bare = guarded.register()
    wanted = guarded.refused(bare, engine=engine)
    assert {"evidence.missing", "approval.missing"} <= wanted
    digest = Bundle({SHIPPED: shipped_rules()}, schema=input_schema()).digest
    empty = "".join(f"{name} := []\n" for name in ("deny", "needed", "waived", "excused", "broken_by"))
    forged = f"package mlgov_{digest}.mlgov.promotion\n{empty}"
    opa_over_tls.call("PUT", f"v1/policies/mlgov/{digest}/0.rego", forged.encode())
    assert guarded.refused(bare, engine=engine) == {"engine.error"}
    good = OpaServer(opa_over_tls.settings())  # who looks anew puts ours back
    guarded.promote(guarded.green(2.0), engine=good)
    assert guarded.places()["2"] == ("Production", ("champion",))
