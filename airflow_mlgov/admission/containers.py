"""What the words of a container lead to: variables that are put into them, programs that may fetch anything, and the
volumes that its paths lie in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.pipelines.documents import Part

_VARIABLE = re.compile(r"\$\$|\$\((?P<name>[^()\s]+)\)")
_SOURCES = {"configMapKeyRef": "a ConfigMap", "secretKeyRef": "a Secret", "fileKeyRef": "a file"}
_LONGEST = 32 * 1024
"""Characters that a word may have once its variables are put in."""
ANNOTATION = "an annotation or a label"
_BEFORE = frozenset({
    "env", "exec", "nohup", "timeout", "nice", "ionice", "tini", "dumb-init", "sudo", "su-exec", "gosu", "setsid",
    "stdbuf", "xargs", "time", "catchsegv", "numactl", "taskset", "chroot", "command",
})  # fmt: skip
"""Programs that start the one that they are given."""
_INLINE: Mapping[str, str] = {
    **dict.fromkeys(("sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "rbash"), "cs"),
    "python": "c", "pypy": "c", "perl": "eE", "ruby": "e", "node": "ep", "nodejs": "ep", "php": "r", "lua": "e",
    "Rscript": "e", "pwsh": "c", "bun": "ep",
}  # fmt: skip
"""Interpreters, and the letters of the options by which they are given their program as a word."""
_FETCHERS = frozenset({
    "curl", "wget", "aws", "gsutil", "gcloud", "az", "azcopy", "git", "pip", "uv", "conda", "apt-get", "apk", "rclone",
    "s3cmd", "mc", "huggingface-cli", "hf", "kubectl", "oc", "nc", "ncat", "socat", "ssh", "scp", "sftp", "rsync",
    "oras", "crane", "skopeo", "dvc", "busybox", "ftp", "aria2c",
})  # fmt: skip


@dataclass(frozen=True)
class Variables:
    """The variables of one container."""

    values: Mapping[str, str] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)
    """Name -> where its value stands that is not here."""

    @classmethod
    def of(cls, env: Part) -> Variables:
        """As a container's ``env`` has them, each put into those after it."""
        values: dict[str, str] = {}
        hidden: dict[str, str] = {}
        for part in env.parts():
            name, source = part["name"].text, part["valueFrom"]
            values.pop(name, None)
            hidden.pop(name, None)
            if not source:
                values[name] = cls(values, hidden).put_into(part["value"].text)
            elif found := hidden_by(source):
                hidden[name] = found
        return cls(values, hidden)

    def put_into(self, text: str) -> str:
        """A word as the container gets it; what is hidden stays as it is written.

        :raises ConfigurationError: it unfolds to more than anybody writes
        """
        if "$" not in text:
            return text
        inner = sum(len(self.values.get(match["name"], "")) for match in _VARIABLE.finditer(text))
        if inner and inner + len(text) > _LONGEST:
            raise ConfigurationError(
                f"variables that hold one another unfold to more than {_LONGEST >> 10} KiB: write the value out",
                code="served.too_large",
            )
        return _VARIABLE.sub(
            lambda match: "$" if match["name"] is None else self.values.get(match["name"], match.group()), text
        )

    def hidden_in(self, text: str) -> list[str]:
        """Where the values stand that a word is put together from."""
        return [self.hidden[match["name"]] for match in _VARIABLE.finditer(text) if match["name"] in self.hidden]


def hidden_by(source: Part) -> str:
    """Where a variable's value stands that is not here; empty if the cluster itself gives it, such as a pod's name."""
    for key, name in _SOURCES.items():
        if source[key]:
            return name
    path = source["fieldRef"]["fieldPath"].text
    return ANNOTATION if path.startswith(("metadata.annotations", "metadata.labels")) else ""


def why_any(words: Sequence[str]) -> str:
    """Why a container's command may fetch and serve anything; empty if it starts one program of its image."""
    rest = list(words)
    passed = False
    while rest:
        word = rest.pop(0)
        name = (word.split() or [""])[0].rpartition("/")[2]
        if name in _BEFORE:
            passed = True
        elif not (passed and (word.startswith("-") or "=" in word or word[:1].isdigit())):
            break
    else:
        return ""
    if name in _FETCHERS:
        return f"{name} may fetch any model"
    base = name.rstrip("0123456789.")
    if base not in _INLINE:
        return ""
    return _why_told(name, rest, re.compile(rf"-[A-Za-z]*[{_INLINE[base]}]|--(?:eval|print|command)\b|-Command"))


def _why_told(name: str, rest: Sequence[str], inline: re.Pattern[str]) -> str:
    """Why an interpreter may run anything; empty if it is given a file or a module of the image."""
    words = iter(rest)
    for word in words:
        if word in ("-o", "+o", "-O"):  # a shell's option, with its value
            next(words, None)
        elif word == "-m":
            module = next(words, "")
            return f"{module} may fetch any model" if module in _FETCHERS else ""
        elif not word.startswith("-"):
            return ""
        elif inline.match(word):
            return f"{name} {word} may fetch and serve any model"
    return f"{name} runs whatever it is told"


def volumes_at(mounts: Sequence[Part], path: str) -> Iterator[str]:
    """Names of the volumes that hold what lies at a path: that which it lies in, and those that are mounted below."""
    places = {one["mountPath"].text.rstrip("/"): one["name"].text for one in mounts}
    path = path.rstrip("/")
    within = [place for place in places if path == place or path.startswith(f"{place}/")]
    if within:
        yield places[max(within, key=len)]
    yield from (name for place, name in places.items() if place.startswith(f"{path}/"))
