"""``make conformance``: everything that is held against OPA, in all three engines; 1 if one answers what another does
not. ``python -m tests.conformance --seeds 20000`` draws more modules."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.rego.binary import OpaBinary
from airflow_mlgov.rego.embedded import EmbeddedEngine
from airflow_mlgov.rego.protocol import Bundle, PolicyEngine
from airflow_mlgov.rego.server import OpaServer
from tests.conformance.cases import cases, folder
from tests.conformance.drawn import DOCUMENT, Module
from tests.conformance.harness import Opa, Said, embedded_says, is_silent, same, shown
from tests.conformance.probes import RULE, Probe, probes
from tests.fixtures.opa_over_tls import running_opa

_MOST_SHOWN = 20


def main() -> int:
    """Run what is at hand; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("--seeds", type=int, default=2000, help="modules drawn at random (default 2000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    asked = parser.parse_args()
    wrong = own_probes(EmbeddedEngine())
    if shutil.which("opa") is None:
        print("the program opa is not on the PATH, so nothing is held against it")
        return int(bool(wrong))
    with tempfile.TemporaryDirectory() as place, running_opa(Path(place)) as opa:
        wrong += own_probes(OpaServer(opa.settings(), EmbeddedEngine()))
        wrong += own_probes(OpaBinary("opa", EmbeddedEngine()))
        wrong += drawn(Opa(opa), range(asked.first, asked.first + asked.seeds))
    wrong += theirs()
    for text in wrong[:_MOST_SHOWN]:
        print(f"---\n{text}")
    return int(bool(wrong))


def own_probes(engine: PolicyEngine) -> list[str]:
    """Our own probes, through an engine as it is used; those that differ from what is written."""
    count: Counter[str] = Counter()
    wrong = []
    for probe in probes():
        said = ask(engine, probe)
        count[said.kind] += 1
        if not as_written(said, probe):
            wrong.append(f"{engine.name}: {probe.name}\n{said}")
    print(f"{engine.name}: {len(probes())} probes, {len(wrong)} not as written ({dict(count)})")
    return wrong


def ask(engine: PolicyEngine, probe: Probe) -> Said:
    """What an engine says of a probe."""
    try:
        return Said("value", engine.evaluate(Bundle(probe.modules), [RULE], probe.input)[0])
    except ConfigurationError as error:
        kind = "refused" if error.code in ("rego.refused", "rego.input") else "error"
        return Said("undefined" if error.code == "rego.undefined" else kind, why=f"{error.code}: {error}")  # type: ignore[arg-type]


def as_written(said: Said, probe: Probe) -> bool:
    """Whether it is what the probe wants."""
    if "want" in probe.said:
        return said.kind == "value" and same(said.value, probe.said["want"])
    if "disagree" in probe.said:
        return said.kind == "value" or said.why.startswith("rego.disagree")
    return said.kind == "refused" if "refused" in probe.said else said.kind not in ("value", "refused")


def drawn(opa: Opa, seeds: range) -> list[str]:
    """Modules drawn at random; those that are answered here and not by OPA."""
    count: Counter[str] = Counter()
    wrong = []
    for seed in seeds:
        module = Module(Random(seed))
        modules, rule = {"a.rego": module.text}, f"data.a.{module.rules[-1]}"
        ours = embedded_says(modules, rule, DOCUMENT)
        answer = opa.says(modules, rule, DOCUMENT) if ours.kind == "value" else None
        count[ours.kind if answer is None else f"{ours.kind}, OPA: {answer.kind}"] += 1
        if answer is not None and answer.kind == "error":  # of a part that was not reached here, or is nothing there
            answer = opa.says(modules, rule, DOCUMENT, strict=False)
        if answer is not None and is_silent(ours, answer):
            wrong.append(f"seed {seed}\n{shown([module.text], DOCUMENT, ours, answer)}")
    print(f"drawn: {len(seeds)} modules, {len(wrong)} answered otherwise ({dict(count)})")
    return wrong


def theirs() -> list[str]:
    """OPA's own cases; those that are answered here otherwise than they want."""
    where = folder()
    if where is None:
        print("OPA's own cases are not at hand: set MLGOV_OPA_CASES to v1/test/cases/testdata/v1 of its source")
        return []
    count: Counter[str] = Counter()
    wrong = []
    for case in cases(where):
        ours = embedded_says(case.modules, case.rule, {} if case.input is None else case.input, case.data)
        good = any(same(ours.value, value) for value in case.wants)
        count[
            "as wanted" if ours.kind == "value" and good else "another value" if ours.kind == "value" else ours.kind
        ] += 1
        if ours.kind == "value" and not good:
            wrong.append(
                f"{case.note}\n{shown(list(case.modules.values()), case.input, ours, Said('value', case.wants))}"
            )
    print(f"OPA's own: {sum(count.values())} cases, {len(wrong)} answered otherwise ({dict(count)})")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
