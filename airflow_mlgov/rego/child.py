"""The child process in which Rego is evaluated: modules once, then one input after another, and the values of rules.
Started by ``embedded.EmbeddedEngine``; holds no secret, and imports nothing of ours but what judges rules.

A crash, a panic, an endless loop or the memory of the engine ends this process and not the one that has to decide.
Each message is its length in eight bytes and then itself.
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from airflow_mlgov.rego.formats import MENDED
from airflow_mlgov.rego.lint import ALL_OF_IT, is_plain, look_at, nodes, package_of, path_of, why_too_deep

LENGTH = struct.Struct(">Q")
"""What stands before each message, and before the rules' names in a question."""
MAX_MEMORY = 1024**3
"""Bytes that this process may map; the engine and Python take an eighth of it."""
MAX_SECONDS = 60
"""Of processor time for one message; the time-out on the clock is the caller's."""
MAX_ANSWER = 16 * 1024**2
"""Bytes."""
_MOST_SHOWN = 5
_LONGEST = 4000
"""Characters of what is said of an error."""
_UNDEFINED = '"<undefined>"'
_MOST_KEPT = MAX_MEMORY // 4
"""Bytes: if it holds more after an answer, the process makes way for another."""
OK, WRONG, LAST, WRONG_AND_LAST = b"+", b"!", b".", b"?"
"""The first byte of an answer: whether it is an error, and whether this process ends after it."""


class Unanswered(Exception):
    """Modules say what they may not, or have no answer.

    :param why: ``refused``, ``undefined`` or ``limit``
    """

    def __init__(self, text: str, why: str) -> None:
        super().__init__(text)
        self.why = why


class Loaded:
    """Modules that were looked at, ready to be asked.

    :param asked: ``modules`` (name -> source), ``data``, ``vetting``; ``look`` if they are looked at alone
    :raises Unanswered: a module says what it may not, or is nested too deeply
    """

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._asked = asked
        for name, text in asked["modules"].items():
            if why := why_too_deep(text):
                raise Unanswered(f"{name}: {why}", "refused")
        self._engine = self._new()
        ast = self._engine.get_ast_as_json()
        trees = json.loads(ast) if isinstance(ast, str) else ast
        report = look_at(trees, whole=asked["vetting"] == "whole")
        if report.refused and not asked.get("look"):
            more = len(report.refused) - _MOST_SHOWN
            said = "; ".join(report.refused[:_MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")
            raise Unanswered(said, "refused")
        self.outline = {
            "heads": [head for tree in trees for head in _outline(tree)],
            "places": {str(tree["source"]["file"]): _places(tree) for tree in trees},
            "counts_text": report.counts_text,
            "reads": sorted({part for tree in trees for part in _reads(tree)}),
            "mistakes": report.mistakes,
        }

    def ask(self, rules: list[str], document: str) -> bytes:
        """The values of rules over an input, as a JSON list.

        :raises Unanswered: a rule is undefined, or the values are too large
        """
        try:
            self._engine.set_input_json(document)
            found = [self._engine.eval_rule_as_json(rule) for rule in rules]
        except BaseException:
            self._engine = self._new()  # whatever was left half done
            raise
        for rule, value in zip(rules, found, strict=True):
            if value == _UNDEFINED:
                raise Unanswered(f"{rule} is undefined for this input", "undefined")
        answer = f"[{','.join(found)}]".encode()
        if len(answer) > MAX_ANSWER:
            raise Unanswered(f"the rules answer with more than {MAX_ANSWER // 1024**2} MiB", "limit")
        return answer

    def _new(self) -> Any:
        import regorus

        engine = regorus.Engine()
        if self._asked["vetting"] == "whole":
            for name, (count, function) in MENDED.items():
                engine.add_extension(name, count, function)
        for name, source in self._asked["modules"].items():
            engine.add_policy(name, source)
        if self._asked["data"]:
            engine.add_data_json(json.dumps(self._asked["data"]))
        return engine


def _outline(tree: Any) -> list[dict[str, Any]]:
    """The rules of one module: what they are called, what they are, where."""
    text: bytes = tree["source"]["contents"].encode()
    package = ".".join(package_of(tree))
    found = []
    for rule in tree["ast"]["rules"]:
        [(kind, said)] = rule.items()
        [(form, head)] = said["head"].items() if kind == "Spec" else [("Default", said)]
        place = said["span"]
        found.append(
            {
                "module": str(tree["source"]["file"]),
                "path": ".".join((package, *(path_of(head["refr"]) or ("?",)))),
                "kind": {"Set": "set", "Func": "function", "Default": "default"}.get(form, "value"),
                "line": place["line"],
                "ends": text.count(b"\n", 0, place["end"]) + 1,
                "has_body": bool(said.get("bodies")) or (form == "Compr" and not _is_fact(head)),
            }
        )
    return found


def _is_fact(head: Any) -> bool:
    """Whether a rule without a body gives what is written there."""
    return is_plain((head.get("assign") or {}).get("value"))


def _reads(tree: Any) -> Iterator[str]:
    """The fields of the input that a module reads, by name; :data:`ALL_OF_IT` where a name is not written there."""
    waiting: list[Any] = [[item["refr"] for item in tree["ast"]["imports"]], tree["ast"]["rules"]]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            if node.get("value") == "input" and "eidx" in node:
                yield ALL_OF_IT
            path = path_of(node) if node.keys() & {"RefDot", "RefBrack"} else None
            if path is not None and path[0] == "input":
                yield path[1]
            elif _is_of_input(node.get("RefBrack", {})):
                yield ALL_OF_IT
                waiting.append(node["RefBrack"]["index"])
            else:
                waiting += node.values()


def _is_of_input(reference: Any) -> bool:
    return bool(reference.get("refr", {}).get("Var", {}).get("value") == "input")


def _places(tree: Any) -> list[int]:
    """Where in the bytes of a module its package's name begins, and where each ``data`` ends."""
    begins = min(node["Var"]["span"]["start"] for node in nodes(tree["ast"]["package"]["refr"]) if "Var" in node)
    roots = (node["Var"] for node in nodes([tree["ast"]["imports"], tree["ast"]["rules"]]) if "Var" in node)
    return [begins, *sorted(root["span"]["end"] for root in roots if root["value"] == "data")]


def limit_itself() -> None:
    """Bound what this process may take; without effect where the system cannot."""
    limits = {resource.RLIMIT_AS: MAX_MEMORY, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}
    for what, most in limits.items():
        with suppress(ValueError, OSError):
            hard = resource.getrlimit(what)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (most, most))


def begin_message() -> None:
    """From now on, so much processor time and no more."""
    with suppress(ValueError, OSError):
        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        most = int(used.ru_utime + used.ru_stime) + MAX_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Load what comes first, then answer until nothing more comes, or until so much memory was taken once that another
    process had better go on."""
    loaded: Loaded | None = None
    while (message := _receive(source)) is not None:
        begin_message()
        try:
            if loaded is None:
                loaded = Loaded(json.loads(message))
                status, answer = OK, json.dumps(loaded.outline).encode()
            else:
                length = LENGTH.unpack_from(message)[0]
                rules = json.loads(message[LENGTH.size : LENGTH.size + length])
                status, answer = OK, loaded.ask(rules, message[LENGTH.size + length :].decode())
        except BaseException as error:  # a Rust panic is no Exception
            status, answer = WRONG, json.dumps(_told(error)).encode()
        is_last = loaded is None or _resident() > _MOST_KEPT
        if is_last:
            status = LAST if status == OK else WRONG_AND_LAST
        sink.write(LENGTH.pack(len(answer) + 1) + status + answer)
        sink.flush()
        if is_last:
            return


def _resident() -> int:
    """The bytes that this process holds now; 0 if the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def _told(error: BaseException) -> tuple[str, str]:
    """What kind of thing went wrong, and its words, without the engine's own trace."""
    if isinstance(error, Unanswered):
        return error.why, str(error)[:_LONGEST]
    text = str(error).partition("\n\nStack backtrace")[0].strip()
    named = "" if isinstance(error, RuntimeError) else f"{type(error).__name__}: "
    return "broken", named + text[:_LONGEST]


def _receive(source: BinaryIO) -> bytes | None:
    """The next message; None if there is none."""
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    length = LENGTH.unpack(head)[0]
    message = source.read(length)
    return message if len(message) == length else None


def main() -> None:
    """Serve on stdin and stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this process ends it
    limit_itself()
    serve(sys.stdin.buffer, sys.stdout.buffer)
