"""Chat JSONL comes in as it went out, in every common form, and every mistake is one line with file and line number."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import UserError
from simulator.records.text import count_words
from simulator.store import compaction
from simulator.store.exporters.exporting import export_run
from simulator.store.importers.chat import ChatOptions, read_chat
from simulator.store.importers.chat_lines import KNOWN, parse_roles
from simulator.store.importers.storing import import_meta, store_parts
from simulator.store.reading import read_table
from simulator.store.runs import RunFolder
from simulator.store.tables import TABLES
from tests.exports_for_tests import course, make_sample
from tests.test_cli import dyad

SAID = [{"role": "assistant", "content": "Hello?"}, {"role": "user", "content": "Hi."}]
HUMAN = ChatOptions("human")


def _write(folder: Path, *lines: Any) -> Path:
    """A chat file; texts and bytes stand as they are, everything else becomes JSON."""
    path = folder / "chat.jsonl"
    raw = [line if isinstance(line, bytes) else line.encode() if isinstance(line, str) else None for line in lines]
    path.write_bytes(
        b"\n".join(a if a is not None else json.dumps(b).encode() for a, b in zip(raw, lines, strict=True))
    )
    return path


def _imported(path: Path, out: Path, options: ChatOptions = HUMAN) -> RunFolder:
    found = read_chat(path, options)
    meta = import_meta(
        name="chat", identity=found.identity, origin=options.origin, licence=options.licence, courses=len(found.courses)
    )
    return store_parts(meta, found.parts(), out)


def _exported(run: RunFolder, out: Path) -> bytes:
    return (export_run(run.path, "chat", out).path / "chat.jsonl").read_bytes()


# -- the way there and back ---------------------------------------------------------------------------------------


def test_a_runs_export_comes_back_as_the_same_bytes(tmp_path: Path) -> None:
    run = make_sample(tmp_path / "run")
    whole = _exported(run, tmp_path / "out")
    simulated = b"".join(line for line in whole.splitlines(True) if b'"origin":"model"' in line)
    path = tmp_path / "again.jsonl"
    path.write_bytes(simulated)
    again = _imported(path, tmp_path / "import", ChatOptions("model"))
    assert _exported(again, tmp_path / "out2") == simulated
    courses = read_table(again, "courses")
    kept = read_table(run, "courses").filter(origin="model")
    assert courses.equals(kept.select(courses.columns))
    both = [read_table(one, "turns", ["course_id", "session", "turn", "role", "text"]) for one in (run, again)]
    assert both[1].equals(both[0].filter(both[0]["course_id"] != course("human")))


def test_a_release_comes_back_as_the_same_bytes(tmp_path: Path) -> None:
    from simulator.store.exporters.options import ExportOptions

    run = make_sample(tmp_path / "run")
    released = export_run(run.path, "chat", options=ExportOptions(release=True)).path / "chat.jsonl"
    again = _imported(released, tmp_path / "import", ChatOptions("model"))
    assert _exported(again, tmp_path / "out") == released.read_bytes()


_texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
_words = _texts.filter(bool)
_names = st.one_of(st.none(), _words)
_lines = st.lists(
    st.fixed_dictionaries(
        {"messages": st.lists(st.tuples(st.sampled_from(["user", "assistant"]), _texts), min_size=1, max_size=5)},
        optional={
            "metadata": st.fixed_dictionaries(
                {},
                optional={
                    "persona": _names, "stratum": _names, "topic": _names, "condition": _words, "cluster": _words,
                    "ending": st.one_of(st.none(), st.just("goodbye")), "day": st.floats(0, 1e6), "course": _words,
                    "replicate": st.integers(0, 2**31 - 1),
                },
            ),
            "extra": st.dictionaries(_texts.filter(lambda key: key not in KNOWN), st.one_of(_texts, st.integers(0, 9))),
        },
    ),
    min_size=1, max_size=4,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(lines=_lines)
def test_export_import_export_is_identical_whatever_was_said(
    lines: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("chat")
    sessions: list[dict[str, Any]] = []
    for number, line in enumerate(lines):
        metadata = line.get("metadata", {})
        if metadata.get("ending", "") is None:
            metadata = {name: value for name, value in metadata.items() if name not in ("day", "topic")}
        if "course" in metadata:  # one course per line: what lines of one course say together is tested elsewhere
            metadata = metadata | {"course": f"{number}{metadata['course']}"}
        messages = SAID[:1] + [{"role": role, "content": text} for role, text in line["messages"]]
        sessions.append({"messages": messages, "metadata": line.get("extra", {}) | metadata | {"number": number}})
    first = _imported(_write(folder, *sessions), folder / "one", ChatOptions("model"))
    exported = _exported(first, folder / "out1")
    (folder / "again.jsonl").write_bytes(exported)
    second = _imported(folder / "again.jsonl", folder / "two", ChatOptions("model"))
    assert _exported(second, folder / "out2") == exported
    said = sorted(json.dumps(session["messages"]) for session in sessions)
    assert sorted(json.dumps(json.loads(line)["messages"]) for line in exported.split(b"\n")[:-1]) == said
    kept = {line["metadata"]["number"]: line["metadata"] for line in map(json.loads, exported.split(b"\n")[:-1])}
    for number, session in enumerate(sessions):
        assert {**session["metadata"], "course": 0}.items() <= {**kept[number], "course": 0}.items()


# -- what the tables hold -----------------------------------------------------------------------------------------


def test_a_foreign_session_becomes_a_course_of_its_own(tmp_path: Path) -> None:
    run = _imported(
        _write(tmp_path, {"messages": SAID, "id": 7, "metadata": {"mood": {"low": True}}}), tmp_path / "run"
    )
    (row,) = read_table(run, "courses").to_dicts()
    assert (row["condition"], row["client"], row["therapist"], row["origin"]) == ("chat", "chat", "chat", "human")
    assert (row["cluster"], row["persona_id"], row["sessions"], row["status"]) == (row["course_id"], None, 1, "ended")
    (session,) = read_table(run, "sessions").to_dicts()
    assert (session["opened_by"], session["ending"], session["turns"]) == ("therapist", "recorded", 2)
    assert session["words"] == count_words("Hello?") + count_words("Hi.")
    turns = read_table(run, "turns").to_dicts()
    assert [(turn["role"], turn["speaker"], turn["text"]) for turn in turns] == [
        ("therapist", "human therapist", "Hello?"), ("client", "human client", "Hi."),
    ]  # fmt: skip
    (event,) = read_table(run, "events").to_dicts()
    assert json.loads(event["payload"]) == {"id": 7, "mood": {"low": True}}
    assert {table for table in TABLES if len(read_table(run, table))} == {"courses", "sessions", "turns", "events"}


def test_every_common_form_is_read_alike(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo?"}]
    forms: list[Any] = [
        {"messages": SAID},
        {"conversations": [{"from": "gpt", "value": "Hello?"}, {"from": "human", "value": "Hi."}]},
        SAID,
        {"messages": [{"role": "assistant", "content": parts}, SAID[1]]},
    ]  # fmt: skip
    found = []
    for number, form in enumerate(forms):
        (tmp_path / str(number)).mkdir()
        run = _imported(_write(tmp_path / str(number), form), tmp_path / str(number) / "run")
        found.append(read_table(run, "turns"))
    assert all(turns.equals(found[0]) for turns in found)


def test_byte_order_mark_blank_lines_and_carriage_returns_are_no_content(tmp_path: Path) -> None:
    line = json.dumps({"messages": SAID}).encode()
    plain = read_chat(_write(tmp_path, line), HUMAN)
    decorated = read_chat(_write(tmp_path, b"\xef\xbb\xbf" + line + b"\r", b"", b"  "), HUMAN)
    assert list(plain.courses) == list(decorated.courses)
    assert decorated.turns == 2
    assert next(decorated.parts())["turns"][0]["text"] == "Hello?"


def test_roles_are_mapped_and_left_out_as_asked(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be kind."}
    path = _write(
        tmp_path, {"messages": [system, {"role": "counselor", "content": "a"}, {"role": "user", "content": "b"}]}
    )
    options = ChatOptions("human", parse_roles("system=-, counselor=therapist, user=partner"))
    assert read_chat(path, options).left_out == 1
    run = _imported(path, tmp_path / "run", options)
    assert read_table(run, "turns").select("turn", "role", "text").rows() == [
        (0, "therapist", "a"),
        (1, "partner", "b"),
    ]


def test_cluster_and_stratum_come_from_the_keys_that_were_named(tmp_path: Path) -> None:
    lines = [
        {"messages": SAID, "video": video, "metadata": {"quality": quality}}
        for video, quality in ((3, "high"), (4, "low"))
    ]
    run = _imported(_write(tmp_path, *lines), tmp_path / "run", ChatOptions("human", {}, "video", "quality"))
    rows = read_table(run, "courses").select("cluster", "stratum", "therapist").rows()
    assert sorted(rows) == [("3", "high", "chat-high"), ("4", "low", "chat-low")]


def test_sessions_of_one_course_belong_together(tmp_path: Path) -> None:
    lines = [{"messages": SAID, "metadata": {"course": "ann", "session": session}} for session in (1, 0)]
    lines += [{"messages": SAID[:1], "metadata": {"course": "ben"}}, {"messages": SAID, "metadata": {"course": "ben"}}]
    run = _imported(_write(tmp_path, *lines), tmp_path / "run")
    assert read_table(run, "courses")["sessions"].to_list() == [2, 2]
    assert sorted(read_table(run, "sessions")["session"].to_list()) == [0, 0, 1, 1]


def test_ids_depend_on_nothing_but_the_session_and_twins_differ(tmp_path: Path) -> None:
    one, other = {"messages": SAID}, {"messages": SAID[:1]}
    both = set(read_chat(_write(tmp_path, one, other), HUMAN).courses)
    assert set(read_chat(_write(tmp_path, other, one), HUMAN).courses) == both
    assert set(read_chat(_write(tmp_path, one), HUMAN).courses) < both
    assert len(read_chat(_write(tmp_path, one, one, one), HUMAN).courses) == 3


def test_many_courses_are_stored_in_ranges_and_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "COURSES_PER_RANGE", 2)
    path = _write(tmp_path, *({"messages": [{"role": "gpt", "content": str(number)}]} for number in range(9)))
    run = _imported(path, tmp_path / "run")
    assert len(list((run.dataset / "turns").iterdir())) == 8
    ids = read_table(run, "courses")["course_id"].to_list()
    assert ids == sorted(ids)
    assert len(_exported(run, tmp_path / "out").splitlines()) == 9


def test_the_same_import_finds_itself_again_and_another_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, {"messages": SAID})
    run = _imported(path, tmp_path / "run")
    before = {str(file): file.read_bytes() for file in run.dataset.rglob("*.parquet")}
    assert _imported(path, tmp_path / "run").identity == run.identity
    assert {str(file): file.read_bytes() for file in run.dataset.rglob("*.parquet")} == before
    with pytest.raises(UserError, match="holds another run"):
        _imported(path, tmp_path / "run", ChatOptions("model"))


# -- mistakes -----------------------------------------------------------------------------------------------------

GOOD = {"messages": SAID}
MISTAKES: list[tuple[Any, str]] = [
    ("{", "line 2: not valid JSON"),
    ("[\n", "line 2: not valid JSON.*one JSON array"),
    (b'{"messages": "\xff"}', "line 2: not UTF-8; save the file as UTF-8"),
    ('{"messages":[{"role":"user","content":"\\ud800"}]}', "line 2: not valid JSON"),
    ([GOOD, GOOD], "line 2: a list of sessions; write one session per line"),
    (3, "line 2: an object with 'messages' is expected"),
    ({"message": SAID}, r"line 2: no key 'messages' or 'conversations' \(keys: message\)"),
    ({"messages": "hello"}, "line 2: 'messages' is not a list"),
    ({"messages": []}, "line 2: no messages"),
    ({"messages": ["hello"]}, "line 2, message 0: an object with 'role' and 'content'"),
    ({"messages": [{"content": "x"}]}, "line 2, message 0: no 'role'"),
    ({"messages": [{"role": "usr", "content": "x"}]}, r"message 0: unknown role 'usr' \(did you mean 'user'\?\)"),
    ({"messages": [{"role": "system", "content": "x"}]}, "unknown role 'system'.*system=- leaves it out"),
    ({"messages": [*SAID, {"role": "user", "content": None}]}, "line 2, message 2: no text in 'content'"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "message 0: a part of type 'image_url'"),
    ({"messages": SAID, "metadata": 1}, "line 2: 'metadata' is not an object"),
    ({"messages": SAID, "metadata": {"session": -1}}, "'session' is not a whole number"),
    ({"messages": SAID, "metadata": {"persona": 4}}, "'persona' is not a text"),
    ({"messages": SAID, "metadata": {"day": True}}, "'day' is not a number"),
    ({"messages": SAID, "metadata": {"status": "endd"}}, r"'status': 'endd' \(did you mean 'ended'\?\)"),
    ({"messages": SAID, "metadata": {"cluster": ""}}, "'cluster' is empty; leave it out"),
    ({"messages": SAID, "metadata": {"ending": None, "day": 1.0}}, "'day' of a session that did not end"),
    ({"messages": SAID, "metadata": {"roles": {"user": "A b"}}}, "'roles' is not an object of roles"),
    ({"messages": SAID, "metadata": {"origin": "scripted"}}, "'origin' is 'scripted', --origin says 'human'"),
    ({"messages": SAID, "topic": "a", "metadata": {"topic": "b"}}, "'topic' stands beside the messages and in"),
    ({"messages": SAID, "metadata": {"course": "x", "session": 0}}, "session 0 of its course stands in line 1 too"),
    ({"messages": SAID, "metadata": {"course": "x", "stratum": "low"}}, "stratum 'low', but 'None' in line 1"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_line_that_cannot_be_read_is_one_line(tmp_path: Path, line: Any, message: str) -> None:
    path = _write(tmp_path, {"messages": SAID, "metadata": {"course": "x"}}, line)
    with pytest.raises(UserError, match=message) as caught:
        read_chat(path, HUMAN)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_files_and_choices_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_chat(tmp_path / "absent", HUMAN)
    with pytest.raises(UserError, match="a folder"):
        read_chat(tmp_path, HUMAN)
    with pytest.raises(UserError, match="no sessions"):
        read_chat(_write(tmp_path, b"", b" "), HUMAN)
    path = _write(tmp_path, {"messages": SAID, "metadata": {"video": 1.5}})
    with pytest.raises(UserError, match=r"line 1: no metadata 'vido' \(did you mean 'video'\?\)"):
        read_chat(path, ChatOptions("human", cluster="vido"))
    with pytest.raises(UserError, match="line 1: no text or whole number in metadata 'video'"):
        read_chat(path, ChatOptions("human", cluster="video"))
    with pytest.raises(UserError, match=r"origin 'humn' \(did you mean 'human'\?\)"):
        ChatOptions("humn")
    for words in ("user", "user=", "=client", "user=Client", "user=a,user=b"):
        with pytest.raises(UserError, match="--roles"):
            parse_roles(words)


COMMANDS = [
    (["import", "chat"], "no file"),
    (["import", "chat", "FILE"], "--origin is missing; say who speaks: --origin human"),
    (["import", "chat", "FILE", "--origin", "robot"], "origin 'robot'"),
    (["import", "annomi", "FILE", "--cluster", "x"], "--cluster belongs to chat"),
]


@pytest.mark.parametrize(("arguments", "message"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_a_mistake_on_the_command_line_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    _write(tmp_path, {"messages": SAID})
    done = dyad(*("chat.jsonl" if word == "FILE" else word for word in arguments), cwd=tmp_path, code=2)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["chat.jsonl"]


def test_the_command_imports_codes_and_prints_counts(tmp_path: Path) -> None:
    _write(tmp_path, {"messages": SAID, "metadata": {"who": "a"}}, {"messages": SAID[:1], "metadata": {"who": "b"}})
    done = dyad("import", "chat", "chat.jsonl", "--origin", "human", "--cluster", "who", "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert (result["courses"], result["sessions"], result["turns"], result["left_out"]) == (2, 2, 3, 0)
    assert result["run"] == f"runs/chat-{result['identity'][:8]}"
    assert len(read_table(tmp_path / result["run"], "codings")) == 3
    assert "report.html" in dyad("report", result["run"], cwd=tmp_path).stdout
