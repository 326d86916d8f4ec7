"""A conversation is put into the roles that a model's template takes, whoever opens it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.models.messages import Message
from simulator.models.roles import Roles

Turn = tuple[str, str]


def mapped(turns: list[Turn], **roles: Any) -> list[Turn]:
    messages = [Message(role, text) for role, text in turns]  # type: ignore[arg-type]
    return [(message.role, str(message.text)) for message in Roles(**roles).apply(messages)]


S, T, U, A = ("system", "rules"), ("system", "reminder"), ("user", "u"), ("assistant", "a")
OPENER = ("user", "Go on.")


@pytest.mark.parametrize(
    ("turns", "roles", "expected"),
    [
        ([S, U, A, T], {}, [S, U, A, T]),
        ([S, A, U], {"opener": None}, [S, A, U]),
        ([S, A, U], {"opener": "Go on."}, [S, OPENER, A, U]),
        ([S], {"opener": "Go on."}, [S, OPENER]),
        ([S, T], {"opener": "Go on."}, [S, T, OPENER]),
        ([A], {"opener": "Go on."}, [OPENER, A]),
        ([S, U, A, U, T], {"system": "first"}, [S, U, A, U, ("user", "reminder")]),
        ([S, T, U], {"system": "first"}, [("system", "rules\n\nreminder"), U]),
        ([S, U, A, U, T], {"system": "fold"}, [("user", "rules\n\nu"), A, U, ("user", "reminder")]),
        ([S, A, U], {"system": "fold", "opener": "Go on."}, [("user", "rules\n\nGo on."), A, U]),
        ([S], {"system": "fold", "opener": "Go on."}, [("user", "rules\n\nGo on.")]),
        ([S, A], {"system": "fold", "opener": None}, [("user", "rules"), A]),
        ([S, U, U, A, A], {"alternate": True}, [S, ("user", "u\n\nu"), ("assistant", "a\n\na")]),
        ([S, U, A, U, T], {"alternate": True}, [S, U, A, ("user", "u\n\nreminder")]),
        (
            [S, A, U, T],
            {"alternate": True, "system": "fold", "opener": "Go on."},
            [("user", "rules\n\nGo on."), A, ("user", "u\n\nreminder")],
        ),
    ],
)
def test_the_mapping(turns: list[Turn], roles: dict[str, Any], expected: list[Turn]) -> None:
    assert mapped(turns, **roles) == expected


conversations = st.builds(
    lambda head, rest: [("system", "s")] * head + rest,
    st.integers(0, 2),
    st.lists(st.sampled_from([("user", "u"), ("assistant", "a"), ("system", "t")]), max_size=8),
)


@given(conversations, st.sampled_from(["keep", "first", "fold"]))
def test_strict_templates_get_a_user_first_and_roles_that_alternate(turns: list[Turn], system: str) -> None:
    roles = [role for role, _ in mapped(turns, system=system, alternate=True)]
    body = roles[1:] if roles[0] == "system" else roles
    assert roles[0] != "system" or system != "fold"
    assert body == [("user", "assistant")[n % 2] for n in range(len(body))] and body


@given(conversations, st.sampled_from(["keep", "first", "fold"]), st.booleans())
def test_nothing_that_was_said_is_lost(turns: list[Turn], system: str, alternate: bool) -> None:
    text = " ".join(text for _, text in mapped(turns, system=system, alternate=alternate, opener="O"))
    for letter in "uast":
        assert text.count(letter) == sum(said == letter for _, said in turns)


@given(conversations, st.sampled_from(["keep", "first", "fold"]))
def test_a_growing_conversation_grows_at_its_end(turns: list[Turn], system: str) -> None:
    grown = [*turns, ("assistant", "a"), ("user", "u")]
    before, after = mapped(turns, system=system), mapped(grown, system=system)
    if turns and any(role == "user" for role, _ in turns):
        assert after[: len(before)] == before


def test_unchanged_messages_are_the_same_objects_so_that_nothing_is_encoded_twice() -> None:
    messages = [Message("system", "s"), Message("user", "u"), Message("assistant", "a")]
    assert Roles().apply(messages) is messages
    strict = Roles(alternate=True).apply(messages)
    assert [id(message) for message in strict] == [id(message) for message in messages]


def test_what_is_not_plain_text_is_never_merged() -> None:
    call = Message.from_document({"role": "assistant", "content": None, "tool_calls": []})
    messages = [Message("user", "u"), call, Message("assistant", "a"), call]
    assert Roles(alternate=True).apply(messages) == messages
