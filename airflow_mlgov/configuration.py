"""The words of ``[mlgov]`` in airflow.cfg, and where the embedded defaults live. The one place that reads them; opens
nothing, so that DAG files stay cheap and everything may import it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_mlgov.errors import ConfigurationError

SECTION = "mlgov"
BOARD = "/mlgov"
"""Where the board is mounted in Airflow's API server."""


def option(name: str, fallback: str = "") -> str:
    """One option of ``[mlgov]``, empty if it is not set."""
    return str(conf.get(SECTION, name, fallback=fallback) or fallback)


def filled(name: str, duty: str) -> str:
    """One option of ``[mlgov]`` with its ``{duty}`` filled in.

    :raises ConfigurationError: it holds another placeholder
    """
    text = option(name)
    try:
        return text.format(duty=duty)
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigurationError(
            f"[mlgov] {name} = {text} may hold {{duty}} and no other braces", code="configuration.braces"
        ) from error


def board_page(page: str, **query: str | None) -> str:
    """A page of the board, below the path at which Airflow is served.

    :param query: what is asked of the page; what is None is left out
    """
    below = urlsplit(str(conf.get("api", "base_url", fallback="") or "")).path.rstrip("/")
    asked = urlencode({name: said for name, said in query.items() if said is not None})
    return f"{below}{BOARD}/{page}{'?' if asked else ''}{asked}"


def board_link(page: str, **query: str | None) -> str | None:
    """The address of a page of the board, for who is not in Airflow; None where ``[api] base_url`` is not set."""
    there = urlsplit(str(conf.get("api", "base_url", fallback="") or ""))
    return f"{there.scheme}://{there.netloc}{board_page(page, **query)}" if there.netloc else None


def home() -> Path:
    """Where the embedded defaults live: ``$AIRFLOW_HOME/mlgov``."""
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "mlgov"
