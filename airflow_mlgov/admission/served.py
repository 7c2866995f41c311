"""What a workload would serve, told from all that it says but its labels and annotations: anybody writes those.

A model is named by ``models:/name/version``, ``models:/name@alias``, the place that its registration has signed, or the
digest of an image. What is named otherwise, or elsewhere (a ConfigMap, a Secret, another object), is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from airflow_mlgov.admission.containers import ANNOTATION, Variables, volumes_at, why_any
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.registry.protocol import REFERENCE
from airflow_mlgov.urls import place_of
from airflow_mlgov.words import plain

_REFERENCES = re.compile(r"models:/[^\s\"'`,;|&<>(){}\[\]]*", re.I)
_PLACES = re.compile(
    r"(?<![A-Za-z0-9_+.-])(?!(?:https?|grpcs?|tcp|udp|unix|wss?|rediss?|valkey|memcached?|postgres(?:ql)?(?:\+\w+)?|"
    r"mysql(?:\+\w+)?|mariadb|sqlite|oracle|mssql|sqlserver|mongodb(?:\+srv)?|kafka|amqps?|nats|mqtts?|otlp|ldaps?|smtps?|"
    r"spiffe|vault|statsd|zipkin|jaeger|dns|jdbc|tls|ssl)://)[A-Za-z][A-Za-z0-9+.-]+://[^\s\"'`,;|&<>(){}\[\]]*|"
    r"(?<![A-Za-z0-9_+.-])(?:s3|s3a|s3n|gs|gcs|az|abfs|abfss|adl|wasb|wasbs|hdfs|dbfs|oss|cos|obs|minio|pvc|hf|huggingface|oci|ngc|"
    r"mlflow-artifacts|runs|file|modelscope|wandb(?:-artifact)?|model-registry|kserve):/{1,3}[^\s\"'`,;|&<>(){}\[\]]*",
    re.I,
)
_DOWNLOADS = re.compile(
    r"https?://[^\s\"'`,;|&<>(){}\[\]?#]*\.(?:joblib|pkl|pickle|onnx|ort|pt|pth|ckpt|mar|safetensors|gguf|ggml|h5|keras|pb|"
    r"pmml|ubj|model|bst|cbm|mlmodel|tflite|engine|plan|bin|npz|tar|tar\.gz|tgz|zip|whl)(?![\w/.])",
    re.I,
)
"""What is fetched from a web server and may be a model."""
_FIELDS = frozenset({"storageUri", "storageURI", "modelUri", "modelURI", "modelUrl", "modelURL", "storage_uri"})
"""Fields whose value is a model, whatever it looks like."""
_NAMED = re.compile(
    r"(?:^|[_-])(?:model|models|checkpoint|weights|artifact|storage)(?:[_-]?(?:uri|url|path|dir|directory|location|repo|"
    r"repository|store|source|file|id|name[_-]or[_-]path))(?:$|[_-])|^models?$|^(?:base|draft|speculative|hf|pretrained)[_-]"
    r"model$|^hf[_-]repo$|^repo[_-]id$|^lora[_-]modules$|^adapters?$",
    re.I,
)
"""Environment variables and options that say which model is served."""
_ENDPOINTS = frozenset({"artifact_store", "artifacts_uri"})
_OPTION = re.compile(r"--?(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:=(?P<value>.*))?", re.S)
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(?::[\w.-]+)?")
_SERVES = frozenset({"serve", "-m", "-hf", "-hfr"})
"""Words before a model's name on a hub."""
_AWAY = "refers to what is not here and may change"
_ELSEWHERE = {
    "baseRefs": _AWAY,
    "storage": _AWAY,
    "modelRef": _AWAY,
    "templateRef": _AWAY,
    "workloadRef": f"{_AWAY}: write the pod's template into the object itself",
    "serviceUrl": "may answer with any model: name a service of the namespace by serviceName",
}
"""Fields that refer to objects which are not here, and what is wrong with that."""
_NAMES = re.compile(r"(?:^|.*/)[^/@\s]+@sha256:(?P<digest>[0-9a-f]{64})")
UNREAD = frozenset({"metadata", "status", "apiVersion", "kind"})
"""What an object says that bears on nothing that it serves."""
_GIVEN = frozenset({"serviceAccountToken", "downwardAPI", "clusterTrustBundle", "podCertificate"})
"""Sources of a projected volume that hold nothing of anybody's."""
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")

_MOST_CONTAINERS = 100
_MOST_MOUNTS = 100
_MOST_PATHS = 1_000
_PODS = frozenset({*_CONTAINERS, "volumes", "volumeClaimTemplates"})
_RUNS = frozenset({"image", "env", "command", "args", "workingDir"})


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
    """``initContainers``, ``containers``, ``ephemeralContainers``; ``component`` of what else names an image."""
    position: int
    image: str
    part: Part = field(repr=False)

    @property
    def digest(self) -> str:
        """That of its image; empty if a tag names it."""
        return digest_of(self.image)


@dataclass(frozen=True)
class Pointed:
    """A path at which a container finds what it serves."""

    where: str
    path: str
    of: str
    """The container, as in ``Container.where``."""
    mounts: tuple[Part, ...] = field(repr=False)


@dataclass
class Serving:
    """What a workload says."""

    named: list[Named] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    containers: list[Container] = field(default_factory=list)
    volumes: list[Volume] = field(default_factory=list)
    programs: list[Problem] = field(default_factory=list)
    """Commands that may fetch and serve anything."""
    paths: list[Pointed] = field(default_factory=list)
    pods: dict[str, Part] = field(default_factory=dict)
    """Where a pod stands -> its spec."""


def digest_of(image: str) -> str:
    """The digest by which an image is named; empty if it is not."""
    match = _NAMES.fullmatch(image.removeprefix("oci://"))
    return match["digest"] if match else ""


def read_serving(document: Part) -> Serving:
    """All that an object says of what it serves.

    :raises ConfigurationError: it says more than anybody writes
    """
    found = Serving()
    for key, part in document.items():
        if key not in UNREAD:
            _walk(part, key, found)
    _follow(found)
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
    keys = part.value.keys()
    if any(part[key].is_list for key in _PODS & keys):
        _pod(part, where, found)
    if _RUNS & keys:
        _runs(part, where, found)
    for key, inner in part.items():
        here = f"{where}.{key}"
        if key in ("metadata", "labels", "annotations", "selector", "env", "args", "command"):
            continue  # what an author claims, what a scheduler selects by, and what was read above
        if key in _FIELDS or (key == "uri" and _is_model(part, where)):
            _add(found, named_by(inner.text, here) if inner.text else Problem(here, "served.reference", "it is empty"))
        elif key in _ELSEWHERE and inner.value not in (None, {}, []) and not (key == "storage" and inner.text):
            found.problems.append(Problem(here, "served.elsewhere", f"{key} {_ELSEWHERE[key]}"))
        elif key == "envFrom" and inner.value not in (None, []):
            why = "envFrom hides the names and values of variables: list each one under env"
            found.problems.append(Problem(here, "served.elsewhere", why))
        else:
            _walk(inner, here, found)


def _runs(part: Part, where: str, found: Serving) -> None:
    """What a container runs, or a hook or a probe of it."""
    if part["image"].text and not where.endswith("]"):  # of KServe's predictors, which are containers too
        found.containers.append(Container(where, where.rpartition(".")[0], "component", 0, part["image"].text, part))
    variables = Variables.of(part["env"])
    _environment(part, f"{where}.env", variables, found)
    for key in ("command", "args"):
        _arguments(part, part[key], f"{where}.{key}", variables, found)
    if why := why_any([variables.put_into(one.text) for key in ("command", "args") for one in part[key].several()]):
        found.programs.append(Problem(f"{where}.command", "served.program", why))
    if part["workingDir"].text:
        _point(found, part, f"{where}.workingDir", part["workingDir"].text)


def _is_model(part: Part, where: str) -> bool:
    last = where.rpartition(".")[2]
    return last == "model" or last.startswith("adapters[") or "name" in part


def _pod(pod: Part, where: str, found: Serving) -> None:
    found.pods[where] = pod
    for kind in _CONTAINERS:
        for position, part in enumerate(pod[kind].parts()):
            here = f"{where}.{kind}[{position}]"
            found.containers.append(Container(here, where, kind, position, part["image"].text, part))
            if len(found.containers) > _MOST_CONTAINERS or len(part["volumeMounts"].value or ()) > _MOST_MOUNTS:
                raise ConfigurationError(
                    f"it has more than {_MOST_CONTAINERS} containers, or {_MOST_MOUNTS} mounts in one: split it",
                    code="served.too_large",
                )
    for position, volume in enumerate(pod["volumes"].parts()):
        _volume(volume, f"{where}.volumes[{position}]", found)
    for position, claim in enumerate(pod["volumeClaimTemplates"].parts()):
        here, name = f"{where}.volumeClaimTemplates[{position}]", claim["metadata"]["name"].text
        found.volumes.append(Volume(here, name, "persistentVolumeClaim"))


def _volume(volume: Part, where: str, found: Serving) -> None:
    kinds = [key for key, _ in volume.items() if key != "name"] or ["emptyDir" if volume.is_map else "unknown"]
    for kind in kinds:
        source = volume[kind]
        ref = next((source[key].text for key in ("name", "secretName", "claimName", "reference") if source[key]), "")
        found.volumes.append(Volume(where, volume["name"].text, kind, ref))
        if kind == "image":
            _add(found, named_by(f"oci://{ref}", where))
        for at, inner in enumerate(source["sources"].parts() if kind == "projected" else ()):
            here = f"{where}.sources[{at}]"
            held = ((key, part) for key, part in inner.items() if key not in _GIVEN)
            found.volumes += [Volume(here, "", key, part["name"].text) for key, part in held]


def _environment(container: Part, where: str, variables: Variables, found: Serving) -> None:
    for position, part in enumerate(container["env"].parts()):
        here, name = f"{where}[{position}] {plain(part['name'].text, 60)}", part["name"].text
        source = part["valueFrom"]
        if not source:
            text = variables.values.get(name, "")
            _value(text, here, found, is_model=_says_model(name))
            if _says_model(name):
                _point(found, container, here, text)
            continue
        if _says_model(name):
            why = "which model is served stands in another object, which may change: write the value here"
            found.problems.append(Problem(here, "served.elsewhere", why))
        if source["configMapKeyRef"]:
            found.volumes.append(Volume(here, "", "configMap", source["configMapKeyRef"]["name"].text))


def _arguments(container: Part, args: Part, where: str, variables: Variables, found: Serving) -> None:
    waiting, before = False, ""
    for position, part in enumerate(args.several()):
        here, text = f"{where}[{position}]", variables.put_into(part.text)
        option = _OPTION.fullmatch(text)
        value = (option["value"] or "") if option else text
        is_model = _says_model(option["name"]) if option else waiting
        follows = not option and before.startswith("-")
        if _hides(variables.hidden_in(part.text), counts=is_model or not (option or follows)):
            why = "what it is told stands in another object, which may change: write the value here"
            found.problems.append(Problem(here, "served.elsewhere", why))
        if not option and not follows and re.match(r"https?://\S+$", text):
            _add(found, named_by(text, here))
        elif before in _SERVES and _HUB.fullmatch(text):
            _value(text, here, found, is_model=True)
        else:
            _value(value, here, found, is_model=is_model)
        if is_model or not (option or follows):
            _point(found, container, here, value)
        waiting, before = is_model and option is not None and option["value"] is None, text


def _hides(sources: Sequence[str], *, counts: bool) -> bool:
    """Whether a word that is put together may name a model that nobody sees: a password in an option does not."""
    return ANNOTATION in sources or (counts and bool(sources))


def _point(found: Serving, container: Part, where: str, text: str) -> None:
    if len(found.paths) >= _MOST_PATHS:
        raise ConfigurationError(f"it names more than {_MOST_PATHS:,} paths: split it", code="served.too_large")
    if text.startswith("/") and container["volumeMounts"]:
        found.paths.append(Pointed(where, text, _container_of(where), tuple(container["volumeMounts"].parts())))


def _follow(found: Serving) -> None:
    """Refuse a path into a volume that holds what nobody has named: a Secret, or an emptyDir that is filled by none of
    those who name a model."""
    naming = {_container_of(one.where) for one in found.named}
    filled = {
        (_pod_of(one.of), name)
        for one in (*found.paths, *_filling(found))
        if one.of in naming
        for name in volumes_at(one.mounts, one.path)
    }
    kinds = {(_pod_of(one.where), one.name): one.kind for one in found.volumes if one.name}
    for one in found.paths:
        for name in volumes_at(one.mounts, one.path):
            kind = kinds.get((_pod_of(one.of), name), "unknown")
            if kind in ("image", "configMap") or (kind == "emptyDir" and (_pod_of(one.of), name) in filled):
                continue
            why = (
                f"nothing tells what lies in the volume {plain(name, 60)}: point at what mlgov verify --into has filled"
            )
            found.problems.append(Problem(one.where, "served.elsewhere", why))


def _filling(found: Serving) -> Iterator[Pointed]:
    """Paths in the options of containers, such as ``--into=/models``."""
    for one in found.containers:
        mounts = tuple(one.part["volumeMounts"].parts())
        for key in ("command", "args") if mounts else ():
            for word in one.part[key].texts():
                path = word[word.find("/") :] if "=/" in word or word.startswith("/") else ""
                if path:
                    yield Pointed(f"{one.where}.{key}", path, one.where, mounts)


def _container_of(where: str) -> str:
    """The container in which a word, a variable or a field stands."""
    return re.split(r"\.(?:args|command|env|workingDir|storageUri)\b", where, maxsplit=1)[0]


def _pod_of(where: str) -> str:
    """The pod in which a container or a volume stands."""
    return re.split(r"\.(?:initContainers|containers|ephemeralContainers|volumes|model)\b", where, maxsplit=1)[0]


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
    yield from _DOWNLOADS.finditer(text)


def _says_model(name: str) -> bool:
    return bool(_NAMED.search(name)) and name.lower() not in _ENDPOINTS


def _add(found: Serving, item: Named | Problem) -> None:
    (found.problems if isinstance(item, Problem) else found.named).append(item)  # type: ignore[arg-type]
