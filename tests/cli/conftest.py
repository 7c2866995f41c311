"""The commands with every option that they share."""

import pytest

from tests.fixtures.shell import Run
from tests.worlds.governed import Governed


@pytest.fixture
def shell(governed: Governed, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The commands with every option that they share."""
    for name, value in (("USERNAME", governed.server.username), ("PASSWORD", governed.server.password)):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", governed.server.url)
    options = {
        "--ledger": governed.ledger_url,
        "--trust": governed.trust_file,
        "--policy": governed.policy_file,
        "--environment": "test",
    }

    def go(*words: object, duty: str | None = "promotion", leave_out: tuple[str, ...] = ()) -> tuple[int, str, str]:
        given = [part for name, value in options.items() if name not in leave_out for part in (name, value)]
        sign = ["--sign", f"local:{governed.folder / f'{duty}.pem'}"] if duty else []
        return run(*words, *given, *sign)

    return go
