"""How long the demo waits for Airflow: as long as something changes, and no longer."""

from __future__ import annotations

import itertools
import time

from airflow_mlgov.demo.airflow_api import _poll
from airflow_mlgov.errors import DependencyError
from tests.codes import raises_code


def test_who_waits_is_patient_while_something_changes() -> None:
    changes, asked = itertools.count(), itertools.count()
    _poll(lambda: next(asked) == 12, 0.1, "the end", lambda: next(changes), every=0.02)
    assert next(changes) == 12


def test_who_waits_for_what_stands_still_gives_up() -> None:
    with raises_code(DependencyError, "demo.timeout", "last seen: queued"):
        _poll(lambda: False, 0.1, "the end", lambda: "queued", every=0.02)


def test_what_changes_forever_is_waited_for_four_times_as_long() -> None:
    changes, began = itertools.count(), time.monotonic()
    with raises_code(DependencyError, "demo.timeout"):
        _poll(lambda: False, 0.05, "the end", lambda: next(changes), every=0.01)
    assert time.monotonic() - began > 4 * 0.05
