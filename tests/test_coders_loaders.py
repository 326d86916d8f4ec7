"""Coded data sets by local path, each tested with a made-up file of its format; every mistake is one line."""

import hashlib
from pathlib import Path

import pytest

from simulator.coding.loaders import FORMATS, read_examples, read_reply_ids
from simulator.errors import UserError
from tests.coded_for_tests import annomi_rows, epitome_rows, published, write

MIBOT = (
    "session_id,utterance_index,volley_index,speaker,text,auto_misc_label\n"
    "m1,2,1,counsellor,What brings you?,q\n"
    "m1,1,1,counsellor,Hello.,other\n"
    "m1,3,2,client,I want to quit.,c\n"
    "m2,1,1,client,Yes.,\n"
)
BOLT = (
    "text_id,text,label,in_annomi,in_hlqc\n"
    "t1,How did that feel?,Questions on Emotions,0,0\n"
    "t1,How did that feel?,Questions on Experiences,0,0\n"
    "t2,Try a list.,Problem-Solving,0,0\n"
)
HUMANE = (
    "item_id,question_id,principle,question,answer,ai_model,rating\n"
    "h1,q1,respect-user-attention,Should I go on?,Take a break.,m,1\n"
    "h2,q1,respect-user-attention,Should I go on?,Stay with me.,m,-0.5\n"
    "h3,q2,foster-healthy-relationships,Who helps me?,Your friends.,m,\n"
)
TABLE = (
    "session,turn,role,text,group,code:mood,code:act\n"
    "s1,2,client,Well.,g1,1,\n"
    "s1,1,therapist,Hello.,g1,0,greet\n"
    "s2,1,client,Bye.,g2,2,leave\n"
)


def file(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("form", ["shared", "published"])
def test_annomi_in_both_forms(tmp_path: Path, form: str) -> None:
    rows = annomi_rows(4, turns=6)
    examples = read_examples(write(tmp_path / "a.csv", published(rows) if form == "published" else rows))
    assert (examples.name, examples.group, [task.name for task in examples.tasks]) == (
        "annomi", "videos", ["therapist", "client"],
    )  # fmt: skip
    assert len(examples.sessions) == 4
    assert len({session.group for session in examples.sessions}) == 2
    therapist = examples.tasks[0]
    codes = [row["main_therapist_behaviour"] for row in rows]
    found = [therapist.values[place] if place >= 0 else "" for place in examples.values(therapist)]
    assert found == codes


def test_epitome_pairs_with_levels_and_the_stretches_that_carry_them(tmp_path: Path) -> None:
    rows = epitome_rows(6)
    rows.append(rows[0])
    examples = read_examples(write(tmp_path / "epitome.csv", rows))
    assert (examples.group, [task.name for task in examples.tasks]) == ("posts", ["er", "ip", "ex"])
    assert len(examples.sessions) == 6, "a repeated reply counts once"
    for session, row in zip(examples.sessions, rows, strict=False):
        reply = session.turns[1].text
        assert session.codes["er"] == {1: row["emotional_reactions_level"]}
        assert [reply[a:b] for a, b in session.evidence["er"][1]] == [
            part for part in [row["emotional_reactions_rationale"]] if part
        ]


def test_epitome_as_its_authors_publish_it_one_mechanism_a_file(tmp_path: Path) -> None:
    text = (
        "sp_id,rp_id,seeker_post,response_post,level,rationales\n"
        "a,r1,I am low.,I am sorry. Call me.,2,I am sorry.|\n"
        "a,r2,I am low.,Call me.,0,\n"
    )
    path = file(tmp_path, "emotional-reactions-reddit.csv", text)
    examples = read_examples(path)
    assert [task.name for task in examples.tasks] == ["er"]
    assert examples.sessions[0].evidence["er"][1] == [(0, 11)]
    ids = file(tmp_path, "again.csv", "rp_id\nr1\n")
    assert len(read_examples(path, left_out=read_reply_ids(ids)).sessions) == 1
    with pytest.raises(UserError, match="must say which in its name"):
        read_examples(file(tmp_path, "reddit.csv", text))


def test_mibot_utterances_in_order_with_a_models_codes(tmp_path: Path) -> None:
    examples = read_examples(file(tmp_path, "u.csv", MIBOT))
    first, second = examples.sessions
    assert [(turn.role, turn.text) for turn in first.turns] == [
        ("therapist", "Hello."), ("therapist", "What brings you?"), ("client", "I want to quit."),
    ]  # fmt: skip
    assert first.codes == {"therapist": {0: "other", 1: "q"}, "client": {2: "c"}}
    assert second.codes == {}


def test_bolt_utterances_with_several_labels(tmp_path: Path) -> None:
    examples = read_examples(file(tmp_path, "therapist_train.csv", BOLT))
    assert [task.code for task in examples.tasks] == [
        "problem_solving", "questions_on_emotions", "questions_on_experiences",
    ]  # fmt: skip
    assert {name: codes[0] for name, codes in examples.sessions[0].codes.items()} == {
        "problem_solving": "absent", "questions_on_emotions": "present", "questions_on_experiences": "present",
    }  # fmt: skip
    with pytest.raises(UserError, match="whose utterances it holds: therapist or client"):
        read_examples(file(tmp_path, "train.csv", BOLT))


def test_humanebench_with_and_without_ratings(tmp_path: Path) -> None:
    examples = read_examples(file(tmp_path, "answers.csv", HUMANE))
    assert [session.codes for session in examples.sessions] == [
        {"respect_attention": {1: "+1.0"}}, {"respect_attention": {1: "-0.5"}}, {},
    ]  # fmt: skip
    assert examples.tasks[0].ordinal
    bare = "\n".join(line.rsplit(",", 1)[0] for line in HUMANE.splitlines())
    assert read_examples(file(tmp_path, "bare.csv", bare)).tasks == ()


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    examples = read_examples(file(tmp_path, "mine.csv", TABLE))
    assert (examples.name, examples.group) == ("mine", "groups")
    tasks = {task.name: task for task in examples.tasks}
    assert set(tasks) == {"mood@client", "mood@therapist", "act@client", "act@therapist"}
    assert (tasks["mood@client"].ordinal, tasks["mood@client"].values) == (True, ("1", "2"))
    assert not tasks["act@client"].ordinal
    assert [turn.text for turn in examples.sessions[0].turns] == ["Hello.", "Well."]


def test_the_bytes_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    path = file(tmp_path, "mine.csv", TABLE)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_examples(path, sha256=digest.upper()).source_hash == digest
    assert read_examples(path, sha256=digest[:8]).source_hash == digest
    with pytest.raises(UserError, match="this is another file"):
        read_examples(path, sha256="0" * 64)
    with pytest.raises(UserError, match="at least its first 8"):
        read_examples(path, sha256="abc")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "x,y\n1,2\n", "row 1: the header is that of no known format"),
        ("u.csv", MIBOT.replace("counsellor,Hello", "councellor,Hello"), "row 3: speaker 'councellor'"),
        ("u.csv", MIBOT.replace(",other", ",othr"), "row 3: auto_misc_label 'othr'"),
        ("u.csv", MIBOT.replace("m1,3", "m1,x"), "row 4: utterance_index 'x' is not a whole number"),
        ("therapist.csv", BOLT.replace("Problem-Solving", " "), "row 4: label is empty"),
        ("therapist.csv", BOLT.replace("t2,Try", "t1,Try"), "row 4: text_id 't1' stands for two texts"),
        ("h.csv", HUMANE.replace(",1\n", ",0.7\n"), "row 2: rating '0.7'"),
        ("h.csv", HUMANE.replace("foster", "fosters"), "row 4: principle 'fosters-healthy-relationships'"),
        ("t.csv", TABLE.replace("s1,2", ",2"), "row 2: session or role is empty"),
        ("t.csv", TABLE.replace("Hello.,g1", "Hello.,g9"), "session 's1' has several values of group: g1, g9"),
        ("t.csv", TABLE.replace("code:", "kode:"), "no column 'code:NAME'"),
        ("t.csv", TABLE.replace("Well.,g1,1,", "Well.,g1"), "row 2: 5 cells for 7 columns"),
        ("t.csv", "", "empty"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_file_and_row(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = file(tmp_path, name, text)
    with pytest.raises(UserError) as caught:
        read_examples(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_format_can_be_named(tmp_path: Path) -> None:
    assert read_examples(file(tmp_path, "mine.csv", TABLE), "table").name == "mine"
    with pytest.raises(UserError, match="no data format 'anomi'"):
        read_examples(file(tmp_path, "mine.csv", TABLE), "anomi")
    assert set(FORMATS) == {"annomi", "epitome", "mibot", "bolt", "humanebench", "table"}
