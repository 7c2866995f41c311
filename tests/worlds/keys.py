"""Key files."""

from pathlib import Path

from airflow_mlgov.evidence.signing import open_signer


def key_file(path: Path) -> str:
    """A new key in a file, as ``--sign`` names it."""
    open_signer(f"local:{path}", make_key=True)
    return f"local:{path}"
