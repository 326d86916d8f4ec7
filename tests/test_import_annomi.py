"""Importing AnnoMI: nothing dropped, nothing guessed, every mistake one line; the fetch against a local server."""

import csv
import hashlib
import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.codebooks import load_codebook
from simulator.errors import UserError
from simulator.records.text import count_words, transcript_fingerprint
from simulator.store.importers.annomi import COLUMNS, PUBLISHED, course_id, read_annomi
from simulator.store.importers.fetching import PublishedFile, cache_folder
from simulator.store.tables import TABLES

# (transcript, utterance, video, quality, role, text, behaviour, talk)
SPOKEN = [
    (7, 1, "v2", "low", "client", "I don't know.", "", "neutral"),
    (7, 0, "v2", "low", "therapist", "You must stop - now!", "therapist_input", ""),
    (3, 0, "v1", "high", "therapist", "What brings you?", "question", ""),
    (3, 1, "v1", "high", "client", "My knee, and \u201cthe drink\u201d;\nwell.", "", "sustain"),
    (3, 2, "v1", "high", "client", "I want to cut down.", "", "change"),
    (3, 3, "v1", "high", "therapist", "Mm.", "other", ""),
]


def _csv(published: bool, spoken: list[Any] = SPOKEN, **changes: str) -> str:
    """The made-up transcripts in either form of the file; `changes` replace cells of the first row."""
    nothing = "n/a" if published else ""
    videos = ["video_title", "video_url"] if published else ["video_id"]
    header = ["mi_quality", "transcript_id", *videos, *COLUMNS[2:]]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, header, lineterminator="\r\n" if published else "\n")
    writer.writeheader()
    for place, (transcript, number, video, quality, role, text, behaviour, talk) in enumerate(spoken):
        row = {
            "mi_quality": quality, "transcript_id": transcript, "topic": "a topic", "utterance_id": number,
            "interlocutor": role, "timestamp": "00:00:01", "utterance_text": text,
            "main_therapist_behaviour": behaviour or nothing, "client_talk_type": talk or nothing,
        }  # fmt: skip
        row |= {"video_title": "A title", "video_url": f"https://v/{video}"} if published else {"video_id": video}
        writer.writerow(row | (changes if place == 0 else {}))
    return stream.getvalue()


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "annomi.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("published", [True, False])
def test_both_forms_become_courses_of_one_session(tmp_path: Path, published: bool) -> None:
    dataset = read_annomi(_write(tmp_path, _csv(published)))
    assert [row["course_id"] for row in dataset.tables["courses"]] == [course_id("3"), course_id("7")]
    high, low = dataset.tables["courses"]
    assert (high["stratum"], high["condition"], high["therapist"]) == ("high", "annomi-high", "annomi-high")
    assert (low["stratum"], low["cluster"]) == ("low", "https://v/v2" if published else "v2")
    assert {row["origin"] for row in (high, low)} == {"human"}
    first, second = dataset.tables["sessions"]
    assert (first["opened_by"], first["ending"], first["turns"], first["words"]) == ("therapist", "recorded", 4, 15)
    assert second["turns"] == 2
    turns = [row for row in dataset.tables["turns"] if row["course_id"] == course_id("7")]
    assert [(row["turn"], row["role"]) for row in turns] == [(0, "therapist"), (1, "client")]
    assert [row["text"] for row in turns] == ["You must stop - now!", "I don't know."]
    assert [row["words"] for row in turns] == [4, 3]


def test_the_two_forms_differ_in_the_video_alone(tmp_path: Path) -> None:
    one, other = (read_annomi(_write(tmp_path, _csv(published))).tables for published in (True, False))
    for table in ("sessions", "turns"):
        assert one[table] == other[table]
    without = [[{**row, "cluster": None} for row in tables["courses"]] for tables in (one, other)]
    assert without[0] == without[1]


def test_expert_codes_are_judgments_keyed_by_the_transcript(tmp_path: Path) -> None:
    dataset = read_annomi(_write(tmp_path, _csv(False)))
    codings = [row for row in dataset.tables["codings"] if row["course_id"] == course_id("3")]
    assert [(row["turn"], row["code"], row["value"]) for row in codings] == [
        (0, "main_therapist_behaviour", "question"),
        (1, "client_talk_type", "sustain"),
        (2, "client_talk_type", "change"),
        (3, "main_therapist_behaviour", "other"),
    ]
    texts = [(row["role"], row["text"]) for row in dataset.tables["turns"] if row["course_id"] == course_id("3")]
    assert {row["transcript"] for row in codings} == {transcript_fingerprint(texts)}
    assert {(row["coder"], row["codebook"]) for row in codings} == {("expert", "annomi")}
    assert {row["codebook_version"] for row in codings} == {load_codebook("annomi").version}


def test_a_missing_expert_code_is_missing_with_a_reason(tmp_path: Path) -> None:
    dataset = read_annomi(_write(tmp_path, _csv(True, client_talk_type="n/a")))
    (missing,) = [row for row in dataset.tables["codings"] if row["value"] is None]
    assert (missing["turn"], missing["missing_reason"]) == (1, "no expert code in the file")


def test_two_turns_of_one_speaker_in_a_row_stay_two(tmp_path: Path) -> None:
    turns = read_annomi(_write(tmp_path, _csv(True))).tables["turns"]
    assert [row["role"] for row in turns[:4]] == ["therapist", "client", "client", "therapist"]


def test_every_row_has_every_column_of_its_table(tmp_path: Path) -> None:
    for name, rows in read_annomi(_write(tmp_path, _csv(True))).tables.items():
        assert all(list(row) == TABLES[name].names for row in rows)
        assert pa.Table.from_pylist(rows, schema=TABLES[name]).num_rows == len(rows)


def test_ids_do_not_depend_on_the_other_transcripts_or_the_order_of_rows(tmp_path: Path) -> None:
    whole = read_annomi(_write(tmp_path, _csv(False))).tables
    part = read_annomi(_write(tmp_path, _csv(False, SPOKEN[:1:-1]))).tables
    kept = {row["course_id"] for row in part["courses"]}
    assert part["turns"] == [row for row in whole["turns"] if row["course_id"] in kept]


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    path = tmp_path / "annomi.csv"
    path.write_bytes(b"\xef\xbb\xbf" + _csv(True).encode())
    assert len(read_annomi(path).tables["turns"]) == len(SPOKEN)


def _without(column: str) -> str:
    lines = list(csv.reader(io.StringIO(_csv(True))))
    place = lines[0].index(column)
    stream = io.StringIO()
    csv.writer(stream).writerows([cells[:place] + cells[place + 1 :] for cells in lines])
    return stream.getvalue()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "annomi.csv: empty"),
        (_csv(True).splitlines()[0], "no utterances below the header"),
        ("a,b\n1,2\n", "row 1: missing columns: mi_quality, .*video_url"),
        (_without("client_talk_type"), "row 1: missing columns: client_talk_type"),
        (_without("video_url"), r"row 1: missing columns: video_url \(or video_id\)"),
        (_csv(True, interlocutor="patient"), "row 2: interlocutor 'patient'"),
        (_csv(True, mi_quality="hihg"), r"row 2: mi_quality 'hihg' \(did you mean 'high'\?\)"),
        (_csv(True, client_talk_type="chnage"), r"row 2: client_talk_type 'chnage' .*'change'"),
        (_csv(True, main_therapist_behaviour="question"), "row 2: main_therapist_behaviour 'question' on an utterance"),
        (_csv(True, utterance_id="one"), "row 2: utterance_id 'one' is not a whole number"),
        (_csv(True, utterance_id="-1"), "row 2: utterance_id '-1' is not a whole number"),
        (_csv(True, transcript_id="\u00b2"), "row 2: transcript_id '\u00b2' is not a whole number"),
        (_csv(True, video_url="n/a"), "row 2: video_url is empty"),
        (_csv(True, utterance_id="0"), "row 3: utterance 0 of transcript 7 stands in row 2 too"),
        (_csv(False, mi_quality="high"), "transcript 7 has two values of quality"),
        (_csv(False, video_id="v9"), "transcript 7 has two values of video"),
        (_csv(False) + "1,2\n", "row 8: 2 cells for 10 columns"),
        (_csv(False).replace("topic,", "topic,topic,", 1), "column 'topic' stands twice"),
        (_csv(False) + 'x,"open', "row 8: not valid CSV"),
    ],
)
def test_a_wrong_file_is_one_line_with_file_and_row(tmp_path: Path, text: str, line: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(UserError, match=line) as caught:
        read_annomi(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_what_is_no_text_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a folder; name the CSV file"):
        read_annomi(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        read_annomi(tmp_path / "absent.csv")
    path = tmp_path / "latin.csv"
    path.write_bytes(_csv(True).encode().replace(b"A title", b"\xe9t\xe9", 1))
    with pytest.raises(UserError, match="not UTF-8 in line 2"):
        read_annomi(path)


# -- the shared part ----------------------------------------------------------------------------------------------


def test_the_shared_part_agrees_with_an_independent_count(data_dir: Path) -> None:
    path = data_dir / "annomi" / "annomi_simple.csv"
    if not path.is_file():
        pytest.skip("the shared part of AnnoMI is not in DYAD_DATA_DIR")
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    counted = Counter((r["mi_quality"], r["main_therapist_behaviour"] or r["client_talk_type"]) for r in rows)

    tables = read_annomi(path).tables
    assert (len(tables["turns"]), len(tables["codings"]), len(tables["courses"])) == (6857, 6857, 101)
    stratum = {row["course_id"]: row["stratum"] for row in tables["courses"]}
    assert Counter(stratum.values()) == {"high": 86, "low": 15}
    assert len({row["cluster"] for row in tables["courses"]}) == 88
    assert Counter((stratum[row["course_id"]], row["value"]) for row in tables["codings"]) == counted
    for label, share in (("question", 0.288), ("reflection", 0.273), ("therapist_input", 0.120), ("other", 0.318)):
        values = [row["value"] for row in tables["codings"] if row["role"] == "therapist"]
        assert values.count(label) / len(values) == pytest.approx(share, abs=0.001)
    spoken = sorted(rows, key=lambda row: (int(row["transcript_id"]), int(row["utterance_id"])))
    assert [row["text"] for row in tables["turns"]] == [row["utterance_text"].strip() for row in spoken]


# -- fetching -----------------------------------------------------------------------------------------------------

CONTENT = _csv(True).encode()
MADE_UP = PublishedFile(
    "https://published.example", "AnnoMI-simple.csv", len(CONTENT), hashlib.sha256(CONTENT).hexdigest()
)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes, int], str]]:
    """A local server that answers every request with given bytes; returns its address."""
    monkeypatch.setenv("no_proxy", "*")
    servers: list[ThreadingHTTPServer] = []

    def start(content: bytes, status: int = 200) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_without_a_file_the_published_copy_is_fetched_verified_and_kept(
    tmp_path: Path, serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYAD_CACHE_DIR", str(tmp_path / "cache"))
    dataset = read_annomi(base=serve(CONTENT), published=MADE_UP)
    assert len(dataset.tables["turns"]) == len(SPOKEN)
    assert (dataset.source, dataset.source_hash) == (MADE_UP.address(), MADE_UP.sha256)
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.read_bytes() == CONTENT
    # from now on the network is not needed, and what is kept is not trusted blindly
    assert read_annomi(base="http://127.0.0.1:9", published=MADE_UP).tables == dataset.tables
    kept.write_bytes(b"damaged")
    assert read_annomi(base=serve(CONTENT), published=MADE_UP).tables == dataset.tables
    assert kept.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b"X" + CONTENT[1:], b"", CONTENT * 3])
def test_another_file_at_the_address_is_refused_and_not_kept(
    tmp_path: Path, serve: Callable[..., str], content: bytes
) -> None:
    with pytest.raises(
        UserError, match=r"nothing was kept; get https://published\.example/AnnoMI-simple\.csv by hand"
    ) as caught:
        read_annomi(base=serve(content), published=MADE_UP, cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("trouble", ["closed port", "404", "no http"])
def test_without_network_one_line_says_how_to_get_it_by_hand(
    tmp_path: Path, serve: Callable[..., str], trouble: str
) -> None:
    bases = {"closed port": "http://127.0.0.1:9", "404": "", "no http": "file:///etc"}
    base = bases[trouble] or serve(b"", 404)
    with pytest.raises(UserError, match=r"cannot be fetched .*by hand and run `dyad import annomi FILE`") as caught:
        read_annomi(base=base, published=MADE_UP, cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, serve: Callable[..., str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot keep the download .*DYAD_CACHE_DIR"):
        read_annomi(base=serve(CONTENT), published=MADE_UP, cache=tmp_path / "file" / "cache")


def test_the_published_version_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PUBLISHED.address().endswith("/42936645ec3857a9c84ab296a36a3c34b779ef49/AnnoMI-simple.csv")
    assert (PUBLISHED.size, len(PUBLISHED.sha256)) == (2_386_609, 64)
    monkeypatch.delenv("DYAD_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/dyad")


# -- words and transcripts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't know.", 3), ("well-being is 3.5, or 1,000!", 5), ("I--I ... um\u2026yes \u2014 no", 5), ("", 0),
        ("... !!! __ \U0001f642", 0), ("and/or", 2), ("'tis (really) \u201cso\u201d", 3), ("a\nb\tc", 3),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u092d\u093e\u0937\u093e", 2),
    ],
)  # fmt: skip
def test_words_are_counted_as_stated(text: str, words: int) -> None:
    assert count_words(text) == words


@given(st.text(), st.text())
def test_word_counts_add_up_over_spaces(one: str, other: str) -> None:
    assert count_words(f"{one} {other}") == count_words(one) + count_words(other)


@given(st.lists(st.tuples(st.sampled_from(["client", "therapist"]), st.text()), min_size=1))
def test_a_transcripts_fingerprint_stands_for_roles_texts_and_order(turns: list[tuple[str, str]]) -> None:
    whole = transcript_fingerprint(turns)
    assert transcript_fingerprint(iter(turns)) == whole
    assert transcript_fingerprint(turns[:-1]) != whole
    assert transcript_fingerprint([*turns[:-1], (turns[-1][0], turns[-1][1] + ".")]) != whole
    assert (
        transcript_fingerprint([("client" if role == "therapist" else "therapist", text) for role, text in turns])
        != whole
    )
