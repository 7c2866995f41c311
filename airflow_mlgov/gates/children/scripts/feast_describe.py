"""Describes a Feast feature service from the registry of a feature repository. Reads the registry's protobuf and makes
no object of Feast's from it: making one runs the functions that a registry holds. Refuses to create a registry."""

from __future__ import annotations

import hashlib
import os
from datetime import timezone
from pathlib import Path
from typing import Any

READS_ROWS = False

_VOLATILE = ("meta", "last_updated", "version_id", "created_timestamp", "last_updated_timestamp")
"""What changes with every ``feast apply`` or ``feast materialize`` although no definition does."""

_KINDS = {
    "feature_views": "feature view",
    "stream_feature_views": "stream feature view",
    "on_demand_feature_views": "on demand feature view",
    "label_views": "label view",
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The service, every view that it reads (also those behind on demand and derived views), and two digests.

    :param request: ``repo`` (folder with ``feature_store.yaml``) and ``service``
    """
    project, registry = _read(Path(request["repo"]))
    services = {item.spec.name: item for item in registry.feature_services if item.spec.project == project}
    if request["service"] not in services:
        known = ", ".join(sorted(services)) or "none at all"
        raise SystemExit(f"the project {project} has no feature service {request['service']}; it has: {known}")
    service = services[request["service"]]
    views = _Views(project, registry)
    for projection in service.spec.features:
        views.add(projection.feature_view_name, projection.feature_columns)
    entities = [item for item in registry.entities if item.spec.project == project and item.spec.name in views.entities]
    return {
        "project": project,
        "service": {
            "name": service.spec.name,
            "owner": service.spec.owner,
            "description": service.spec.description,
            "tags": dict(service.spec.tags),
        },
        "views": list(views.found.values()),
        "join_keys": [{"name": item.spec.join_key, "tags": dict(item.spec.tags)} for item in entities],
        "requests": views.requests,
        "renamed": views.renamed,
        "definition_sha256": _digest([service, *views.protos.values(), *entities]),
        "registry_sha256": _digest(_definitions(registry)),
    }


def _read(repo: Path) -> tuple[str, Any]:
    if not (repo / "feature_store.yaml").is_file():
        raise SystemExit(f"{repo} is not a feature repository: it holds no feature_store.yaml")
    os.environ["FEAST_USAGE"] = "False"
    from importlib import import_module

    config = import_module("feast.repo_config").load_repo_config(repo, repo / "feature_store.yaml")
    path = str(config.registry.path)
    if config.registry.registry_type == "file" and "://" not in path and not (repo / path).is_file():
        raise SystemExit(f"the registry {path} of {repo} is not there: run `feast apply` first")
    registry = import_module("feast").FeatureStore(repo_path=str(repo)).registry.proto()
    return config.project, registry


class _Views:
    def __init__(self, project: str, registry: Any) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self.protos: dict[str, Any] = {}
        self.entities: set[str] = set()
        self.requests: list[dict[str, Any]] = []
        """What an on demand view is handed with each request: ``view``, ``name``, ``tags``."""
        self.renamed: dict[str, dict[str, str]] = {}
        """View -> feature -> what its source calls it, where that is another name."""
        self._known = {
            item.spec.name: (kind, item)
            for field, kind in _KINDS.items()
            for item in getattr(registry, field, ())
            if item.spec.project == project
        }

    def add(self, name: str, columns: Any) -> None:
        """Note that the service reads ``columns`` of a view; all of it if there are none."""
        kind, proto = self._known.get(name, ("absent", None))
        if proto is not None and name not in self.protos:
            self.protos[name] = proto
            self.found[name] = _described(name, kind, proto)
            self.entities.update(getattr(proto.spec, "entities", ()))
            self._sources(proto.spec)
            self._behind(name, proto.spec)
        view = self.found.setdefault(name, {"name": name, "kind": kind, "fields": {}})
        current = {item.name: dict(item.tags) for item in proto.spec.features} if proto is not None else {}
        for column in columns or (proto.spec.features if proto is not None else ()):
            tags = view["fields"].setdefault(column.name, {})
            for key, value in [*dict(column.tags).items(), *current.get(column.name, {}).items()]:
                tags.setdefault(key, [])
                if value not in tags[key]:
                    tags[key].append(value)

    def _behind(self, name: str, spec: Any) -> None:
        """Note what the view is handed with a request, and what its source calls its features."""
        for source in dict(getattr(spec, "sources", {})).values():
            if source.HasField("request_data_source"):
                asked = source.request_data_source.request_data_options.schema
                said = dict(source.request_data_source.tags)
                self.requests += [
                    {"view": name, "name": item.name, "tags": {**said, **dict(item.tags)}} for item in asked
                ]
        if "batch_source" in spec.DESCRIPTOR.fields_by_name:
            mapping = dict(spec.batch_source.field_mapping)
            if mapping:
                self.renamed[name] = {feature: column for column, feature in mapping.items()}

    def _sources(self, spec: Any) -> None:
        for source in dict(getattr(spec, "sources", {})).values():
            if source.HasField("feature_view_projection"):
                projection = source.feature_view_projection
                self.add(projection.feature_view_name, projection.feature_columns)
            elif source.HasField("feature_view"):
                self.add(source.feature_view.spec.name, source.feature_view.spec.features)
        for source in getattr(spec, "source_views", ()):
            self.add(source.name, source.features)


def _described(name: str, kind: str, proto: Any) -> dict[str, Any]:
    """``ttl_seconds`` and ``materialized_until`` are left out where the kind of view has none."""
    spec = proto.spec
    view = {"name": name, "kind": kind, "owner": spec.owner, "description": spec.description, "fields": {}}
    view["tags"] = dict(spec.tags)
    sources = [getattr(spec, field) for field in ("batch_source", "stream_source") if _has(spec, field)]
    view["source_tags"] = {key: value for source in sources for key, value in dict(source.tags).items()}
    if "ttl" in spec.DESCRIPTOR.fields_by_name:
        view["ttl_seconds"] = spec.ttl.ToTimedelta().total_seconds()
    if "materialization_intervals" in proto.meta.DESCRIPTOR.fields_by_name:
        ends = [item.end_time.ToDatetime(timezone.utc) for item in proto.meta.materialization_intervals]  # noqa: UP017
        view["materialized_until"] = max(ends).isoformat() if ends else None
    return view


def _has(spec: Any, field: str) -> bool:
    return field in spec.DESCRIPTOR.fields_by_name and bool(spec.HasField(field))


def _digest(messages: list[Any]) -> str:
    """SHA-256 over the messages without what is volatile, in any order."""
    lines = []
    for message in messages:
        copy = type(message)()
        copy.CopyFrom(message)
        _strip(copy)
        content = hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest()
        lines.append(f"{content}  {message.DESCRIPTOR.full_name}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def _definitions(registry: Any) -> list[Any]:
    """Every message that the registry lists, whatever its kind."""
    found = []
    for field, value in registry.ListFields():
        if field.message_type is not None and field.name not in _VOLATILE:
            found += [value] if hasattr(value, "ListFields") else list(value)
    return found


def _strip(message: Any) -> None:
    for name in _VOLATILE:
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = list(value.values()) if field.message_type.fields_by_name["value"].message_type else []
        else:
            values = [value] if hasattr(value, "ListFields") else list(value)
        for item in values:
            _strip(item)
