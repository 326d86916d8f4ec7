"""Utterances: where sentences end, as offsets that lose nothing."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.coding.base import CodedTurn, Judgment
from simulator.coding.rules import RuleCoder
from simulator.coding.units import back_in_turns, in_utterances, utterances


def parts(text: str) -> list[str]:
    return [text[start:end] for start, end in utterances(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Okay. What brings you here?", ["Okay.", "What brings you here?"]),
        (
            "Dr. Smith gave you 2.5 mg, e.g. at night. And then?",
            ["Dr. Smith gave you 2.5 mg, e.g. at night.", "And then?"],
        ),
        ("I was... well... tired. So was she...", ["I was... well... tired.", "So was she..."]),
        ("First line\nSecond line", ["First line", "Second line"]),
        ("1. Sit down. 2. Breathe in.", ["1. Sit down.", "2. Breathe in."]),
        ('She said "stop!" Then she left.', ['She said "stop!"', "Then she left."]),
        ("Really?! No way!!! ...", ["Really?!", "No way!!! ..."]),
        ("No. I did not.", ["No.", "I did not."]),
        ("It was me and I. Then him.", ["It was me and I.", "Then him."]),
        ("no marks at all", ["no marks at all"]),
        ("   ", []),
        ("?", ["?"]),
    ],
)
def test_sentences_end_where_people_end_them(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


@given(st.text(alphabet=st.sampled_from("ab I.?!\n\u2026 \"'1,-"), max_size=60) | st.text(max_size=60))
@settings(deadline=None)
def test_every_letter_stands_in_exactly_one_utterance(text: str) -> None:
    spans = utterances(text)
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    inside = "".join(text[start:end] for start, end in spans)
    assert "".join(inside.split()) == "".join(text.split())
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)


@given(st.lists(st.text(max_size=30), max_size=5))
@settings(deadline=None)
def test_judgments_of_utterances_come_back_with_the_turns_own_offsets(texts: list[str]) -> None:
    turns = [CodedTurn("c", 0, 10 + place, "client", text) for place, text in enumerate(texts)]
    units, places = in_utterances(turns)
    judged = [
        Judgment(unit.turn, "client", "code", "x", 0, len(unit.text), evidence_start=0, evidence_end=1)
        for unit in units
    ]
    for unit, judgment in zip(units, back_in_turns(judged, places), strict=True):
        assert judgment.turn is not None
        text = texts[judgment.turn - 10]
        assert text[judgment.start : judgment.end] == unit.text
        assert judgment.evidence_start == judgment.start
    assert {turn for turn, _ in places} == {turn.turn for turn in turns}


def test_rules_code_the_utterances_of_a_turn() -> None:
    text = "Okay. You should really stop that. How does that sound to you?"
    turns = [CodedTurn("c", 0, 0, "therapist", text)]
    whole, parted = RuleCoder(), RuleCoder(units="utterance")
    assert len(whole.code_session(turns)) == 1
    found = parted.code_session(turns)
    assert [text[each.start : each.end] for each in found] == parts(text)
    assert [each.value for each in found] == ["other", "therapist_input", "question"]
    assert whole.fingerprint != parted.fingerprint
