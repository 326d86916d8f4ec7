"""The contamination probe on the mock server: what was learnt by heart is found, stock phrases and copies are not."""

import csv
import json
from pathlib import Path

import pytest

from simulator.cli.main import _dispatch
from simulator.coding.base import CodedTurn
from simulator.coding.contamination import cut, longest, prompt, words_of
from simulator.errors import UserError
from tests.mock_for_tests import mock_server

SESSIONS, TURNS = 10, 10
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def said(session: int, turn: int) -> str:
    name = f"{NUMBERS[session]}{NUMBERS[turn]}"
    return f"mark{NUMBERS[session]} " + " ".join(f"{name}word{NUMBERS[n]}" for n in range(9)) + "."


def after(session: int) -> str:
    return "\n".join(said(session, turn) for turn in range(TURNS // 2, TURNS))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "public.csv"
    with file.open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(["session", "role", "text", "code:asks"])
        for session in range(SESSIONS):
            for turn in range(TURNS):
                role = ("client", "therapist")[turn % 2]
                out.writerow([session, role, said(session, turn), "" if turn % 2 == 0 else ("yes", "no")[session % 2]])
    return file


def probe(data: Path, capsys: pytest.CaptureFixture[str], rules: list[dict[str, str]]) -> dict[str, float]:
    with mock_server(rules=rules) as mock:
        assert _dispatch(["contamination", *mock.overrides, "--against", str(data), "--json"]) == 0
    found: dict[str, float] = json.loads(capsys.readouterr().out)
    return found


def test_transcripts_known_by_heart_are_found(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = [{"match": f"mark{NUMBERS[n]} ", "answer": after(n)} for n in range(4)]
    found = probe(data, capsys, rules)
    assert (found["sessions"], found["failed"]) == (SESSIONS, 0)
    assert found["overlap"] == pytest.approx(0.4) and found["verbatim"] == pytest.approx(0.4)
    assert found["overlap_elsewhere"] == 0 and found["longest"] == 50


def test_copies_of_what_was_shown_and_stock_phrases_are_no_sign(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copies = [{"match": f"mark{name} ", "answer": said(n, 0) + said(n, 1)} for n, name in enumerate(NUMBERS)]
    assert probe(data, capsys, copies)["overlap"] == 0
    one_for_all = [{"match": "mark", "answer": after(3)}]
    found = probe(data, capsys, one_for_all)
    assert found["overlap"] == pytest.approx(0.1) == found["overlap_elsewhere"]  # no more than by chance


def test_the_next_part_is_never_in_the_prompt() -> None:
    turns = [CodedTurn("c", 0, turn, "client", said(1, turn)) for turn in range(TURNS)]
    excerpt = cut(turns)
    assert excerpt is not None
    asked = prompt(excerpt)
    assert said(1, 4) in asked and said(1, 5) not in asked
    assert list(excerpt.after) == words_of(after(1))
    assert cut(turns[:2]) is None
    assert longest(words_of("a b c x"), words_of("z a b c")) == 3


def test_mistakes_are_one_line(data: Path) -> None:
    with pytest.raises(UserError, match="no model"):
        _dispatch(["contamination", "--against", str(data)])
    with pytest.raises(UserError, match="configuration: "):
        _dispatch(["contamination", "modle=endpoint", "--against", str(data)])
