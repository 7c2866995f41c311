"""Which engine evaluates, from what somebody has configured, wherever they did."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.rego.protocol import PolicyEngine
from airflow_mlgov.strict_files import nearest, read_text

KINDS = ("regorus", "opa", "opa-binary")
OPTIONS = ("opa_url", "opa_token_file", "opa_ca", "opa_cert", "opa_key", "opa_timeout", "opa_bundle", "opa_program")
"""What the command line reads besides ``policy_engine``."""


def engine_of(option: Callable[[str], str]) -> PolicyEngine:
    """The engine that is configured; the embedded one if nothing is.

    :param option: the value of ``policy_engine``, ``opa_url`` and the like by its name, empty if it is not set
    :raises ConfigurationError: it names no engine, or the engine lacks what it needs
    """
    kind = option("policy_engine") or "regorus"
    if kind == "regorus":
        from airflow_mlgov.rego.embedded import embedded

        return embedded()
    if kind == "opa":
        return _server(option)
    if kind == "opa-binary":
        from airflow_mlgov.rego.binary import OpaBinary

        return OpaBinary(option("opa_program") or _on_the_path())
    raise ConfigurationError(f"policy_engine is {kind!r}{nearest(kind, KINDS)}", code="rego.engine_unknown")


def logged(engine: PolicyEngine, path: str | Path | None) -> PolicyEngine:
    """An engine that writes down what it is asked and answers, if a file is named."""
    if not path:
        return engine
    from airflow_mlgov.rego.decision_log import Logged

    return Logged(engine, Path(path))


def _server(option: Callable[[str], str]) -> PolicyEngine:
    from airflow_mlgov.rego.client import ServerSettings
    from airflow_mlgov.rego.server import OpaServer

    if not option("opa_url"):
        raise ConfigurationError("policy_engine is opa: say opa_url, the address of the server", code="opa.address")
    file = option("opa_token_file")
    return OpaServer(
        ServerSettings(
            option("opa_url"),
            read_text(file, "token").strip() if file else os.environ.get("MLGOV_OPA_TOKEN", ""),
            option("opa_ca"),
            option("opa_cert"),
            option("opa_key"),
            **({"timeout": seconds(option("opa_timeout"))} if option("opa_timeout") else {}),
            bundle=option("opa_bundle"),
        )
    )


def seconds(text: str) -> float:
    """A number of seconds that somebody wrote.

    :raises ConfigurationError: it is none
    """
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(
            f"the time limit of the OPA server is a number of seconds, not {text!r}", code="opa.limit"
        ) from None


def _on_the_path() -> str:
    found = shutil.which("opa")
    if found is None:
        raise ConfigurationError(
            "policy_engine is opa-binary, and no program opa is on the PATH: install it, or say opa_program",
            code="opa.no_program",
        )
    return found
