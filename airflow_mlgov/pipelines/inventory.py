"""What a pipeline's file holds besides its steps: images, actions and templates of others, secrets in plain text.

Found wherever they stand in the document, so that a reader that knows a platform better is not needed. A value that
looks like a secret is never copied: its key, the reason and the line are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_mlgov.pipelines.documents import Part

_MOST = 2_000
_IMAGE_KEYS = frozenset({"image", "ImageUri", "TrainingImage", "Image", "predictorImage"})
_NO_IMAGES = frozenset(
    {"with", "env", "labels", "annotations", "parameters", "inputDefinitions", "matrix", "variables", "inputs"}
)
"""Keys below which ``image`` is a word of somebody's own."""
_WORDS = r"password|passwd|passphrase|pwd|secret|token|api_?key|access_?key|secret_?key|private_?key|account_?key"
_SECRET_KEY = re.compile(rf"(?:^|_)(?:{_WORDS})(?:_value)?$")
_REFERENCE = re.compile(
    r"""\$\{|\$\(|\$[A-Za-z_]|\{\{|^<.*>$|^%\(|^@|^vault:|^arn:|^projects/|^\*+$|^x+$|^/|^\./|^file:|^env:|^ref\+""",
    re.I,
)
"""A value that stands for one that is elsewhere."""
_NAME_OF_ONE = re.compile(r"[A-Z]+(?:_[A-Z0-9]+)+|[\w.]*\(.*|[a-z_]+(?:\.[a-z_]+)+")
"""What a variable or a call looks like, and no password."""
_A_COUNT = re.compile(r"(?:^|_)(?:max|min|num|n|count|limit|length|ttl|timeout|size)_")
_NO_SECRET = frozenset({"", "true", "false", "none", "null", "inherit", "optional", "required", "string", "str", "read",
                        "write", "admin", "default", "unset", "empty", "todo", "masked"})  # fmt: skip
_KNOWN: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----")),
    ("an AWS access key", re.compile(r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])")),
    ("a GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,})")),
    ("a GitLab token", re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}")),
    ("a Slack token", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    ("a Google API key", re.compile(r"\bAIza[A-Za-z0-9_-]{35}")),
    ("a Hugging Face token", re.compile(r"\bhf_[A-Za-z0-9]{30,}")),
    ("an OpenAI or Anthropic key", re.compile(r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}")),
    ("a Stripe key", re.compile(r"\b[rs]k_live_[A-Za-z0-9]{16,}")),
    (
        "a package registry's token",
        re.compile(r"\b(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}|dckr_pat_[\w-]{20,})"),
    ),
    ("a Vault token", re.compile(r"\bhv[sbr]\.[A-Za-z0-9_-]{24,}")),
    ("a signed token (JWT)", re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")),
    (
        "a password in a URL",
        re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@$'\"{}<>]+:(?![$%*{<])[^\s/@'\"{}<>]{3,}@", re.I),
    ),
)
_ASSIGNED = re.compile(r"""(?<![\w-])([A-Za-z][A-Za-z0-9_]*)\s*(?:=|:\s)\s*(["']?)([^\s"'`;|&]{6,})\2""", re.I)
_GIVEN = re.compile(r"""(?:^|\s)--?([a-z][a-z-]*?)(?:=|\s+)(["']?)([^\s"'`;|&-][^\s"'`;|&]{5,})\2""", re.I)
_PINNED_ACTION = re.compile(r"@(?:[0-9a-f]{40}|sha256:[0-9a-f]{64})$")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Found:
    """One thing in a file."""

    text: str
    """The image or action; of a secret the key that it stands under, never itself."""
    where: str
    """``file:line``."""
    why: str = ""
    """What is wrong, if the text does not say it."""


@dataclass(frozen=True)
class Inventory:
    """What stands in one file."""

    images: tuple[Found, ...] = ()
    actions: tuple[Found, ...] = ()
    """What others publish and the pipeline runs by name: actions, templates, includes."""
    secrets: tuple[Found, ...] = ()
    cut: bool = False
    """Whether there is more than was noted."""


def inventory_of(documents: Sequence[Part]) -> Inventory:
    """What stands in the documents of a file."""
    walk = _Walk()
    for document in documents:
        walk.part(document, "", free=False)
    return walk.inventory()


def inventory_of_text(text: str, file: str) -> Inventory:
    """Secrets and images of a file that is no YAML: a Jenkinsfile."""
    walk = _Walk()
    for at, line in enumerate(text.split("\n"), start=1):
        walk.line(line, f"{file}:{at}", "")
        for image in re.findall(r"""\bimage\s*[( ]\s*["']([^"']+)["']""", line):
            walk.add(walk.images, Found(image, f"{file}:{at}"))
    return walk.inventory()


def inventory_of_tasks(tasks: Mapping[str, Mapping[str, Any]], file: str) -> Inventory:
    """What stands in the arguments of a DAG's tasks.

    :param tasks: id -> argument by name, as Airflow has parsed it
    :param file: the DAG's, as messages name it
    """
    walk = _Walk()
    for task, values in tasks.items():
        where = f"{file} (task {task})"
        for name, value in values.items():
            if name in _IMAGE_KEYS and isinstance(value, str) and value:
                walk.add(walk.images, Found(value, where))
            walk.value(name, value, where)
    return walk.inventory()


class _Walk:
    def __init__(self) -> None:
        self.images: dict[Found, None] = {}
        self.actions: dict[Found, None] = {}
        self.secrets: dict[Found, None] = {}
        self._cut = False

    def inventory(self) -> Inventory:
        return Inventory(tuple(self.images), tuple(self.actions), tuple(self.secrets), self._cut)

    def add(self, to: dict[Found, None], found: Found) -> None:
        if len(to) < _MOST:
            to.setdefault(found)
        else:
            self._cut = True

    def part(self, part: Part, key: str, *, free: bool) -> None:
        """A value and what lies in it.

        :param key: what it stands under
        :param free: whether it lies below a key whose inner keys are somebody's own
        """
        if part.is_map:
            self._mapping(part, free=free)
        elif part.is_list:
            for one in part.parts():
                self.part(one, key, free=free)
        elif text := part.text:
            self._text(key, part, text)

    def _mapping(self, part: Part, *, free: bool) -> None:
        if not free:
            self._runs(part)
        if name := part["name"].text:  # a pair of Kubernetes: {name: TOKEN, value: …}
            for other in ("value", "default", "defaultValue"):
                if part[other].text:
                    self._text(name, part[other], part[other].text)
        if part["kind"].text == "Secret" and part["apiVersion"].text == "v1":
            for held in ("data", "stringData"):
                for key, value in part[held].items():
                    if value.text and not _REFERENCE.search(value.text):
                        self.add(self.secrets, Found(key, value.where, "the value of a Secret"))
        for key, value in part.items():
            self.part(value, key, free=free or key in _NO_IMAGES)

    def _runs(self, part: Part) -> None:
        """Images and what others publish, of one mapping."""
        for key, value in part.items():
            if key in _IMAGE_KEYS or key == "container":
                self._image(value, bare=key == "container")
            elif key == "services" and value.is_list:
                for one in value.parts():
                    self._image(one, bare=False)
            elif key == "uses" and value.text and not value.text.startswith("./"):
                self._action(value)
            elif key == "include" and part.path == ():
                for one in value.several():
                    self._included(one)
        if part["resolver"].text == "git":
            self._resolved(part)

    def _image(self, value: Part, *, bare: bool) -> None:
        """An image, or the mapping that names one.

        :param bare: whether a plain word may be something else's name
        """
        name = value.text or value["name"].text
        if name and (not bare or "/" in name or ":" in name):
            self.add(self.images, Found(name, value.where))

    def _resolved(self, part: Part) -> None:
        """What Tekton fetches from a repository."""
        said = {one["name"].text: one["value"].text for one in part["params"].parts()}
        pinned = _COMMIT.fullmatch(said.get("revision", ""))
        name = f"{said.get('url', said.get('repo', 'git'))}@{said.get('revision', '(its default branch)')}"
        self.add(self.actions, Found(name, part.where, "" if pinned else "it is named by a branch or a tag"))

    def _action(self, value: Part) -> None:
        pinned = _PINNED_ACTION.search(value.text)
        why = "" if pinned else "it is named by a branch or a tag" if "@" in value.text else "it names no version"
        self.add(self.actions, Found(value.text, value.where, why))

    def _included(self, one: Part) -> None:
        """GitLab's ``include`` from another project or host."""
        for kind in ("project", "component", "remote", "template"):
            if name := one[kind].text:
                ref = one["ref"].text or (name.rpartition("@")[2] if kind == "component" else "")
                pinned = _COMMIT.fullmatch(ref) or one["integrity"].text
                why = "" if pinned else "it may change behind its name" if not ref else f"{ref} is no commit"
                self.add(self.actions, Found(f"include {name}", one.where, why))

    # -- secrets ----------------------------------------------------------------------------------------------------

    def value(self, key: str, value: Any, where: str) -> None:
        """A plain Python value, such as an operator's argument."""
        if isinstance(value, str):
            if looks_secret(key, value):
                self.add(self.secrets, Found(key, where, "the name says so, and a value stands there"))
            for line in value.split("\n"):
                self.line(line, where, key)
        elif isinstance(value, Mapping):
            for name, inner in value.items():
                self.value(str(name), inner, where)
        elif isinstance(value, list | tuple):
            for inner in value:
                self.value(key, inner, where)
        elif name := getattr(value, "name", None):  # a Kubernetes object: V1EnvVar
            self.value(str(name), getattr(value, "value", None), where)

    def _text(self, key: str, part: Part, text: str) -> None:
        if "\n" not in text and looks_secret(key, text):
            self.add(self.secrets, Found(key, part.where, "the key says so, and a value stands there"))
            return
        first = part.first_line or part.line
        file = part.lines.file
        for at, line in enumerate(text.split("\n")):
            self.line(line, f"{file}:{first + at}" if first else file, key)

    def line(self, line: str, where: str, key: str) -> None:
        """One line of a script, or of any text."""
        if len(line) > 20_000:
            line, self._cut = line[:20_000], True
        for why, pattern in _KNOWN:
            if pattern.search(line):
                self.add(self.secrets, Found(key or "(a line)", where, why))
        for pattern in (_ASSIGNED, _GIVEN):
            for name, _, value in pattern.findall(line):
                if looks_secret(name, value):
                    self.add(self.secrets, Found(name, where, "it is given to a command as it is"))


def looks_secret(key: str, value: str) -> bool:
    """Whether a key says that its value is a secret, and the value stands there itself."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key.strip()).lower().replace("-", "_").replace(".", "_")
    if not _SECRET_KEY.search(name):
        return False
    said = value.strip().strip("\"'")
    if said.lower() in _NO_SECRET or len(said) < 6 or _REFERENCE.search(said) or _NAME_OF_ONE.fullmatch(said):
        return False
    return not (_A_COUNT.search(name) and re.fullmatch(r"[0-9.]+", said))
