"""What an installation brings, as a CycloneDX 1.6 document: ``python -m tests.sbom FILE EXTRA…``. It lists what is
installed in this environment, each with its licence and what it depends on."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.licences import PROVIDER, brought, licence

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component


def sbom(name: str, extras: Iterable[str] = ()) -> str:
    """The document of a distribution, as JSON.

    :param extras: those that are installed with it
    """
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion

    return str(make_outputter(_bom(name, extras), OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2))


def _bom(name: str, extras: Iterable[str]) -> Bom:
    from cyclonedx.model.bom import Bom

    found = brought(name, extras)
    components = {one: _component(one, of) for one, of in found.items()}
    bom = Bom(components=[item for one, item in components.items() if one != name])
    bom.metadata.component = components[name]
    for one, of in found.items():
        needs = {canonicalize_name(Requirement(text).name) for text in of.requires or ()}
        bom.register_dependency(components[one], [components[other] for other in sorted(needs & set(components))])
    return bom


def _component(name: str, of: Distribution) -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import DisjunctiveLicense
    from packageurl import PackageURL

    purl = PackageURL("pypi", None, name, of.version)
    told = licence(of)
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=of.version,
        bom_ref=str(purl),
        purl=purl,
        licenses=[DisjunctiveLicense(name=told)] if told else None,
    )


if __name__ == "__main__":
    Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
    Path(sys.argv[1]).write_text(sbom(PROVIDER, sys.argv[2:]), encoding="utf-8")
    print(sys.argv[1])
