"""The embedded engine: regorus, in child processes that live on. A child holds one bundle, is given nothing of this
process' environment, and is ended where it takes too long; the next question gets another."""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from airflow_mlgov.rego import child as child_process
from airflow_mlgov.rego.child import LENGTH, MAX_ANSWER, MAX_MEMORY
from airflow_mlgov.rego.inputs import require_valid
from airflow_mlgov.rego.protocol import Bundle, Head, Look, Outline, PolicyEngine, Question, RulesError, plain_json

TIMEOUT_SECONDS = 20.0
_INHERITED = ("LD_LIBRARY_PATH", "LANG", "LC_ALL")
_MOST_IDLE = 4
"""Children that wait for another question, of all bundles together."""
_PIECE = 1 << 16
_FOUR_BYTES = re.compile(rb"[\xf0-\xff]")
_BOOT = "import sys; sys.path[:0] = sys.argv[1:]; from airflow_mlgov.rego.child import main; main()"


class EmbeddedEngine(PolicyEngine):
    """Evaluates in child processes, one for each bundle and, where several threads ask at once, one for each of them.

    An engine is made for one owner: what holds the secrets of one team is not handed the inputs of another. Threads may
    share it; after a fork, the new process begins with children of its own.

    :param timeout: seconds for one evaluation, or for loading a bundle
    """

    def __init__(self, timeout: float = TIMEOUT_SECONDS) -> None:
        self.timeout = timeout
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        _engines.add(self)

    @property
    def name(self) -> str:
        """``regorus`` and its version."""
        return f"regorus {_version()}"

    def answer(self, question: Question) -> list[Any]:
        """See :meth:`~airflow_mlgov.rego.protocol.PolicyEngine.answer`."""
        text = plain_json(question.document)
        require_valid(question.bundle, question.document)
        end = _End(self.timeout if question.timeout is None else question.timeout)
        child = self._take(question.bundle, end)
        try:
            if not child.is_there:
                raise RulesError("the rules take too much memory when they are loaded", code="rego.limit")
            require_rules(child.outline, question.rules, question.counted)
            if child.counts_text:
                require_countable(text)
            found = child.ask(question.rules, text, end)
        finally:
            self._give_back(child)
        return in_order(child.outline, question.rules, found)

    def outline(self, bundle: Bundle) -> Outline:
        """See :meth:`~airflow_mlgov.rego.protocol.PolicyEngine.outline`."""
        child = self._take(bundle, _End(self.timeout))
        self._give_back(child)
        return child.outline

    def look(self, bundle: Bundle) -> Look:
        """What modules hold, also if they may not be evaluated, and everything that is wrong with them.

        :raises RulesError: they do not parse
        """
        child = _Child(bundle, _End(self.timeout), look=True)
        child.end()
        return Look(child.outline, child.mistakes)

    def close(self) -> None:
        """End all children that wait."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.end()

    def forget(self) -> None:
        """In a process that was forked: the children are the other process'."""
        self._lock = threading.Lock()
        idle, self._idle = self._idle, []
        for child in idle:
            child.let_go()

    def _take(self, bundle: Bundle, end: _End) -> _Child:
        with self._lock:
            for child in reversed(self._idle):
                if child.key == bundle.key:
                    self._idle.remove(child)
                    break
            else:
                child = None
        if child is not None and child.is_there:
            return child
        if child is not None:
            child.end()
        return _Child(bundle, end)

    def _give_back(self, child: _Child) -> None:
        """Keep it for the next question, if it is still there; the one that waited longest makes way."""
        if not child.is_there:
            child.end()
            return
        with self._lock:
            self._idle.append(child)
            gone = self._idle.pop(0) if len(self._idle) > _MOST_IDLE else None
        if gone is not None:
            gone.end()


class _End:
    """When time is up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    @property
    def milliseconds(self) -> float:
        """That are left.

        :raises _TooLong: none
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise _TooLong
        return left * 1000 + 1


class _TooLong(Exception):
    pass


class _Gone(Exception):
    pass


class _Child:
    """One process, with one bundle loaded.

    :raises RulesError: it cannot be started, or what is in the bundle does not parse, or is refused
    """

    def __init__(self, bundle: Bundle, end: _End, *, look: bool = False) -> None:
        self.key = bundle.key
        self._is_mine = True
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, *_paths()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ},
                cwd=os.sep,
                bufsize=0,
            )
        except OSError as error:
            raise RulesError(f"the engine cannot be started: {error.strerror}", code="rego.no_engine") from error
        self._write, self._read = _number(self._process.stdin), _number(self._process.stdout)
        for pipe in (self._write, self._read):
            os.set_blocking(pipe, False)
        asked = {
            "modules": dict(bundle.modules),
            "data": dict(bundle.data),
            "vetting": bundle.vetting,
            "look": look,
        }
        said = json.loads(self._exchange(json.dumps(asked).encode(), end))
        heads = tuple(Head(**head) for head in said["heads"])
        self.outline = Outline(heads, said["places"], frozenset(said["reads"]))
        self.mistakes = {text: [(name, line) for name, line in places] for text, places in said["mistakes"].items()}
        self.counts_text: bool = said["counts_text"]

    @property
    def is_there(self) -> bool:
        """Whether it can be asked."""
        return self._is_mine and self._process.poll() is None

    def ask(self, rules: Sequence[str], document: bytes, end: _End) -> list[Any]:
        """The values of rules.

        :raises RulesError: they have none, or it took too long
        """
        names = json.dumps(list(rules)).encode()
        answer = self._exchange(LENGTH.pack(len(names)) + names + document, end)
        found: list[Any] = json.loads(answer)
        return found

    def _exchange(self, message: bytes, end: _End) -> bytes:
        try:
            self._send(LENGTH.pack(len(message)), message, end)
            length = LENGTH.unpack(self._receive(LENGTH.size, end))[0]
            if not 0 < length <= MAX_ANSWER + 1:
                raise _Gone
            answer = self._receive(length, end)
        except _TooLong:
            self.end()
            raise RulesError(
                f"the rules did not come to an end in {end.seconds:g} s: ask for less, or in fewer steps",
                code="rego.limit",
            ) from None
        except (_Gone, OSError):
            raise self._why_gone() from None
        except BaseException:
            self.end()  # whoever interrupts leaves no answer behind for the next question
            raise
        status, rest = answer[:1], answer[1:]
        if status in (child_process.LAST, child_process.WRONG_AND_LAST):
            self.end()
        if status in (child_process.WRONG, child_process.WRONG_AND_LAST):
            raise _error(*json.loads(rest))
        return rest

    def _send(self, head: bytes, message: bytes, end: _End) -> None:
        left = memoryview(head + message)
        while left:
            try:
                left = left[os.write(self._write, left[:_PIECE]) :]
            except BlockingIOError:
                _wait(self._write, select.POLLOUT, end)

    def _receive(self, length: int, end: _End) -> bytes:
        found = bytearray()
        while len(found) < length:
            try:
                piece = os.read(self._read, min(length - len(found), 16 * _PIECE))
            except BlockingIOError:
                _wait(self._read, select.POLLIN, end)
                continue
            if not piece:
                raise _Gone
            found += piece
        return bytes(found)

    def _why_gone(self) -> RulesError:
        """What is said of a process that ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        code = self._process.poll()
        said = _rest(_number(self._process.stderr)).decode(errors="replace").strip()[-300:]
        self.end()
        why = f"{said}; rules that take more than {MAX_MEMORY // 1024**2} MiB end so too"
        return RulesError(f"the engine ended with code {code}: {why.lstrip('; ')}", code="rego.limit")

    def end(self) -> None:
        """End the process, whatever it does."""
        self._is_mine = False
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        self._close()

    def let_go(self) -> None:
        """Close what leads to it, and leave the process alone: it is another's."""
        self._is_mine = False
        self._process.returncode = 0
        self._close()

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _error(why: str, text: str) -> RulesError:
    """What a child says went wrong."""
    if why == "refused":
        return RulesError(text, code="rego.refused")
    if why == "undefined":
        return RulesError(text, code="rego.undefined")
    return RulesError(text, code="rego.limit") if why == "limit" else RulesError(text, code="rego.broken")


def _number(pipe: IO[bytes] | None) -> int:
    return -1 if pipe is None else pipe.fileno()


def _rest(pipe: int) -> bytes:
    """What stands in a pipe now."""
    os.set_blocking(pipe, False)
    try:
        return os.read(pipe, _PIECE)
    except OSError:
        return b""


def _wait(pipe: int, event: int, end: _End) -> None:
    waiting = select.poll()
    waiting.register(pipe, event)
    waiting.poll(end.milliseconds)


def require_rules(outline: Outline, rules: Sequence[str], counted: str) -> None:
    """Refuse to ask for what is not there.

    :raises RulesError: no rule has one of the names, or none adds to the set that is counted
    """
    there = {head.path for head in outline.heads if head.kind != "function"}
    missing = [rule for rule in rules if rule not in there and not any(path.startswith(f"{rule}.") for path in there)]
    if missing or not rules:
        known = ", ".join(outline.packages()) or "no package"
        what = f"there is no rule {missing[0]}" if missing else "no rule is asked for"
        raise RulesError(f"{what}: the modules hold {known}", code="rego.no_rule")
    if counted and not outline.adding_to(counted):
        raise RulesError(f"no rule adds to {counted}: the rules would evaluate to nothing", code="rego.empty")


def require_countable(text: bytes) -> None:
    """Refuse texts that engines count differently.

    :param text: UTF-8
    :raises RulesError: a character takes four bytes
    """
    if not text.isascii() and _FOUR_BYTES.search(text):
        raise RulesError(
            "the input holds characters beyond U+FFFF, such as pictures, and the rules may count characters, which "
            "engines do differently: count collections alone, or take them out of the input",
            code="rego.input",
        )


def in_order(outline: Outline, rules: Sequence[str], values: Sequence[Any]) -> list[Any]:
    """Values with those of sets in the order of their JSON, whatever order an engine has given them in."""
    sets = {head.path for head in outline.heads if head.kind == "set"}
    return [
        sorted(value, key=plain_json) if rule in sets and isinstance(value, list) else value
        for rule, value in zip(rules, values, strict=True)
    ]


@cache
def _paths() -> tuple[str, str]:
    """Where the child finds this package and regorus, and nothing else."""
    spec = importlib.util.find_spec("regorus")
    if spec is None or not spec.origin:
        raise RulesError("the embedded engine, regorus, is not installed", code="rego.no_engine")
    return str(Path(__file__).parents[2]), str(Path(spec.origin).parents[1])


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gordon-to-regorus")
    except PackageNotFoundError:
        return "(of an unknown version)"


_engines: weakref.WeakSet[EmbeddedEngine] = weakref.WeakSet()


def _forget_all() -> None:
    for engine in list(_engines):
        engine.forget()


def _close_all() -> None:
    for engine in list(_engines):
        engine.close()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)


@cache
def embedded() -> EmbeddedEngine:
    """The engine of this process."""
    return EmbeddedEngine()
