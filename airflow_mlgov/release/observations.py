"""What people have set by hand in the runs that evidence comes from, as the listener has noted it. For whoever reads:
nothing that decides asks for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_mlgov.evidence.statements import ObservationStatement, run_digest
from airflow_mlgov.evidence.statements.watch import MORE
from airflow_mlgov.evidence.verification import Evidence, collect, only
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow_mlgov.evidence.chain import Verified
    from airflow_mlgov.evidence.signing import TrustRoot


def observed_of(
    records: Verified, trust: TrustRoot, evidence: Iterable[Evidence]
) -> list[Evidence[ObservationStatement]]:
    """What was noted of the runs of some evidence, in ledger order; of a task that is mapped, by its index."""
    runs = {(run_digest(run), item.environment, _index(run)) for item in evidence if _is_run(run := _run_of(item))}
    noted = only(collect(records, trust, {digest for digest, _, _ in runs})[0], ObservationStatement)
    return [item for item in noted if any(_is_of(item, *run) for run in runs)]


def told_observation(said: ObservationStatement) -> str:
    """A sentence without its end."""
    run = said.context.run
    task = f".{run['task_id']}" if "task_id" in run else ""
    index = f"[{run['map_index']}]" if _index(run) >= 0 else ""
    who = " or ".join(person.name for person in said.people) or "somebody whom Airflow does not name"
    where = f"{run['dag_id']}{task}{index} (run {run['run_id']})"
    when = f"by {who} at {said.seen:%Y-%m-%d %H:%M %Z}"
    if said.code == MORE:
        return line(
            f"{said.times} more states were set by hand in {run['dag_id']} than are noted singly, the last {when}"
        )
    often = f" {said.times} times more, the last time" if said.times > 1 else ","
    return line(f"{where} was set to {said.state} by hand{often} {when}")


def _is_of(item: Evidence[ObservationStatement], digest: str, environment: str, index: int) -> bool:
    own = _index(item.statement.context.run)
    return (item.digest, item.environment) == (digest, environment) and (own == index or -1 in (own, index))


def _run_of(item: Evidence) -> Mapping[str, Any]:
    return item.statement.context.run


def _is_run(run: Mapping[str, Any]) -> bool:
    return "dag_id" in run and "run_id" in run


def _index(run: Mapping[str, Any]) -> int:
    index = run.get("map_index", -1)
    return index if isinstance(index, int) else -1
