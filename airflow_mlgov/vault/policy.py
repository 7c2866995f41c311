"""What the identity of one duty may do in Vault or OpenBao: ``duty.hcl``, filled in."""

from __future__ import annotations

from importlib.resources import files
from string import Template

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.signing import duties


def key_name(duty: str) -> str:
    """The Transit key of a duty, as ``sign = vault:mlgov-{duty}`` names it."""
    return f"mlgov-{duty.replace('_', '-')}"


def vault_policy(duty: str) -> str:
    """The policy, in HCL: sign with the duty's own key, read that key's public half, read its own MLflow account.

    :raises ConfigurationError: the duty is unknown
    """
    if duty not in duties():
        raise ConfigurationError(f"unknown duty {duty!r}; known: {', '.join(duties())}", code="duty.unknown")
    template = Template((files("airflow_mlgov.vault") / "duty.hcl").read_text())
    return template.substitute(duty=duty, key=key_name(duty))
