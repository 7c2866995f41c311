"""An AdmissionReview, read strictly, and the answer in its own version. Whatever could be read in two ways is
refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.pipelines.documents import Part, document_of
from airflow_mlgov.strict_files import parse_json
from airflow_mlgov.words import plain

MAX_BYTES = 3 << 20
"""A review holds an object and what it was before; an API server takes neither if it has more than 1.5 MiB."""
VERSIONS = ("admission.k8s.io/v1", "admission.k8s.io/v1beta1")
OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT")
_LONGEST_UID = 128
_LONGEST_MESSAGE = 4_000
_MOST_WARNINGS = 20
_LONGEST_WARNING = 250


@dataclass(frozen=True)
class Review:
    """What an API server asks."""

    version: str
    """One of :data:`VERSIONS`."""
    uid: str
    group: str
    kind: str
    operation: str
    form: str = ""
    """Version of the kind: ``v1``."""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    user: str = ""
    """Who asks, as the API server has authenticated them."""
    dry_run: bool = False
    object: Part = field(default_factory=lambda: Part(None), repr=False)
    """As it would be; without a value for DELETE."""
    before: Part = field(default_factory=lambda: Part(None), repr=False)
    """As it is; without a value for CREATE."""

    @property
    def unchanged(self) -> bool:
        """Whether an update leaves all that runs as it is, and no more of it: a finalizer is removed, a controller
        takes down what another version has replaced."""
        if self.operation != "UPDATE" or self.subresource or not self.before.is_map:
            return False
        (now, count), (then, counted) = _runs(self.object), _runs(self.before)
        fewer = count == counted or (type(count) is type(counted) is int and 0 <= count < counted)
        return fewer and now == then and stored(self.object) == stored(self.before)

    @property
    def place(self) -> str:
        """``namespace/Kind/name``, for messages."""
        named = self.name or self.object["metadata"]["generateName"].text or "?"
        return plain(f"{self.namespace or '-'}/{self.kind}/{named}", 200)


class Refused(ConfigurationError):
    """A review that cannot be judged.

    :param version: in which it is answered
    :param uid: of the review, empty if it has none that can be read
    """

    def __init__(self, message: str, *, code: str, version: str = VERSIONS[0], uid: str = "") -> None:
        super().__init__(message, code=code)
        self.version, self.uid = version, uid


def read_review(raw: bytes) -> Review:
    """A review.

    :raises Refused: it is too large, not strict JSON, no AdmissionReview of a known version, has no ``uid``, or what it
        says of itself contradicts its object
    """
    if len(raw) > MAX_BYTES:
        raise Refused(f"the review has more than {MAX_BYTES >> 20} MiB", code="review.too_large")
    try:
        content = parse_json(raw.decode("utf-8"), "the review", "AdmissionReview")
    except (UnicodeDecodeError, ConfigurationError) as error:
        raise Refused(f"it cannot be read: {error}", code="review.unreadable") from None
    document = document_of(content, "")
    version, request = document["apiVersion"].text, document["request"]
    uid = _uid(request["uid"].value)
    spoken = version if version in VERSIONS else VERSIONS[0]
    problem = _problem(document, uid)
    if problem:
        raise Refused(f"it is no review that can be answered: {problem}", code="review.wrong", version=spoken, uid=uid)
    kind = request["kind"]
    return Review(
        version=version,
        uid=uid,
        group=kind["group"].text,
        kind=kind["kind"].text,
        operation=request["operation"].text,
        form=kind["version"].text,
        namespace=request["namespace"].text,
        name=request["name"].text,
        subresource=request["subResource"].text,
        user=request["userInfo"]["username"].text,
        dry_run=request["dryRun"].value is True,
        object=Part(request["object"].value, (), document.lines),
        before=Part(request["oldObject"].value, (), document.lines),
    )


def answer(
    review: Review | Refused, *, allowed: bool, message: str = "", status: int = 403, warnings: Sequence[str] = ()
) -> dict[str, Any]:
    """The AdmissionReview that answers one.

    :param message: why not, for whoever has applied the object
    :param status: HTTP status that the API server answers them with if it is not allowed
    :param warnings: what to tell them besides; v1 alone carries it
    """
    response: dict[str, Any] = {"uid": review.uid, "allowed": allowed}
    if not allowed:
        response["status"] = {"code": status, "message": plain(message, _LONGEST_MESSAGE)}
    if warnings and review.version == VERSIONS[0]:
        response["warnings"] = [plain(one, _LONGEST_WARNING) for one in warnings[:_MOST_WARNINGS]]
    return {"apiVersion": review.version, "kind": "AdmissionReview", "response": response}


def stored(found: Part) -> tuple[Any, Any]:
    """What Argo's controller has stored of a workflow's templates, which it runs instead of reading them anew."""
    return found.at("status", "storedTemplates").value, found.at("status", "storedWorkflowTemplateSpec").value


def _runs(found: Part) -> tuple[dict[str, Any], Any]:
    """All that an object says but of itself, and how many of it are to run."""
    said = {key: part.value for key, part in found.items() if key not in ("metadata", "status")}
    spec = said.get("spec")
    if not isinstance(spec, Mapping):
        return said, None
    return {**said, "spec": {key: value for key, value in spec.items() if key != "replicas"}}, spec.get("replicas")


def _uid(value: Any) -> str:
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_UID and value.isprintable() else ""


def _problem(document: Part, uid: str) -> str:
    """What is wrong with a review; empty if nothing is."""
    request, kind = document["request"], document["request"]["kind"]
    if document["kind"].value != "AdmissionReview":
        return f"its kind is {plain(document['kind'].value, 60)}, not AdmissionReview"
    if document["apiVersion"].value not in VERSIONS:
        return f"its version is {plain(document['apiVersion'].value, 60)}, and {' and '.join(VERSIONS)} are known"
    if not uid:
        return "request.uid is missing"
    if not (isinstance(kind["kind"].value, str) and kind["kind"].value and isinstance(kind["group"].value, str)):
        return "request.kind needs a group and a kind"
    if request["operation"].value not in OPERATIONS:
        return f"the operation is {plain(request['operation'].value, 60)}, and {', '.join(OPERATIONS)} are known"
    for key in ("namespace", "name", "subResource"):
        if not isinstance(request[key].value, str | None):
            return f"request.{key} is no text"
    if request["operation"].value in ("DELETE", "CONNECT"):
        return ""
    return _contradiction(request)


def _contradiction(request: Part) -> str:
    """Where an object says something else of itself than the review says of it."""
    found, kind = request["object"], request["kind"]
    if not found.is_map:
        return "request.object is missing"
    group, _, form = found["apiVersion"].text.rpartition("/")
    if (found["kind"].value, group, form) != (kind["kind"].value, kind["group"].value, kind["version"].value):
        return "request.object is of another kind than request.kind says"
    if not found["metadata"].is_map:
        return "request.object has no metadata"
    inner = found["metadata"]["namespace"].text
    return "request.object lies in another namespace" if inner and inner != request["namespace"].text else ""
