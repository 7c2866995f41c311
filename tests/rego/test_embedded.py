"""Embedded Rego in its child processes: right answers, and an error for everything else."""

import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from airflow_mlgov.rego import child, embedded
from airflow_mlgov.rego.embedded import EmbeddedEngine
from airflow_mlgov.rego.protocol import Bundle, RulesError

RULES = "package a\nimport rego.v1\n"


@pytest.fixture
def engine() -> Iterator[EmbeddedEngine]:
    made = EmbeddedEngine()
    yield made
    made.close()


def bundle(text: str, **others: Any) -> Bundle:
    return Bundle({"a.rego": RULES + text}, **others)


def pids(engine: EmbeddedEngine) -> list[int]:
    """The children that wait."""
    return [item._process.pid for item in engine._idle]


def refused(engine: EmbeddedEngine, rules: str, document: Mapping[str, Any] | None = None, **how: Any) -> RulesError:
    with pytest.raises(RulesError) as caught:
        engine.evaluate(bundle(rules), ["data.a.x"], document or {}, **how)
    return caught.value


def test_bundles_are_apart_and_answers_in_order(engine: EmbeddedEngine) -> None:
    paths = ["data.a.x", "data.a.y"]
    modules = {"a.rego": RULES + "x := input.n + 1", "b.rego": RULES + "y contains v if some v in input.list"}
    document = {"n": 1, "list": [1, 3, 2]}
    assert engine.evaluate(Bundle(modules), paths, document) == [2, [1, 2, 3]]
    assert engine.evaluate(bundle("x := 7"), ["data.a.x"], document) == [7]
    assert engine.evaluate(bundle("x := data.most", data={"most": 9}), ["data.a.x"], document) == [9]
    assert engine.evaluate(bundle('x contains {"b": 1}\nx contains [1]\nx contains 2'), ["data.a.x"], {}) == [
        [2, [1], {"b": 1}]
    ]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("x := ", "error"),
        ("y := 1", "there is no rule data.a.x: the modules hold data.a"),
        ("x := y", "unsafe"),
        ("x := 1 if input.nothing", "data.a.x is undefined"),
        ('x := "<undefined>"', "data.a.x is undefined"),
        ("x := to_number(input.text)", "to_number"),
        ('x := time["now_ns"]()', "time.now_ns"),
        ('x := opa["runtime"]().env', "opa.runtime"),
        ('n := "now_ns"\nx := time[n]()', "expecting"),
        ("x := y if { some n in [`now_ns`]; y := time[n]() }", "expecting"),
        ("x := input.f(1)", "input.f"),
        ("x := data.time.now_ns()", "data.time.now_ns"),
        ("import data.time as clock\nx := clock.now_ns()", "clock.now_ns"),
        ("x := y if { y := count([1]) with count as sum }", "replace count"),
        ("f(a) := a\nx := y if { y := f(1) with data.a.f as time.now_ns }", "replace data.a.f"),
        ("x := y if { y := data.a.z with data.a.z as 1 }\nz := 2", "replace data.a.z"),
        ("default x := time.now_ns()", "time.now_ns"),
        ("x := [y | y := time.now_ns()]", "time.now_ns"),
        ("x := {`a`: time.now_ns()}", "time.now_ns"),
        ("f(a) := time.now_ns()\nx := f(1)", "time.now_ns"),
        ("x if { every n in [1] { time.now_ns() > n } }", "time.now_ns"),
        ("x if not time.now_ns() == 1", "time.now_ns"),
        ("x := 1 if false else := time.now_ns()", "time.now_ns"),
        ('x := io.jwt.decode("a")', "io.jwt.decode"),
        ('x := net.cidr_contains("10.0.0.0/8", "10.0.0.1")', "net.cidr_contains"),
        ("x := rego.metadata.rule()", "rego.metadata.rule"),
        ('x := uuid.rfc4122("")', "uuid.rfc4122"),
        ("x contains v if { [p, v] := walk(input) }", "walk"),
        ("x := {y | y := walk(input)}", "walk"),
        ("x if not {1 == 2}", "not"),
        ('x if {"a", "b" in input.s}', "pair"),
        ("import future.keywords.not\nx := 1", "future.keywords.not"),
        ("import time.now_ns as now\nx := now()", "import"),
        ('x := http.send({"method": "get", "url": "http://127.0.0.1"})', "http.send"),
        ("x := y if { y := time.now_ns() with input as {} }", "time.now_ns"),
        ("x := opa.runtime().env", "opa.runtime"),
        ("x contains rand.intn(`a`, 9)", "rand.intn"),
    ],
)
def test_what_cannot_be_answered_or_replayed_is_an_error(engine: EmbeddedEngine, rules: str, message: str) -> None:
    assert message in str(refused(engine, rules, {"text": "no number"}))


@pytest.mark.parametrize(
    "rules",
    [
        "x if not input.acc >= 0.8",
        'x if not input.name in {"a"}',
        'x if not startswith(input.name, "a")',
        "x if not count(input.gates) == 0",
        "f(a) := a.z if a\nx if { y := {}; not f(y) == 1 }",
        "r := 1 if input.r\nx if not r > 1",
        "x if not input.list[input.at]",
        "x if not {input.a} == {1}",
        "x if not input.a == 1 with input as {}",
        "x := [1 | not input.q > 3]",
        "x if { every i in [{}] { not i.a > 1 } }",
        "x := regex.match(`\\w+`, input.text)",
        "x := regex.match(input.pattern, input.text)",
        "x := regex.is_valid(input.pattern)",
        "x := sprintf(input.text, [1])",
        'x := sprintf("%x", [1])',
        "x := json.marshal(input)",
        "p.q.r contains 1\nx := p",
        'x := {"a": 1}[_] if { -input.a == 1 }',
        "x := " + "[" * 13 + "]" * 13,
    ],
)
def test_what_engines_read_differently_is_refused(engine: EmbeddedEngine, rules: str) -> None:
    assert refused(engine, rules, {"text": "a", "pattern": "a", "name": "a", "acc": 1}).code == "rego.refused"


def test_rules_of_the_past_may_say_what_was_allowed_then(engine: EmbeddedEngine) -> None:
    old = bundle("x if not input.acc >= 0.8", vetting="recorded")
    assert engine.evaluate(old, ["data.a.x"], {}) == [True]
    with pytest.raises(RulesError, match=r"time\.now_ns"):
        engine.evaluate(bundle("x := time.now_ns()", vetting="recorded"), ["data.a.x"], {})


def test_a_refusal_names_every_place(engine: EmbeddedEngine) -> None:
    said = str(refused(engine, "x if not input.a > 1\ny if not input.b > 1"))
    assert said.startswith("a.rego:3, a.rego:4: the rules negate")


def test_rules_call_their_own_functions_and_what_is_a_function_of_its_input(engine: EmbeddedEngine) -> None:
    lib = "package lib.texts\nimport rego.v1\nlong(t) if count(t) > input.most\n"
    rules = (
        "import data.lib.texts\nimport data.lib.texts.long as is_long\nsame(t) := t\n"
        "x contains t if { some t in input.texts; is_long(t); texts.long(same(t)); data.lib.texts.long(t) }\n"
        "x contains v if { walk(input.deep, [path, v]); count(path) == 2; is_string(v) }\n"
        "y := t if { t := sprintf(`%s`, [object.get(input, `name`, 0)]) with input.name as `9` }\n"
        'z := data["a"]["same"](regex["match"](`^a`, `ab`))'
    )
    document = {"texts": ["a", "abc"], "most": 2, "deep": {"a": {"b": "c"}}}
    made = Bundle({"a.rego": RULES + rules, "lib.rego": lib})
    assert engine.evaluate(made, ["data.a.x", "data.a.y", "data.a.z"], document) == [["abc", "c"], "9", True]


def test_texts_are_made_as_opa_makes_them(engine: EmbeddedEngine) -> None:
    rules = (
        'x := [sprintf("%v %v %d%% %s %v", [0.00001, {"a": [1, null]}, input.n, "é", {2, 1}]), upper("aé"), lower("Σ")]'
    )
    assert engine.evaluate(bundle(rules), ["data.a.x"], {"n": 1.0}) == [
        ['1e-05 {"a": [1, null]} 1% é {1, 2}', "AÉ", "σ"]
    ]
    assert "no one other case" in str(refused(engine, 'x := upper("ß")'))
    assert "2 verbs and 1 values" in str(refused(engine, 'x := sprintf("%v %v", [1])'))


def test_texts_that_engines_count_differently_are_refused(engine: EmbeddedEngine) -> None:
    counting = bundle("x := count(input.a)")
    assert engine.evaluate(counting, ["data.a.x"], {"a": "é"}) == [1]
    with pytest.raises(RulesError) as caught:
        engine.evaluate(counting, ["data.a.x"], {"a": "👍"})
    assert caught.value.code == "rego.input"
    lists = bundle("s contains v if some v in input.l\nx := count(s) + count([1 | true]) + count(l) if l := [2]")
    assert engine.evaluate(lists, ["data.a.x"], {"l": ["👍"]}) == [3]


def test_a_set_to_which_no_rule_adds_is_an_error(engine: EmbeddedEngine) -> None:
    made = bundle("x contains 1 if input.a\ny contains 1")
    assert engine.evaluate(made, ["data.a.x"], {}, counted="data.a.x") == [[]]
    with pytest.raises(RulesError) as caught:
        engine.evaluate(made, ["data.a.x"], {}, counted="data.a.y")
    assert caught.value.code == "rego.empty"
    with pytest.raises(RulesError, match=r"data\.b"):
        engine.evaluate(made, ["data.b.deny"], {})
    with pytest.raises(RulesError, match="no rule is asked for"):
        engine.evaluate(made, [], {})


SCHEMA = {"type": "object", "required": ["acc"], "properties": {"acc": {"type": "number"}}}


def test_the_input_is_held_against_its_schema_before_any_rule(engine: EmbeddedEngine) -> None:
    made = bundle("x contains 1 if input.acc < 0.8", schema=SCHEMA)
    assert engine.evaluate(made, ["data.a.x"], {"acc": 0.7}) == [[1]]
    for document in ({}, {"acc": "0.7"}, {"acc": None}):
        with pytest.raises(RulesError) as caught:
            engine.evaluate(made, ["data.a.x"], document)
        assert caught.value.code == "rego.input"
    with pytest.raises(RulesError, match="schema"):
        engine.evaluate(bundle("x := 1", schema={"type": 7}), ["data.a.x"], {})
    with pytest.raises(RulesError, match="plain finite JSON"):
        engine.evaluate(bundle("x := 1"), ["data.a.x"], {"acc": float("nan")})


def doubled(times: int) -> str:
    """A text of sixteen letters, doubled so often."""
    steps = "".join(f"t{n + 1} := concat(``, [t{n}, t{n}])\n" for n in range(times))
    return f"t0 := `aaaaaaaaaaaaaaaa`\n{steps}x := t{times}"


@pytest.mark.slow
def test_rules_that_take_all_memory_end_alone(engine: EmbeddedEngine) -> None:
    """A gigabyte and no more, well before the time-out."""
    error = refused(engine, doubled(28), timeout=60)
    assert "more than 1024 MiB end so" in str(error)
    assert error.code == "rego.limit"
    assert pids(engine) == []


def test_an_answer_without_measure_is_refused(engine: EmbeddedEngine) -> None:
    assert "more than 16 MiB" in str(refused(engine, doubled(21), timeout=60))


ENDLESS = "n := numbers.range(1, 5000)\nx := count([1 | some i in n; some j in n; some k in n; i + j == input.a + k])"


def test_rules_that_do_not_end_are_stopped_and_the_next_question_gets_another_child(engine: EmbeddedEngine) -> None:
    assert engine.evaluate(bundle("x := 1"), ["data.a.x"], {}) == [1]
    [before] = pids(engine)
    error = refused(engine, ENDLESS, {"a": 1}, timeout=0.5)
    assert "did not come to an end in 0.5 s" in str(error)
    assert error.code == "rego.limit"
    assert pids(engine) == [before]
    some = bundle(f"{ENDLESS} if input.a\ny := 1")
    assert engine.evaluate(some, ["data.a.y"], {}) == [1]
    slow = pids(engine)[-1]
    with pytest.raises(RulesError):
        engine.evaluate(some, ["data.a.x"], {"a": 1}, timeout=0.5)
    assert engine.evaluate(some, ["data.a.y"], {}) == [1]
    assert pids(engine)[-1] != slow
    with pytest.raises(ProcessLookupError):
        os.kill(slow, 0)


def test_a_child_that_was_killed_is_replaced(engine: EmbeddedEngine) -> None:
    made = bundle("x := 1")
    assert engine.evaluate(made, ["data.a.x"], {}) == [1]
    [before] = pids(engine)
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert engine.evaluate(made, ["data.a.x"], {}) == [1]
    assert pids(engine) != [before]


def test_brackets_that_cost_the_parser_all_time_are_not_parsed(engine: EmbeddedEngine) -> None:
    began = time.monotonic()
    assert "nested 20000 levels deep" in str(refused(engine, "x := " + "[" * 20000 + "]" * 20000))
    assert time.monotonic() - began < 10
    assert engine.evaluate(bundle('x := "[[[[[[[[[[[[[[[" # {{{{{{{{{{{{{{{{{'), ["data.a.x"], {}) == ["[" * 15]


def test_threads_ask_at_once_and_each_has_its_own_answer(engine: EmbeddedEngine) -> None:
    made = bundle("x := input.n * 2")
    found: dict[int, Any] = {}

    def ask(number: int) -> None:
        for _ in range(20):
            found[number] = engine.evaluate(made, ["data.a.x"], {"n": number})

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [number * 2] for number in range(6)}
    assert len(pids(engine)) <= 4


def test_a_forked_process_begins_with_a_child_of_its_own(engine: EmbeddedEngine) -> None:
    made = bundle("x := input.n")
    assert engine.evaluate(made, ["data.a.x"], {"n": 1}) == [1]
    [before] = pids(engine)
    read, write = os.pipe()
    forked = os.fork()
    if forked == 0:  # pytest goes on in the parent alone
        answer = engine.evaluate(made, ["data.a.x"], {"n": 2})
        os.write(write, json.dumps([answer, pids(engine)]).encode())
        engine.close()
        os._exit(0)
    assert os.waitpid(forked, 0)[1] == 0
    answer, theirs = json.loads(os.read(read, 1000))
    assert answer == [2]
    assert before not in theirs
    assert engine.evaluate(made, ["data.a.x"], {"n": 3}) == [3]
    assert pids(engine) == [before]


def test_two_owners_share_no_child() -> None:
    one, other = EmbeddedEngine(), EmbeddedEngine()
    for engine in (one, other):
        engine.evaluate(bundle("x := 1"), ["data.a.x"], {})
    assert not set(pids(one)) & set(pids(other))
    one.close()
    other.close()
    assert pids(one) == []


def test_a_panic_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import regorus

    class Panic(BaseException):
        pass

    def explode() -> None:
        raise Panic("rust")

    monkeypatch.setattr(regorus, "Engine", explode)
    asked = json.dumps({"modules": {}, "data": {}, "vetting": "whole"}).encode()
    source, sink = io.BytesIO(child.LENGTH.pack(len(asked)) + asked), io.BytesIO()
    child.serve(source, sink)
    assert sink.getvalue()[child.LENGTH.size :] == child.WRONG_AND_LAST + b'["broken", "Panic: rust"]'


def test_the_child_sees_no_secret(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SECRET", "geheim")
    engine.evaluate(bundle("x := 1"), ["data.a.x"], {})
    [pid] = pids(engine)
    with open(f"/proc/{pid}/environ", "rb") as environment:
        assert b"geheim" not in environment.read()


def test_an_engine_that_is_not_there_is_an_error(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded.sys, "executable", "/nowhere/python")
    assert refused(engine, "x := 1").code == "rego.no_engine"


@pytest.mark.parametrize(
    ("call", "package", "function"),
    [
        ("time.now_ns()", "time", "now_ns(_)"),
        ('rand.intn("k", 1000)', "rand", "intn(_, _)"),
        ("opa.runtime()", "opa", "runtime(_)"),
        ('uuid.rfc4122("k")', "uuid", "rfc4122(_)"),
        ('http.send({"method": "get", "url": "http://127.0.0.1:9"})', "http", "send(_)"),
    ],
)
def test_a_package_below_that_is_called_like_a_built_in(
    engine: EmbeddedEngine, call: str, package: str, function: str
) -> None:
    """OPA takes the call for the built-in one, and does it."""
    below = f"package a.{package}\nimport rego.v1\n{function} := 5\n"
    modules = {"a.rego": f"package a\nimport rego.v1\nx := {call}\n", "below.rego": below}
    with pytest.raises(RulesError) as caught:
        engine.evaluate(Bundle(modules), ["data.a.x"], {})
    assert caught.value.code == "rego.refused"
    named = {**modules, "a.rego": modules["a.rego"].replace("x := ", f"import data.a.{package}\nx := ")}
    if "(_" in call or package not in ("time", "opa"):  # the others have another number of arguments
        assert engine.evaluate(Bundle(named), ["data.a.x"], {}) == [5]


@pytest.mark.parametrize("name", ["count(_) := 1", "print(_) := true", "sum(_) := 1 if input.x", "f() := 1"])
def test_functions_that_are_called_like_built_in_ones_or_take_nothing(engine: EmbeddedEngine, name: str) -> None:
    with pytest.raises(RulesError) as caught:
        engine.outline(Bundle({"a.rego": f"package a\nimport rego.v1\n{name}\n"}))
    assert caught.value.code == "rego.refused"


def test_what_a_package_below_holds_makes_no_text_a_collection(engine: EmbeddedEngine) -> None:
    """Characters beyond U+FFFF are counted differently, so that it must be told what is a text."""
    modules = {
        "a.rego": "package a\nimport rego.v1\nx := count(input.text)\n",
        "below.rego": "package a.input\nimport rego.v1\ntext := [1]\n",
    }
    with pytest.raises(RulesError) as caught:
        engine.evaluate(Bundle(modules), ["data.a.x"], {"text": "\U0001f600"})
    assert caught.value.code == "rego.input"
