"""Session-level measures on sessions small enough to count by hand."""

import polars as pl
import pytest

from simulator.analysis.realism_measures import MEASURES
from simulator.analysis.realism_sessions import merged_turns, pooled, session_measures
from tests.realism_frames import frames

SESSION = [
    ("therapist", "What brings you here today?"),  # 5 words, a question
    ("client", "Not much."),  # 2, short
    ("therapist", "What brings it up?"),  # 4, a question
    ("client", "Yeah, okay, I suppose it is my work that keeps me up at night."),  # 14, agrees, discloses
    ("therapist", "I see."),  # 2
    ("client", "Thanks for asking me that."),  # 5, short, thanks
]


def row(sessions: list[list[tuple[str, str]]], at: int = 0) -> dict[str, float | None]:
    turns, _ = frames(sessions)
    return session_measures(turns).row(at, named=True)


def test_counts_by_hand() -> None:
    found = row([SESSION])
    assert found["client_words_median"] == 5
    assert found["client_words_mean"] == pytest.approx(7)
    assert found["client_short_share"] == pytest.approx(2 / 3)
    assert found["client_words_variation"] == pytest.approx(((25 + 49 + 4) / 2) ** 0.5 / 7)
    assert found["therapist_words_median"] == 4
    assert found["therapist_words_mean"] == pytest.approx(11 / 3)
    assert found["therapist_word_share"] == pytest.approx(11 / 32)
    assert found["question_rate"] == pytest.approx(2 / 3)
    assert found["session_turns"] == 6
    assert found["client_agrees"] == pytest.approx(1 / 3)
    assert found["client_thanks"] == pytest.approx(1 / 3)
    assert found["first_disclosure"] == 2


def test_too_short_sessions_have_no_value_instead_of_a_default() -> None:
    found = row([SESSION])
    for name in ("opening_commonest", "opening_repeated", "client_distinct_3", "therapist_distinct_3", "sustain_talk"):
        assert found[name] is None
    assert row([SESSION[:4]])["client_words_variation"] is None


def test_every_measure_is_a_column() -> None:
    turns, _ = frames([SESSION])
    assert {measure.name for measure in MEASURES} <= set(session_measures(turns).columns)


def test_consecutive_messages_of_a_speaker_are_one_turn() -> None:
    split = [*SESSION[:3], ("client", "Yeah, okay,"), ("client", "I suppose it is my work that keeps me up at night.")]
    turns, _ = frames([[*split, *SESSION[4:]], SESSION])
    merged = merged_turns(turns)
    assert (
        merged.filter(pl.col("course_id") == "course0000")
        .drop("course_id")
        .equals(merged.filter(pl.col("course_id") == "course0001").drop("course_id"))
    )
    first, second = session_measures(turns).drop("course_id").rows()
    assert first == second


def test_the_end_of_a_session_is_no_neighbour_of_the_next() -> None:
    turns, _ = frames([[("client", "yes")], [("client", "no")]])
    assert len(merged_turns(turns)) == 2


def test_probed_turns_count_for_length_alone() -> None:
    turns, _ = frames([SESSION])
    probed = turns.with_columns(pl.when(pl.col("turn").is_in([4, 5])).then(pl.lit("goodbye")).alias("probe"))
    found = session_measures(probed).row(0, named=True)
    assert found["session_turns"] == 6
    assert found["client_thanks"] == 0
    assert found["client_words_mean"] == pytest.approx(8)


def test_a_session_without_disclosure_discloses_after_its_last_client_turn() -> None:
    assert (
        row([[("therapist", "Hello."), ("client", "It is what it is, and it was like that, and so on.")]])[
            "first_disclosure"
        ]
        == 2
    )  # twelve words, but nobody in them


def test_openings_at_a_fixed_number_of_turns() -> None:
    opening = ["So you", "So you", "So you", "Tell me", "Tell me", "a", "b", "c", "d", "e", "So you", "So you"]
    session = [turn for text in opening for turn in (("therapist", f"{text} x"), ("client", "hm"))]
    found = row([session])
    assert found["opening_commonest"] == pytest.approx(0.3)  # the last two lie beyond the tenth
    assert found["opening_repeated"] == pytest.approx(0.3)


def test_distinct_3_at_a_fixed_number_of_tokens() -> None:
    same, new = " ".join(["a b c"] * 70), " ".join(f"w{i}" for i in range(210))
    turns, _ = frames([[("client", same)], [("client", new)], [("client", "a b c")]])
    assert session_measures(turns)["client_distinct_3"].to_list() == [pytest.approx(3 / 198), 1.0, None]


def test_curly_apostrophes_and_capitals_are_alike() -> None:
    first = row([[("therapist", "Hi."), ("client", "That’s right.")]])
    second = row([[("therapist", "Hi."), ("client", "that's right.")]])
    assert first["client_agrees"] == second["client_agrees"] == 1


@pytest.mark.parametrize(
    ("text", "agrees"),
    [("Yeah.", True), ("Mm-hmm, I know", True), ("You're right about that", True), ("Yesterday was bad", False),
     ("No, yes, maybe", False), ("I agree with her", True), ("Rightly so", False), ("okay", True)],
)  # fmt: skip
def test_agreement_opens_the_turn(text: str, agrees: bool) -> None:
    assert row([[("therapist", "Hi."), ("client", text)]])["client_agrees"] == float(agrees)


def test_pooled_measures_weigh_turns_and_not_sessions() -> None:
    short = [("therapist", "Why?"), ("client", "No.")]
    turns, _ = frames([SESSION, short])
    found = pooled(session_measures(turns))
    assert found["client_words_mean"] == pytest.approx(22 / 4)
    assert found["question_rate"] == pytest.approx(3 / 4)
    assert found["therapist_word_share"] == pytest.approx(12 / 34)


def test_sessions_of_nobody() -> None:
    turns, _ = frames([SESSION])
    assert len(session_measures(turns.head(0))) == 0
    found = row([[("therapist", "Hello?")]])
    assert found["client_short_share"] is None
    assert found["session_turns"] == 1
