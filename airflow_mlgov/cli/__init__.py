"""``mlgov``: the same gates and the same decision as the operators, without Airflow.

Exit codes: 0 pass, allowed or verified; 1 fail, denied or tampered; 2 bad usage or configuration; 3 inconclusive;
4 a dependency could not be reached.
"""

from __future__ import annotations

import sys

from airflow_mlgov.cli.app import app
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError


def main() -> None:
    """Run the command line; an expected error is its code and message on stderr; ``--debug`` shows a traceback."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        app(arguments)
    except MlgovError as error:
        if debug:
            raise
        print(f"error [{error.code}]: {error}", file=sys.stderr)
        sys.exit(exit_code(error))


def exit_code(error: MlgovError) -> int:
    """The exit code of an error."""
    if isinstance(error, ConfigurationError):
        return 2
    return 4 if isinstance(error, DependencyError | AccessError) else 1
