"""From turns to one row per session with every measure of the scorecard.

Consecutive messages of one speaker are merged to one turn first, in simulated and human sessions alike. Turns that
deliver or answer a probe are left out of everything but the session's length: their words were fixed by the study.
Patterns are English; in other languages the content lines and openings say nothing.
"""

from typing import TYPE_CHECKING

from simulator.analysis.realism_measures import (
    DISCLOSURE_WORDS,
    DISTINCT_TOKENS,
    LEAST_CLIENT_TURNS,
    MEASURES,
    OPENING_TOKENS,
    OPENING_TURNS,
    SHORT_WORDS,
)

if TYPE_CHECKING:
    import polars as pl

KEYS = ("course_id", "session")
TOKEN = r"[\p{L}\p{N}]+(?:'[\p{L}\p{N}]+)*"
"""A token of openings and distinct-3: letters and digits, apostrophes inside."""
FIRST_PERSON = r"\b(?:i|me|my|mine|myself)\b"
AGREES = (
    r"^\W*(?:yes|yeah|yea|yep|yup|right|true|exactly|absolutely|definitely|agreed|sure|okay|ok|mm|mmm|mhm|uh-huh|"
    r"mm-hmm|mm-hm|of course|i agree|fair enough|you're right|that's (?:right|true|it|fair))\b"
)
THANKS = r"\b(?:thanks|thank you|thankful|grateful|appreciate)\b"


def merged_turns(turns: "pl.DataFrame") -> "pl.DataFrame":
    """Turns in order, consecutive messages of one speaker as one.

    Args:
        turns: a `turns` table; needs course_id, session, turn, role, text and words. Null text counts as empty.

    Returns:
        A row per merged turn: course_id, session, role, text (joined by a space), words (their sum).
    """
    import polars as pl

    rows = turns.select(*KEYS, "turn", "role", pl.col("text").fill_null(""), pl.col("words").fill_null(0))
    rows = rows.sort(*KEYS, "turn")
    changed = pl.any_horizontal((pl.col(name) != pl.col(name).shift(1)).fill_null(True) for name in (*KEYS, "role"))
    rows = rows.with_columns(changed.cum_sum().alias("merged"))
    if not len(rows) or rows["merged"][-1] == len(rows):
        return rows.drop("turn", "merged").with_columns(pl.col("words").cast(pl.Int64))
    return (
        rows.group_by("merged", maintain_order=True)
        .agg(pl.first(*KEYS, "role"), pl.col("text").str.join(" "), pl.col("words").cast(pl.Int64).sum())
        .drop("merged")
    )


def session_measures(turns: "pl.DataFrame", sustain: "pl.DataFrame | None" = None) -> "pl.DataFrame":
    """One row per session with turns, sorted by course and session.

    Args:
        turns: a `turns` table.
        sustain: course_id, session, sustain_talk (see `realism_codes.sustain_shares`); None where nothing was coded.

    Returns:
        course_id, session, one Float64 column per measure (null where the session cannot have it), and the sums that
        `pooled` needs.
    """
    import polars as pl

    lengths = merged_turns(turns).group_by(*KEYS).agg(pl.len().cast(pl.Float64).alias("session_turns"))
    unprobed = turns.filter(pl.col("probe").is_null()) if "probe" in turns.columns else turns
    rows = merged_turns(unprobed).with_columns(pl.col("text").str.to_lowercase().str.replace_all("’", "'").alias("low"))
    table = lengths
    parts = [_amounts(rows), _client(rows), _openings(rows), _distinct(rows, "client"), _distinct(rows, "therapist")]
    for part in [*parts, *([] if sustain is None else [sustain])]:
        table = table.join(part, on=KEYS, how="left")
    c, t = pl.col("client_turns"), pl.col("therapist_turns")
    square = pl.col("client_words_squared") - pl.col("client_words") ** 2 / c
    table = table.with_columns(
        (pl.col("client_words") / c).alias("client_words_mean"),
        (pl.col("client_short") / c).alias("client_short_share"),
        pl.when((c >= LEAST_CLIENT_TURNS) & (pl.col("client_words") > 0))
        .then((square.clip(0) / (c - 1)).sqrt() / (pl.col("client_words") / c))
        .alias("client_words_variation"),
        (pl.col("therapist_words") / t).alias("therapist_words_mean"),
        (pl.col("therapist_words") / pl.col("all_words")).alias("therapist_word_share"),
        (pl.col("questions") / t).alias("question_rate"),
    )
    names = [measure.name for measure in MEASURES]
    blank = [pl.lit(None, pl.Float64).alias(name) for name in names if name not in table.columns]
    values = [pl.col(name).cast(pl.Float64).fill_nan(None) for name in names]
    return table.with_columns(*blank).with_columns(*values).sort(*KEYS)


def _amounts(rows: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    words = pl.col("words").cast(pl.Float64)
    client, therapist = pl.col("role") == "client", pl.col("role") == "therapist"
    return rows.group_by(*KEYS).agg(
        words.sum().alias("all_words"),
        client.sum().cast(pl.Float64).alias("client_turns"),
        words.filter(client).sum().alias("client_words"),
        (words**2).filter(client).sum().alias("client_words_squared"),
        (client & (words <= SHORT_WORDS)).sum().cast(pl.Float64).alias("client_short"),
        words.filter(client).median().alias("client_words_median"),
        therapist.sum().cast(pl.Float64).alias("therapist_turns"),
        words.filter(therapist).sum().alias("therapist_words"),
        words.filter(therapist).median().alias("therapist_words_median"),
        (therapist & pl.col("text").str.contains("?", literal=True)).sum().cast(pl.Float64).alias("questions"),
    )


def _client(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Agreement, thanks and the first disclosure; sessions without one count as disclosing after the last turn."""
    import polars as pl

    low = pl.col("low")
    place = pl.int_range(1, pl.len() + 1).over(*KEYS)
    discloses = (pl.col("words") >= DISCLOSURE_WORDS) & low.str.contains(FIRST_PERSON)
    client = rows.filter(pl.col("role") == "client").with_columns(place.alias("place"), discloses.alias("discloses"))
    first = pl.col("place").filter(pl.col("discloses")).min().fill_null(pl.len() + 1)
    return client.group_by(*KEYS).agg(
        low.str.contains(AGREES).mean().alias("client_agrees"),
        low.str.contains(THANKS).mean().alias("client_thanks"),
        first.alias("first_disclosure"),
        pl.col("discloses").any().alias("disclosed"),
    )


def _openings(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Openings of the first `OPENING_TURNS` therapist turns with a word in them; shorter sessions are left out."""
    import polars as pl

    spoken = rows.filter((pl.col("role") == "therapist") & (pl.col("words") > 0))
    spoken = spoken.filter(pl.int_range(pl.len()).over(*KEYS) < OPENING_TURNS)
    opening = pl.col("low").str.extract_all(TOKEN).list.head(OPENING_TOKENS).list.join(" ")
    counts = spoken.group_by(*KEYS, opening.alias("opening")).agg(pl.len().alias("times"))
    found = counts.group_by(*KEYS).agg(
        pl.col("times").sum().alias("n"), pl.col("times").max().alias("most"), pl.len().alias("kinds")
    )
    found = found.filter(pl.col("n") == OPENING_TURNS)
    return found.select(
        *KEYS,
        (pl.col("most") / pl.col("n")).alias("opening_commonest"),
        (1 - pl.col("kinds") / pl.col("n")).alias("opening_repeated"),
    )


def _distinct(rows: "pl.DataFrame", role: str) -> "pl.DataFrame":
    """Share of different trigrams among those of the first `DISTINCT_TOKENS` tokens; shorter sessions are left out."""
    import polars as pl

    name = f"{role}_distinct_3"
    spoken = rows.filter(pl.col("role") == role)
    # a word count bounds the number of tokens well enough to skip turns that lie far beyond the limit
    before = pl.col("words").cum_sum().over(*KEYS) - pl.col("words")
    spoken = spoken.filter(before < 2 * DISTINCT_TOKENS)
    tokens = spoken.group_by(*KEYS, maintain_order=True).agg(
        pl.col("low").str.join(" ").str.extract_all(TOKEN).list.head(DISTINCT_TOKENS).alias("token")
    )
    tokens = tokens.filter(pl.col("token").list.len() == DISTINCT_TOKENS).with_row_index("at")
    if not len(tokens):
        return tokens.select(*KEYS, pl.lit(None, pl.Float64).alias(name))
    flat = tokens.select("at", "token").explode("token")
    kinds = flat.select("token").unique().with_row_index("code").select("token", pl.col("code").cast(pl.Int64))
    size = len(kinds)
    code = pl.col("code")
    trigram = (code * size + code.shift(-1)) * size + code.shift(-2)
    flat = flat.join(kinds, on="token", how="left", maintain_order="left")
    flat = flat.with_columns(trigram.alias("trigram")).filter(
        (pl.int_range(pl.len()) % DISTINCT_TOKENS) < DISTINCT_TOKENS - 2
    )
    shares = flat.group_by("at").agg((pl.col("trigram").n_unique() / pl.len()).alias(name))
    return tokens.select(*KEYS, "at").join(shares, on="at").drop("at")


def pooled(sessions: "pl.DataFrame") -> dict[str, float]:
    """Measures over all turns of all sessions, as published tables have them; only those that can be pooled."""
    sums = {
        name: float(sessions[name].sum())
        for name in (
            "all_words", "client_turns", "client_words", "client_words_squared", "client_short", "therapist_turns",
            "therapist_words", "questions",
        )
    }  # fmt: skip
    found: dict[str, float] = {}
    c, t, words = sums["client_turns"], sums["therapist_turns"], sums["client_words"]
    if c > 1 and words:
        spread = max(sums["client_words_squared"] - words**2 / c, 0.0) / (c - 1)
        found["client_words_mean"] = words / c
        found["client_short_share"] = sums["client_short"] / c
        found["client_words_variation"] = float(spread**0.5 / (words / c))
    if t:
        found["therapist_words_mean"] = sums["therapist_words"] / t
        found["question_rate"] = sums["questions"] / t
    if sums["all_words"]:
        found["therapist_word_share"] = sums["therapist_words"] / sums["all_words"]
    return found
