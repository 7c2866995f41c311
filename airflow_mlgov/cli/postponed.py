"""Keeps the libraries of clouds and of Vault out of a command that does not sign by them: securesystemslib imports each
that is installed. Refuses nothing; only for a process that is a command's, where nobody else asks for these signers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

_PACKAGE = "securesystemslib.signer"
SIGNERS = {
    "_aws_signer": ("AWSSigner", "awskms"),
    "_azure_signer": ("AzureSigner", "azurekms"),
    "_gcp_signer": ("GCPSigner", "gcpkms"),
    "_vault_signer": ("VaultSigner", "hv"),
}
"""Module of securesystemslib's -> its signer, and the scheme of a URI that names one."""


def postpone_signers() -> None:
    """Let something stand for each of these signers until the first is opened, unless they are there already."""
    if _PACKAGE in sys.modules:
        return
    for module, (signer, scheme) in SIGNERS.items():
        standing_in = ModuleType(f"{_PACKAGE}.{module}")
        members = {"SCHEME": scheme, "from_priv_key_uri": classmethod(_opening(module))}
        setattr(standing_in, signer, type(signer, (), members))
        standing_in.__getattr__ = _anything_else(module)  # type: ignore[method-assign]  # a module's own, PEP 562
        sys.modules[standing_in.__name__] = standing_in


def _opening(module: str) -> Callable[..., Any]:
    def from_priv_key_uri(_: type, *given: Any, **more: Any) -> Any:
        return getattr(_real(module), SIGNERS[module][0]).from_priv_key_uri(*given, **more)

    return from_priv_key_uri


def _anything_else(module: str) -> Callable[[str], Any]:
    def of_the_real_one(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real(module), name)

    return of_the_real_one


def _real(module: str) -> ModuleType:
    """The module itself, from now on."""
    signer, scheme = SIGNERS[module]
    name = f"{_PACKAGE}.{module}"
    if sys.modules[name].__spec__ is None:  # what stands in was not imported
        del sys.modules[name]
        package, real = import_module(_PACKAGE), import_module(name)
        setattr(package, signer, getattr(real, signer))
        import_module(f"{_PACKAGE}._signer").SIGNER_FOR_URI_SCHEME[scheme] = getattr(real, signer)
    return sys.modules[name]
