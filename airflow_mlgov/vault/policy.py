"""What the identity of one duty may do in Vault or OpenBao: ``duty.hcl``, filled in."""

from __future__ import annotations

import re
from importlib.resources import files
from string import Template

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.signing import duties

_MOUNT = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*")


def require_mount(mount: str) -> None:
    """Refuse what cannot be where an engine is mounted.

    :raises ConfigurationError: it is no path of words
    """
    if not _MOUNT.fullmatch(mount):
        raise ConfigurationError(
            f"{mount!r} is not where an engine can be mounted: write words with / between them", code="vault.mount"
        )


def key_name(duty: str) -> str:
    """The Transit key of a duty, as ``sign = vault:mlgov-{duty}`` names it."""
    return f"mlgov-{duty.replace('_', '-')}"


def vault_policy(duty: str, *, transit: str = "transit", kv: str = "secret") -> str:
    """The policy, in HCL: sign with the duty's own key, read that key's public half, read its own MLflow account.

    :param transit: where the Transit engine is mounted
    :param kv: where the KV v2 engine is mounted
    :raises ConfigurationError: the duty is unknown, or a mount's name is none
    """
    for mount in (transit, kv):
        require_mount(mount)
    if duty not in duties():
        raise ConfigurationError(f"unknown duty {duty!r}; known: {', '.join(duties())}", code="duty.unknown")
    template = Template((files("airflow_mlgov.vault") / "duty.hcl").read_text())
    return template.substitute(duty=duty, key=key_name(duty), transit=transit, kv=kv)
