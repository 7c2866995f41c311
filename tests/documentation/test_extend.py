"""What ``docs/extend.md`` shows and no other test runs; its gate is that of ``tests/test_a_gate_from_outside.py``, its
receiver that of ``tests/sinks/test_delivery.py``."""

from airflow_mlgov.results import Outcome
from tests.worlds.pages import example


def test_a_table_in_memory_is_judged() -> None:
    assert example("extend.md", "judge_a_table.py")["result"].verdict is Outcome.PASS
