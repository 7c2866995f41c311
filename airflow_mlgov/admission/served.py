"""What a workload would serve, told from all that it says but its labels and annotations: anybody writes those.

A model is named by ``models:/name/version``, ``models:/name@alias``, the place that its registration has signed, or the
digest of an image. What is named otherwise, or elsewhere (a ConfigMap, a Secret, another object), is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.registry.protocol import REFERENCE
from airflow_mlgov.urls import place_of
from airflow_mlgov.words import plain

_REFERENCES = re.compile(r"models:/[^\s\"'`,;|&<>(){}\[\]]*", re.I)
_PLACES = re.compile(
    r"(?<![A-Za-z0-9_+.-])(?:s3|s3a|s3n|gs|gcs|az|abfs|abfss|adl|wasb|wasbs|hdfs|dbfs|oss|cos|obs|minio|pvc|hf|huggingface|oci|ngc|"
    r"mlflow-artifacts|runs|file|modelscope|wandb(?:-artifact)?|model-registry|kserve):/{1,3}[^\s\"'`,;|&<>(){}\[\]]*",
    re.I,
)
_FIELDS = frozenset({"storageUri", "storageURI", "modelUri", "modelURI", "modelUrl", "modelURL", "storage_uri"})
"""Fields whose value is a model, whatever it looks like."""
_NAMED = re.compile(
    r"(?:^|[_-])(?:model|models|checkpoint|weights|artifact|storage)(?:[_-]?(?:uri|url|path|dir|directory|location|repo|"
    r"repository|store|source|file|id))(?:$|[_-])|^model$|^models$",
    re.I,
)
"""Environment variables and options that say which model is served."""
_ENDPOINTS = frozenset({"artifact_store", "artifacts_uri"})
_OPTION = re.compile(r"--?(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:=(?P<value>.*))?", re.S)
_ELSEWHERE = ("baseRefs", "storage", "modelRef", "templateRef")
"""Fields that refer to objects which are not here."""
_NAMES = re.compile(r"(?:^|.*/)[^/@\s]+@sha256:(?P<digest>[0-9a-f]{64})")
UNREAD = frozenset({"metadata", "status", "apiVersion", "kind"})
"""What an object says that bears on nothing that it serves."""
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True)
class Named:
    """A model as a workload names it."""

    where: str
    """``spec.template.spec.containers[0].env[1]``."""
    said: str
    kind: str
    """``registry``, ``place`` or ``image``."""
    name: str = ""
    version: str | None = None
    alias: str | None = None
    digest: str = ""
    """Of an image."""


@dataclass(frozen=True)
class Problem:
    """Why it cannot be told what is served."""

    where: str
    code: str
    why: str


@dataclass(frozen=True)
class Volume:
    """A volume that a pod mounts."""

    where: str
    name: str
    kind: str
    """The key of its source: ``emptyDir``, ``configMap``, ``persistentVolumeClaim``."""
    ref: str = ""
    """The name of what it holds, or the image."""


@dataclass(frozen=True)
class Container:
    """One container of a pod."""

    where: str
    pod: str
    kind: str
    """``initContainers``, ``containers`` or ``ephemeralContainers``."""
    position: int
    image: str
    part: Part = field(repr=False)

    @property
    def digest(self) -> str:
        """That of its image; empty if a tag names it."""
        return digest_of(self.image)


@dataclass
class Serving:
    """What a workload says."""

    named: list[Named] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    containers: list[Container] = field(default_factory=list)
    volumes: list[Volume] = field(default_factory=list)


def digest_of(image: str) -> str:
    """The digest by which an image is named; empty if it is not."""
    match = _NAMES.fullmatch(image.removeprefix("oci://"))
    return match["digest"] if match else ""


def read_serving(document: Part) -> Serving:
    """All that an object says of what it serves."""
    found = Serving()
    for key, part in document.items():
        if key not in UNREAD:
            _walk(part, key, found)
    return found


def named_by(said: str, where: str) -> Named | Problem:
    """What a reference means: a registry's, a signed place or an image by digest."""
    if said.lower().startswith("models:"):
        match = REFERENCE.fullmatch(said)
        if match is None or not said.startswith("models:/") or "%" in said:
            return Problem(where, "served.reference", f"{plain(said, 120)} is neither models:/name/version nor @alias")
        if match["which"] is not None and not match["which"].isdecimal():
            return Problem(where, "served.mutable", f"{plain(said, 120)} names no version: stages and latest move")
        return Named(where, said, "registry", match["name"], match["which"], match["alias"])
    if said.lower().startswith("oci://"):
        digest = digest_of(said)
        if not digest:
            return Problem(where, "served.mutable", f"{plain(said, 120)} is named by a tag: name it by @sha256:")
        return Named(where, said, "image", digest=digest)
    return Named(where, place_of(said), "place")


def _walk(part: Part, where: str, found: Serving) -> None:
    if part.is_map:
        _mapping(part, where, found)
    elif part.is_list:
        for position, inner in enumerate(part.parts()):
            _walk(inner, f"{where}[{position}]", found)
    elif part.text:
        _text(part.text, where, found)


def _mapping(part: Part, where: str, found: Serving) -> None:
    if any(part[key].is_list for key in _CONTAINERS):
        _pod(part, where, found)
    for key, inner in part.items():
        here = f"{where}.{key}"
        if key in ("metadata", "labels", "annotations", "selector"):
            continue  # what an author claims, and what a scheduler selects by
        if key in _FIELDS or (key == "uri" and _is_model(part, where)):
            _add(found, named_by(inner.text, here) if inner.text else Problem(here, "served.reference", "it is empty"))
        elif key in _ELSEWHERE and inner.value not in (None, {}, []):
            found.problems.append(Problem(here, "served.elsewhere", f"{key} refers to what is not here and may change"))
        elif key == "env":
            _environment(inner, here, found)
        elif key == "envFrom" and inner.value not in (None, []):
            why = "envFrom hides the names and values of variables: list each one under env"
            found.problems.append(Problem(here, "served.elsewhere", why))
        elif key in ("args", "command"):
            _arguments(inner, here, found)
        else:
            _walk(inner, here, found)


def _is_model(part: Part, where: str) -> bool:
    last = where.rpartition(".")[2]
    return last == "model" or last.startswith("adapters[") or "name" in part


def _pod(pod: Part, where: str, found: Serving) -> None:
    for kind in _CONTAINERS:
        for position, part in enumerate(pod[kind].parts()):
            here = f"{where}.{kind}[{position}]"
            found.containers.append(Container(here, where, kind, position, part["image"].text, part))
    for position, volume in enumerate(pod["volumes"].parts()):
        here = f"{where}.volumes[{position}]"
        kinds = [key for key, _ in volume.items() if key != "name"] or ["emptyDir"]
        for kind in kinds:
            source = volume[kind]
            ref = next(
                (source[key].text for key in ("name", "secretName", "claimName", "reference") if source[key]), ""
            )
            found.volumes.append(Volume(here, volume["name"].text, kind, ref))
            if kind == "image":
                _add(found, named_by(f"oci://{ref}", here))


def _environment(env: Part, where: str, found: Serving) -> None:
    for position, part in enumerate(env.parts()):
        here, name = f"{where}[{position}] {plain(part['name'].text, 60)}", part["name"].text
        if part["valueFrom"]:
            if _says_model(name):
                why = "which model is served stands in another object, which may change: write the value here"
                found.problems.append(Problem(here, "served.elsewhere", why))
            continue
        _value(part["value"].text, here, found, is_model=_says_model(name))


def _arguments(args: Part, where: str, found: Serving) -> None:
    waiting = False
    for position, part in enumerate(args.several()):
        here, text = f"{where}[{position}]", part.text
        option = _OPTION.fullmatch(text)
        if option is None:
            _value(text, here, found, is_model=waiting)
            waiting = False
            continue
        is_model = _says_model(option["name"])
        _value(option["value"] or "", here, found, is_model=is_model)
        waiting = is_model and option["value"] is None


def _value(text: str, where: str, found: Serving, *, is_model: bool) -> None:
    """One value of a variable or an option."""
    if not text or _text(text, where, found) or not is_model:
        return
    if text.startswith(("/", "./")) and "\n" not in text:
        return  # a place in the container: what lies there is judged by its volumes and its image
    if "://" in text and "\n" not in text:
        _add(found, named_by(text, where))
        return
    if "$(" in text or "${" in text or re.fullmatch(r"\$\w+", text):
        found.problems.append(Problem(where, "served.elsewhere", "it is put together when the container starts"))
        return
    why = f"{plain(text, 120)} names a model that no registration has signed: serve it by models:/name/version"
    found.problems.append(Problem(where, "served.unknown", why))


def _text(text: str, where: str, found: Serving) -> bool:
    """Add the references that a text holds; whether it holds any."""
    said = [match.group().rstrip(".:") for match in _references(text)]
    for one in said:
        _add(found, named_by(one, where))
    return bool(said)


def _references(text: str) -> Iterator[re.Match[str]]:
    yield from _REFERENCES.finditer(text)
    yield from _PLACES.finditer(text)


def _says_model(name: str) -> bool:
    return bool(_NAMED.search(name)) and name.lower() not in _ENDPOINTS


def _add(found: Serving, item: Named | Problem) -> None:
    (found.problems if isinstance(item, Problem) else found.named).append(item)  # type: ignore[arg-type]
