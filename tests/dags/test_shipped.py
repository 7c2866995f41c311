"""Every DAG that is shipped: it can be imported, and serialised as the scheduler has it."""

import runpy
from pathlib import Path

import pytest

from tests.fixtures.airflow_runner import as_the_scheduler_has_it

DAGS = Path(__file__).parents[2] / "dags"
FILES = sorted(path.name for path in DAGS.glob("*.py"))


@pytest.mark.parametrize("name", FILES)
def test_it_is_a_dag_to_the_scheduler(name: str) -> None:
    from airflow.sdk import DAG

    found = runpy.run_path(str(DAGS / name))
    dags = [item for item in found.values() if isinstance(item, DAG)]
    dags += [found[dag]() for dag in ("taskflow_gates", "new_champion") if dag in found]
    assert dags
    for dag in dags:
        read = as_the_scheduler_has_it(dag)
        assert read.dag_id == dag.dag_id
        assert (DAGS / name).read_text().startswith('"""')
