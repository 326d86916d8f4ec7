"""Instruments: what is scored follows from the file, nothing is filled in, and every mistake is one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from simulator.errors import UserError
from simulator.instruments import adaptation, list_instruments, load_instrument, load_wording, score
from simulator.instruments.loading import BANK
from simulator.instruments.schema import Instrument, Options
from simulator.instruments.scoring import Score, keyed_answer
from simulator.sessions.administration import InstrumentChoice

EVERY_FORM = [
    (name, form)
    for name in list_instruments()
    for form, printing in load_instrument(name).forms.items()
    if printing.key != "unread" and load_instrument(name).options is not None
]


def _pole(instrument: Instrument, form: str, best: bool) -> dict[str, float]:
    """Raw answers that put every item of a form at the best (or worst) pole of its scale."""
    answers = {}
    for item in instrument.items_of(form):
        options = instrument.options_of(item, form)
        top = options.maximum if best else options.minimum
        answers[item.id] = options.mirrored(top) if item.id in instrument.form(form).reverse else top
    return answers


def _straight(instrument: Instrument, value: float) -> dict[str, float]:
    return {item.id: value for item in instrument.items}


def _by_scale(scores: list[Score]) -> dict[str, float | None]:
    return {each.scale: each.score for each in scores}


# -- totals that are known from elsewhere -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "form", "best", "worst", "straight_line_maximum"),
    [
        ("CECS", "clientcast", 364, 52, 280),
        ("HAQ-II", "clientcast", 114, 19, 89),
        ("HAQ-II", "official", 114, 19, 89),
        ("SEQ", "clientcast", 147, 21, 87),
        ("SRS", "clientcast", 40, 0, 40),
        ("SRS", "official", 40, 0, 40),
        ("STAI-S", "official", 80, 20, 50),
        ("CES-D", "official", 60, 0, 48),
        ("OQ-45", "official", 180, 0, 144),
        ("DASS-21", "official", 63, 0, 63),
        ("PHQ-4", "official", 12, 0, 12),
        ("CARE", "official", 50, 10, 50),
        ("WAI-SR", "clientcast", 60, 12, 36),
        ("WAI-SR", "official", 60, 12, 60),
        ("PHQ-9", "official", 27, 0, 27),
        ("GAD-7", "official", 21, 0, 21),
    ],
)
def test_golden_totals(name: str, form: str, best: float, worst: float, straight_line_maximum: float) -> None:
    instrument = load_instrument(name)
    assert instrument.options is not None
    assert _by_scale(score(instrument, _pole(instrument, form, best=True), form))["total"] == best
    assert _by_scale(score(instrument, _pole(instrument, form, best=False), form))["total"] == worst
    straight = _straight(instrument, instrument.options.maximum)
    assert _by_scale(score(instrument, straight, form))["total"] == straight_line_maximum


def test_pooled_aspects_of_clientcast_hold_its_108_items_once_and_35_reversed() -> None:
    sizes = {"session outcome": 0, "therapeutic alliance": 0, "self-reported feelings": 0}
    asked = reversed_items = 0
    for name in ("CECS", "HAQ-II", "SEQ", "SRS", "WAI-SR"):
        instrument = load_instrument(name)
        asked += len(instrument.items_of("clientcast"))
        reversed_items += len(instrument.form("clientcast").reverse)
        for scale in instrument.scales_of("clientcast"):
            if scale.name in sizes and scale.items != "all":
                sizes[scale.name] += len(scale.items)
        if name == "WAI-SR":  # its session outcome is exactly the Task subscale
            (task,) = (scale for scale in instrument.scales_of("clientcast") if scale.name == "Task")
            sizes["session outcome"] += len(task.items)
    assert (asked, reversed_items) == (108, 35)
    assert sizes == {"session outcome": 28, "therapeutic alliance": 70, "self-reported feelings": 10}


def test_what_was_not_read_refuses_by_score_and_by_form() -> None:
    oq, cecs = load_instrument("OQ-45"), load_instrument("CECS")
    scores = {each.scale: each for each in score(oq, _straight(oq, 0), "official")}
    assert scores["total"].score == 36
    assert scores["symptom distress"].score is None
    assert "was not read" in str(scores["symptom distress"].missing_reason)
    with pytest.raises(UserError, match="the key of form 'official' was not read"):
        score(cecs, _straight(cecs, 4), "official")
    rulers = load_instrument("READINESS")
    with pytest.raises(UserError, match="it comes with a licensed wording file"):
        score(rulers, {"importance": 4}, "official")


def test_the_total_of_the_helping_alliance_is_given_without_the_item_on_depending() -> None:
    haq = load_instrument("HAQ-II")
    scores = _by_scale(score(haq, _pole(haq, "official", best=True) | {"1": 1.0}, "official"))
    assert (scores["total"], scores["total without item 1"]) == (109, 108)


def test_keys_and_cut_offs_from_memory_say_so_beside_the_score() -> None:
    for name, mark in (("CES-D", "key from memory"), ("DASS-21", "key from memory"), ("PHQ-4", "cut-offs from memory")):
        instrument = load_instrument(name)
        assert mark in score(instrument, _straight(instrument, 0), "official")[0].marks
    for name in ("RELIANCE", "LONELINESS"):
        instrument = load_instrument(name)
        assert not instrument.validated
        assert "not validated" in score(instrument, _straight(instrument, 1), "official")[0].marks


def test_the_key_belongs_to_the_form() -> None:
    wai = load_instrument("WAI-SR")
    assert wai.form("official").reverse == []
    assert wai.form("clientcast").reverse == ["2", "5", "6", "8", "10", "11"]
    straight = _straight(wai, 5)
    assert _by_scale(score(wai, straight, "official"))["Task"] == 20
    assert _by_scale(score(wai, straight, "clientcast"))["Task"] == 5 + 1 + 1 + 5
    item = wai.items[1]
    assert wai.options_of(item, "official").labels[0] == "seldom"
    assert wai.options_of(item, "clientcast").labels[0] == "always"


def test_seq_indexes_are_means_in_the_official_form_and_sums_in_clientcasts() -> None:
    seq = load_instrument("SEQ")
    best = _pole(seq, "official", best=True)
    official = _by_scale(score(seq, best, "official"))
    assert official == {"Depth": 7, "Smoothness": 7, "Positivity": 7, "Arousal": 7}
    pooled = _by_scale(score(seq, best, "clientcast"))
    assert (pooled["session outcome"], pooled["self-reported feelings"]) == (77, 70)
    assert pooled["self-reported feelings (all indexes)"] == 140
    # by hand: S3 = 2 -> 6, S4 = 5, S7 = 1 -> 7, S8 = 4, S9 = 4 -> 4; mean 26 / 5
    depth = best | {"S3": 2.0, "S4": 5.0, "S7": 1.0, "S8": 4.0, "S9": 4.0}
    assert _by_scale(score(seq, depth, "official"))["Depth"] == pytest.approx(5.2)


def test_phq9_bands_are_the_published_cut_offs() -> None:
    phq9 = load_instrument("PHQ-9")
    expected = {0: "minimal", 4: "minimal", 5: "mild", 9: "mild", 10: "moderate", 15: "moderately severe"}
    expected |= {19: "moderately severe", 20: "severe", 27: "severe"}
    for total, band in expected.items():
        answers = {str(k + 1): float(min(3, max(0, total - 3 * k))) for k in range(9)}
        assert [(each.score, each.band) for each in score(phq9, answers, "official")] == [(total, band)]


# -- what weakens a score stands beside it ------------------------------------------------------------------------


def test_marks_name_what_weakens_a_score() -> None:
    seq, wai, phq9 = (load_instrument(name) for name in ("SEQ", "WAI-SR", "PHQ-9"))
    for each in score(seq, _straight(seq, 4), "official"):
        assert each.marks == ("wording: paraphrase", "key from memory")
    for each in score(wai, _straight(wai, 3), "clientcast"):
        assert each.marks == ("wording: paraphrase", "adapted")
    (total,) = score(phq9, _straight(phq9, 0), "official", adapted=True)
    assert total.marks == ("wording: paraphrase", "adapted")
    (total,) = score(phq9, _straight(phq9, 0), "official", wording="licensed")
    assert total.marks == ()


def test_a_positive_item_nine_flags_and_the_rule_says_what_follows() -> None:
    phq9 = load_instrument("PHQ-9")
    assert [each.flagged for each in score(phq9, _straight(phq9, 0) | {"9": 1}, "official")] == [True]
    assert [each.flagged for each in score(phq9, _straight(phq9, 3) | {"9": 0}, "official")] == [False]
    assert [each.flagged for each in score(phq9, _straight(phq9, 0) | {"9": None}, "official")] == [None]
    assert "Nothing else changes" in phq9.flags[0].triggers


def test_when_an_instrument_may_be_given() -> None:
    phq9, seq = load_instrument("PHQ-9"), load_instrument("SEQ")
    assert adaptation(phq9, "course_start", None) is None
    assert adaptation(phq9, "course_start", 14) is None
    assert "13 days ago" in str(adaptation(phq9, "course_start", 13))
    assert "belongs to course_start" in str(adaptation(phq9, "session_end", None))
    assert adaptation(seq, "session_end", 0) is None


# -- missing answers ----------------------------------------------------------------------------------------------


def test_a_missing_answer_makes_the_scale_missing_with_count_and_reason() -> None:
    phq9 = load_instrument("PHQ-9")
    answers: dict[str, float | None] = {str(k): 3.0 for k in range(1, 8)}
    (total,) = score(phq9, answers | {"8": None}, "official")
    assert (total.score, total.band, total.missing_items, total.items) == (None, None, 2, 9)
    assert total.missing_reason == "2 of 9 items missing: 8, 9"


def test_only_the_scales_that_need_the_item_are_missing() -> None:
    seq = load_instrument("SEQ")
    scores = {each.scale: each for each in score(seq, _straight(seq, 4) | {"S3": None}, "official")}
    assert scores["Depth"].score is None
    assert scores["Smoothness"].score == 4
    assert scores["Smoothness"].missing_reason is None


@pytest.mark.parametrize("answer", [4.0, -1.0, 1.5, float("nan"), float("inf")])
def test_an_answer_that_is_no_option_is_missing_and_named(answer: float) -> None:
    phq9 = load_instrument("PHQ-9")
    (total,) = score(phq9, _straight(phq9, 1) | {"3": answer}, "official")
    assert total.score is None
    assert total.missing_reason == f"1 of 9 items missing: 3 (answer {answer:g} is no option)"


def test_answers_to_unknown_items_and_forms_are_refused_with_the_nearest_name() -> None:
    phq9 = load_instrument("PHQ-9")
    with pytest.raises(UserError, match="form 'official' has no item '10'"):
        score(phq9, {"10": 1}, "official")
    with pytest.raises(UserError, match="did you mean 'official'"):
        score(phq9, {}, "oficial")


# -- properties ---------------------------------------------------------------------------------------------------


@given(st.data())
def test_scores_stay_in_bounds_and_missing_is_never_filled(data: st.DataObject) -> None:
    name, form = data.draw(st.sampled_from(EVERY_FORM))
    instrument = load_instrument(name)
    answers: dict[str, float | None] = {}
    for item in instrument.items_of(form):
        options = instrument.options_of(item, form)
        whole = st.integers(int(options.minimum), int(options.maximum)).map(float)
        answers[item.id] = data.draw(st.one_of(st.none(), whole))
    low, high = (_by_scale(score(instrument, _pole(instrument, form, best), form)) for best in (False, True))
    for each in score(instrument, answers, form):
        scale = next(scale for scale in instrument.scales_of(form) if scale.name == each.scale)
        ids = list(answers) if scale.items == "all" else scale.items
        if scale.key == "unread":
            assert each.score is None
            continue
        assert each.missing_items == sum(answers[item] is None for item in ids)
        assert (each.score is None) == (each.missing_items > 0) == (each.missing_reason is not None)
        if each.score is not None:
            assert low[each.scale] <= each.score <= high[each.scale]  # type: ignore[operator]


@given(st.integers(-5, 5), st.integers(1, 12), st.data())
def test_reversing_twice_changes_nothing_and_stays_on_the_scale(minimum: int, width: int, data: st.DataObject) -> None:
    options = Options(minimum=minimum, maximum=minimum + width)
    raw = float(data.draw(st.integers(minimum, minimum + width)))
    once = keyed_answer(raw, options, reverse=True)
    assert options.accepts(once)
    assert keyed_answer(once, options, reverse=True) == raw
    assert keyed_answer(raw, options, reverse=False) == raw


# -- the bank -----------------------------------------------------------------------------------------------------


def test_the_bank_lists_loads_and_is_found_under_any_spelling() -> None:
    assert {"CECS", "HAQ-II", "SEQ", "SRS", "WAI-SR", "PHQ-9", "GAD-7", "PHQ-4"} <= set(list_instruments())
    assert len(list_instruments()) == 17
    for name in list_instruments():
        instrument = load_instrument(name)
        assert load_instrument(name.lower().replace("-", "_")) is instrument
        assert instrument.wording in ("paraphrase", "project", "none")
        for item in instrument.items:
            if instrument.wording == "none":
                assert item.first is None
                with pytest.raises(UserError, match="load a licensed wording file"):
                    instrument.question(item, "first")
                continue
            assert instrument.question(item, "first")
            assert instrument.question(item, "third")
    with pytest.raises(UserError, match="did you mean 'PHQ-9'"):
        load_instrument("PHQ-99")


def test_structures_agree_with_the_published_ones() -> None:
    sizes = {"PHQ-9": (9, 0, 3), "GAD-7": (7, 0, 3), "SEQ": (21, 1, 7), "WAI-SR": (12, 1, 5)}
    for name, (items, minimum, maximum) in sizes.items():
        instrument = load_instrument(name)
        assert instrument.options is not None
        assert (len(instrument.items), instrument.options.minimum, instrument.options.maximum) == (
            items,
            minimum,
            maximum,
        )
    seq = load_instrument("SEQ")
    assert all(item.low and item.high for item in seq.items)
    assert len(seq.form("official").reverse) == 10
    assert {load_instrument(name).minimum_days_between for name in ("PHQ-9", "GAD-7")} == {14}


def test_shipped_settings_name_instruments_forms_and_allowed_moments() -> None:
    folder = Path(__file__).parent.parent / "conf" / "instruments"
    for name in sorted(path.stem for path in folder.glob("*.yaml")):
        text = (folder / f"{name}.yaml").read_text()
        content = yaml.safe_load(text)
        together = text.startswith("# @package instruments\n")
        assert together or text.startswith(f"# @package instruments.{name}\n")
        for setting in map(InstrumentChoice.model_validate, content.values() if together else [content]):
            instrument = load_instrument(setting.instrument)
            assert setting.form in instrument.forms
            assert setting.respondent in instrument.respondents
            assert setting.adapted is False
            assert all(adaptation(instrument, moment, None) is None for moment in setting.moments)


# -- files of one's own -------------------------------------------------------------------------------------------

OWN: dict[str, Any] = {
    "name": "MADE-UP",
    "title": "A made-up scale",
    "version": "1",
    "measures": "nothing",
    "respondents": ["client"],
    "wording": "project",
    "validated": False,
    "rights": "written for this test",
    "source": "this test",
    "moments": ["session_end"],
    "options": {"minimum": 1, "maximum": 5},
    "items": [{"id": str(k), "first": f"Question {k}"} for k in range(1, 5)],
    "forms": {"official": {"reverse": ["2"], "source": "this test"}},
    "scales": [{"name": "total", "items": "all", "kind": "sum", "higher": "better", "source": "this test"}],
}


def _own(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(OWN | changes))
    return path


def test_an_instrument_is_one_yaml(tmp_path: Path) -> None:
    (total,) = score(load_instrument(_own(tmp_path)), {"1": 5, "2": 1, "3": 5, "4": 5}, "official")
    assert (total.score, total.marks) == (20, ("not validated",))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"nmae": "x"}, r"nmae: unknown field \(did you mean 'name'\?\)"),
        ({"version": 1}, "version: "),
        ({"options": {"minimum": 5, "maximum": 1}}, "maximum 1 must be above minimum 5"),
        ({"options": {"minimum": 1, "maximum": 5, "labels": ["a", "b"]}}, "2 labels for 5 steps"),
        ({"options": None}, "no response scale"),
        ({"items": [*OWN["items"], {"id": "1", "first": "Again"}]}, "id '1' stands twice"),
        ({"items": [{"id": "1"}, {"id": "2"}]}, "items: every item needs a wording"),
        ({"forms": {"official": {"reverse": ["9"], "source": "x"}}}, "forms.official.reverse: no item '9'"),
        ({"scales": [OWN["scales"][0] | {"items": ["1", "7"]}]}, "scales.total.items: no item '7'"),
        ({"scales": [OWN["scales"][0] | {"kind": "difference"}]}, "a difference takes two items, not 4"),
        ({"scales": [OWN["scales"][0] | {"forms": ["offical"]}]}, "no form 'offical'"),
        ({"scales": [OWN["scales"][0] | {"bands": [{"from": 5, "label": "a"}, {"from": 1, "label": "b"}]}]}, "ascend"),
        ({"scales": [OWN["scales"][0], OWN["scales"][0]]}, "stands twice"),
        ({"flags": [{"item": "9", "at_least": 1, "meaning": "x", "triggers": "y"}]}, "flags: no item '9'"),
    ],
)
def test_a_wrong_file_is_one_line_with_file_and_field(tmp_path: Path, changes: dict[str, Any], line: str) -> None:
    path = _own(tmp_path, **changes)
    with pytest.raises(UserError, match=line) as caught:
        load_instrument(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert ": :" not in str(caught.value)


def test_a_stated_rule_is_the_only_way_to_score_with_missing_answers(tmp_path: Path) -> None:
    scale = OWN["scales"][0] | {"missing": {"allowed": 1, "source": "this test's manual"}}
    instrument = load_instrument(_own(tmp_path, scales=[scale]))
    (total,) = score(instrument, {"1": 5, "2": 1, "3": 2, "4": None}, "official")
    assert (total.score, total.missing_items) == (16, 1)
    assert total.marks == ("not validated", "1 of 4 items by the mean of answered items")
    assert total.missing_reason == "1 of 4 items missing: 4"
    (total,) = score(instrument, {"1": 5, "2": 1}, "official")
    assert total.score is None


def test_scales_can_be_differences_multiples_parts_of_a_form_and_continuous(tmp_path: Path) -> None:
    part = {"name": "part", "items": ["1", "2"], "kind": "mean", "higher": "better", "source": "x", "multiplier": 2}
    change = {"name": "change", "items": ["4", "1"], "kind": "difference", "higher": "better", "source": "x"}
    forms = OWN["forms"] | {"short": {"items": ["2", "1"], "source": "x"}}
    scales = [part, change | {"forms": ["official"]}]
    options = {"minimum": 0, "maximum": 10, "continuous": True}
    instrument = load_instrument(_own(tmp_path, forms=forms, scales=scales, options=options))
    assert [item.id for item in instrument.items_of("short")] == ["2", "1"]
    assert _by_scale(score(instrument, {"1": 2.5, "2": 7.0}, "short")) == {"part": 9.5}
    answers = {"1": 2.5, "2": 7.0, "3": 0.0, "4": 9.0}
    assert _by_scale(score(instrument, answers, "official")) == {"part": 5.5, "change": 6.5}


OUTLINE: dict[str, Any] = OWN | {
    "wording": "none",
    "items": [],
    "item_count": 10,
    "scales": [],
    "forms": {"official": {"key": "unread", "source": "not read"}},
}


def test_an_outline_loads_and_refuses_to_score(tmp_path: Path) -> None:
    path = tmp_path / "outline.yaml"
    path.write_text(yaml.safe_dump(OUTLINE))
    with pytest.raises(UserError, match="key of form 'official' was not read"):
        score(load_instrument(path), {}, "official")
    with pytest.raises(ValidationError, match="the key is 'unread'"):
        Instrument.model_validate(OUTLINE | {"forms": {"official": {"source": "x"}}})


# -- licensed wording ---------------------------------------------------------------------------------------------


def _wording(tmp_path: Path, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "instrument": "WAI-SR",
        "licence": "permission of 2026-01-01",
        "scale": {"minimum": 1, "maximum": 5},
        "items": [{"id": str(k), "first": f"Licensed {k}", "third": f"Licensed, observed {k}"} for k in range(1, 13)],
    }
    path = tmp_path / "wording.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


def test_licensed_wording_replaces_ours_and_leaves_the_keys(tmp_path: Path) -> None:
    ours = load_instrument("WAI-SR")
    licensed = load_wording(_wording(tmp_path), ours)
    assert licensed.question(licensed.items[4], "first") == "Licensed 5"
    assert licensed.forms == ours.forms
    assert licensed.fingerprint != ours.fingerprint
    assert score(licensed, _straight(licensed, 3), "official")[0].marks == ()


def test_an_instrument_without_wording_is_asked_only_with_a_licensed_file(tmp_path: Path) -> None:
    bare = load_instrument("WAI-SR")
    items = [item.model_copy(update={"first": None, "third": None}) for item in bare.items]
    bare = bare.model_copy(update={"wording": "none", "items": items})
    with pytest.raises(UserError, match="item 1 has no wording in the first person"):
        bare.question(bare.items[0], "first")
    assert load_wording(_wording(tmp_path), bare).items[0].third == "Licensed, observed 1"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"items": [{"id": str(k), "first": "x"} for k in range(1, 12)]}, "item 12 of WAI-SR is missing"),
        ({"items": [{"id": "3", "first": "x"}, {"id": "3", "first": "y"}]}, "item 3 stands twice"),
        ({"items": [{"id": "13", "first": "x"}]}, "WAI-SR has no item '13'"),
        ({"scale": {"minimum": 1, "maximum": 7}}, "1 to 7, but WAI-SR is answered from 1 to 5"),
        ({"instrument": "WAI-SRR"}, r"no instrument 'WAI-SRR' in the bank \(did you mean 'WAI-SR'\?\)"),
        ({"instrument": "SEQ"}, "the wording is for SEQ, not for WAI-SR"),
        ({"licence": None}, "licence: "),
        ({"scale": None}, "scale: required and not given"),
        ({"scale": {"minimum": 1, "maximum": 5, "labels": ["seldom", "always"]}}, "2 labels for 5 steps"),
        ({"items": [{"id": "1", "first": "x", "low": "a", "high": "b"}]}, "item 1 of WAI-SR has no poles"),
    ],
)
def test_a_wrong_wording_file_is_one_line_with_file_and_item(
    tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    path = _wording(tmp_path, **changes)
    with pytest.raises(UserError, match=line) as caught:
        load_wording(path, load_instrument("WAI-SR"))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_licensed_poles_and_labels_replace_ours(tmp_path: Path) -> None:
    seq, wai = load_instrument("SEQ"), load_instrument("WAI-SR")
    items: list[dict[str, Any]] = [{"id": item.id, "first": "x", "low": "bad", "high": "good"} for item in seq.items]
    scale = {"minimum": 1, "maximum": 7}
    licensed = load_wording(_wording(tmp_path, instrument="SEQ", items=items, scale=scale), seq)
    assert (licensed.items[2].low, licensed.items[2].high) == ("bad", "good")
    del items[2]["high"]
    with pytest.raises(UserError, match="item S3 of SEQ needs both poles"):
        load_wording(_wording(tmp_path, instrument="SEQ", items=items, scale=scale), seq)
    scale = {"minimum": 1, "maximum": 5, "labels": ["a", "b", "c", "d", "e"]}
    licensed = load_wording(_wording(tmp_path, scale=scale), wai)
    assert licensed.options_of(licensed.items[1], "clientcast").labels == ["e", "d", "c", "b", "a"]


def test_topics_and_keys_alone_score_answers_of_people_and_ask_nobody(tmp_path: Path) -> None:
    topics = [{"id": str(k), "topic": f"topic {k}"} for k in range(1, 5)]
    instrument = load_instrument(_own(tmp_path, wording="none", items=topics, validated=True))
    (total,) = score(instrument, {"1": 5, "2": 1, "3": 5, "4": 5}, "official")
    assert (total.score, total.marks) == (20, ())
    with pytest.raises(UserError, match="item 1 has no wording"):
        instrument.question(instrument.items[0], "first")


def test_every_file_of_the_bank_bears_the_name_of_its_instrument() -> None:
    for path in BANK.glob("*.yaml"):
        assert path.stem.replace("_", "") == load_instrument(path).name.lower().replace("-", "")


# -- on the command line ------------------------------------------------------------------------------------------


def _licensed(tmp_path: Path, instrument: str, items: list[dict[str, str]], scale: dict[str, Any]) -> Path:
    path = tmp_path / "licensed.yaml"
    path.write_text(yaml.safe_dump({"instrument": instrument, "licence": "ours", "scale": scale, "items": items}))
    return path


def test_check_reads_the_bank_and_names_file_and_item_of_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from simulator.cli.instruments import main as instruments

    assert instruments(["check", "--json"]) == 0
    assert '"wrong": 0' in capsys.readouterr().out.replace('":0', '": 0')
    good = [{"id": str(k), "first": f"Question {k}"} for k in range(1, 21)]
    scale = {"minimum": 0, "maximum": 3}
    cases = [
        (("CES-D", good, scale), "licensed wording of CES-D, 20 items"),
        (("CES-D", good[:-1], scale), "item 20 of CES-D is missing"),
        (("CES-D", [*good, good[4]], scale), "item 5 stands twice"),
        (("CES-D", good, {"minimum": 1, "maximum": 4}), "scale: 1 to 4, but CES-D is answered from 0 to 3"),
        (("CES-E", good, scale), "no instrument 'CES-E' in the bank (did you mean 'CES-D'?)"),
    ]
    for (instrument, items, steps), line in cases:
        path = _licensed(tmp_path, instrument, items, steps)
        assert instruments(["check", str(path)]) == (0 if "licensed wording" in line else 1)
        said = capsys.readouterr().out.strip()
        assert line in said
        assert said.startswith(f"{path}: ")
        assert "\n" not in said


def test_rulers_of_unknown_width_score_from_a_licensed_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from simulator.cli.instruments import main as instruments

    items = [{"id": name, "first": f"How much {name}?"} for name in ("importance", "confidence", "readiness")]
    wording = _licensed(tmp_path, "READINESS", items, {"minimum": 0, "maximum": 10})
    answers = tmp_path / "answers.csv"
    answers.write_text("person,importance,confidence,readiness\na,7,10,\n")
    assert instruments(["score", "READINESS", str(answers), "--wording", str(wording)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["row", "2", "importance", "7"]
    assert "missing: 1 of 1 items missing: readiness" in lines[2]
    with pytest.raises(UserError, match="READINESS"):
        instruments(["score", "READINESS", str(answers)])


def test_a_scale_whose_answers_are_not_known_has_no_range() -> None:
    from simulator.analysis.questionnaires import score_range

    assert score_range("READINESS", "importance") is None
    assert score_range("PHQ-9", "total") == (0, 27)
    assert score_range("nothing", "total") is None
