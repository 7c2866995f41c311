"""Writes what a gate said as one HTML file that opens anywhere: no script, no font, no address. Shows nothing that the
evidence does not hold."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import GateResult, Outcome


def write_report(result: GateResult, directory: str | Path, figures: Mapping[str, str] | None = None) -> Path:
    """``<gate>-<digest>-<time>.html`` in ``directory``, which is made where absent; what is not green comes first.

    :param figures: caption -> SVG element, made by this package and with every text in it escaped
    :raises ConfigurationError: the directory cannot be written to
    """
    folder = Path(directory)
    stamp = result.started_at.strftime("%Y%m%dT%H%M%S%fZ")
    path = folder / f"{result.gate}-{result.subject.digest[:12]}-{stamp}.html"
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_text(render_report(result, figures), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigurationError(f"cannot write the report into {folder}: {error.strerror or error}") from None
    return path


def render_report(result: GateResult, figures: Mapping[str, str] | None = None) -> str:
    """The report's HTML; every value is escaped."""
    import jinja2
    import markupsafe

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("airflow_mlgov.gates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["figure"] = _figure
    green = [check for check in result.checks if check.outcome is Outcome.PASS]
    return environment.get_template("gate.html.j2").render(
        result=result,
        verdict=result.verdict,
        checks=[*result.failed, *green],
        tally=Counter(str(check.outcome) for check in result.checks),
        figures={caption: markupsafe.Markup(figure) for caption, figure in (figures or {}).items()},  # noqa: S704
    )


def _figure(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
