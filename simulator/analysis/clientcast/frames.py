"""The stages of a study as frames: answers keyed and put on 0-1, with whose session, whose therapist, which asking.

A rated session is found through `courses.source`: a course that rates names the session it heard, which names the
recording its client was made from.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import UserError
from simulator.instruments.loading import load_instrument
from simulator.store.reading import read_table
from simulator.store.runs import RunFolder, open_run
from simulator.studies.stages import STAGES_FILE

if TYPE_CHECKING:
    import polars as pl

ANSWER_TYPES = {"sampled": "value", "most probable": "most_probable", "expected": "expected"}
"""What an answer can be read as, and its column: the drawn option, the likeliest one, the mean under probabilities."""
LEAST_ANSWERED = 0.8
"""Share of an instrument's items that must have an answer for a rating to count."""
CLUSTER = "clients"


@dataclass(frozen=True)
class Stages:
    """The runs of a study by the name of their stage."""

    folder: Path
    runs: dict[str, RunFolder]

    def table(self, stage: str, name: str, columns: list[str] | None = None) -> "pl.DataFrame":
        """A table of a stage."""
        return read_table(self.runs[stage], name, columns)

    @cached_property
    def scripted(self) -> bool:
        """Whether no language model took part in what is measured here."""
        return all(run.meta.get("origin") == "scripted" for run in self.runs.values() if run.meta["kind"] == "run")

    @cached_property
    def source_kind(self) -> str:
        """What the recorded sessions are: `human`, `model` or `scripted`."""
        meta = self.runs["source"].meta
        return "human" if meta.get("kind") == "import" else str(meta.get("origin"))

    @cached_property
    def sessions(self) -> "pl.DataFrame":
        """One row per simulated session: `session` (its course), `client` (cluster), `therapist`, `recording`."""
        import polars as pl

        courses = self.table("simulated", "courses", ["course_id", "cluster", "therapist", "source", "status"])
        return courses.select(
            pl.col("course_id").alias("session"), pl.col("cluster").alias("client"), "therapist",
            pl.col("source").alias("recording"), "status",
        )  # fmt: skip

    @cached_property
    def rated(self) -> "pl.DataFrame":
        """One row per answer about a simulated session, with `therapist`, `client`, `session` and `asking`."""
        found = keyed_answers(self, "rated").join(self.sessions.drop("status"), on="session", how="left")
        return found.sort("client", "therapist", "session", "asking", "instrument", "item")

    @cached_property
    def rated_source(self) -> "pl.DataFrame":
        """One row per answer about a recorded session, with `client`, `session`, `stratum` and `asking`."""
        return self._of_recordings("rated_source")

    @cached_property
    def baseline(self) -> "pl.DataFrame":
        """The same from the profile alone."""
        return self._of_recordings("baseline")

    def _of_recordings(self, stage: str) -> "pl.DataFrame":
        import polars as pl

        courses = self.table(stage, "courses", ["course_id", "cluster", "stratum"])
        about = courses.select(pl.col("course_id").alias("rating"), pl.col("cluster").alias("client"), "stratum")
        return keyed_answers(self, stage).join(about, on="rating").sort("client", "session", "asking", "instrument")


def open_stages(folder: Path) -> Stages:
    """The stages of a study that is done.

    Raises:
        UserError: they are not.
    """
    try:
        places = json.loads((folder / STAGES_FILE).read_text())["stages"]
    except (FileNotFoundError, KeyError):
        raise UserError(f"{folder}: its stages are not done; the command that began them goes on from there") from None
    return Stages(folder, {name: open_run(folder / place) for name, place in places.items()})


def keyed_answers(stages: Stages, stage: str) -> "pl.DataFrame":
    """Answers of a rating stage: `rating` (its course), `session` (what was heard), `asking`, `instrument`, `item`,
    `reversed`, `position` (place at which it was asked), `seed`, `steps` (of the scale), `raw` (0-1, before keying) and
    one column per answer type, keyed and put on 0-1."""
    import polars as pl

    answers = stages.table(stage, "administrations")
    courses = stages.table(stage, "courses", ["course_id", "source", "replicate"])
    keys = []
    for instrument, form in answers.select("instrument", "form").unique().sort("instrument", "form").iter_rows():
        known = load_instrument(instrument)
        reverse = set(known.form(form).reverse)
        for place, item in enumerate(known.items_of(form)):
            options = known.options_of(item, form)
            keys.append((instrument, form, item.id, item.id in reverse, options.minimum, options.maximum, place))
    names = ("instrument", "form", "item", "reversed", "low", "high", "printed")
    table = pl.DataFrame(keys, schema=list(names), orient="row")
    shuffled = shuffled_instruments(stages.runs[stage])
    found = answers.join(table, on=["instrument", "form", "item"], how="left", maintain_order="left")
    found = found.join(courses, on="course_id")
    scaled = {
        kind: (pl.col(column) - pl.col("low")) / (pl.col("high") - pl.col("low"))
        for kind, column in ANSWER_TYPES.items()
    }
    by_seed = pl.col("seed").rank("ordinal").over("course_id", "moment", "instrument") - 1
    position = pl.when(pl.col("instrument").is_in(shuffled)).then(by_seed).otherwise(pl.col("printed"))
    return found.select(
        pl.col("course_id").alias("rating"),
        pl.col("source").str.split(":").list.first().alias("session"),
        pl.col("replicate").alias("asking"),
        "instrument", "form", "item", "reversed",
        position.cast(pl.Int64).alias("position"),
        "seed", (pl.col("high") - pl.col("low") + 1).cast(pl.Int64).alias("steps"),
        scaled["sampled"].alias("raw"),
        *(pl.when("reversed").then(1.0 - value).otherwise(value).alias(kind) for kind, value in scaled.items()),
    )  # fmt: skip


def shuffled_instruments(run: RunFolder, what: str = "item_order") -> list[str]:
    """Names of the instruments whose items (or labels, `label_order`) stood in another order for every rating."""
    choices: dict[str, Any] = run.meta["config"]["instruments"]
    return [choice["instrument"] for choice in choices.values() if choice.get(what) == "shuffled"]


def ratings(answers: "pl.DataFrame", by: list[str], kind: str = "sampled") -> "pl.DataFrame":
    """One row per rating and instrument: `score`, the mean of the keyed answers (0-1), null where fewer than
    `LEAST_ANSWERED` of the items were answered, and `missing`, the share of items without an answer.

    Args:
        answers: as `keyed_answers` gives them.
        by: columns that are kept, for instance client and therapist.
        kind: the answer type.
    """
    import polars as pl

    share = pl.col(kind).is_not_null().mean()
    return (
        answers.group_by(*by, "session", "asking", "instrument", maintain_order=True)
        .agg(
            pl.when(share >= LEAST_ANSWERED).then(pl.col(kind).mean()).otherwise(None).alias("score"),
            (1.0 - share).alias("missing"),
        )
        .sort(*by, "session", "asking", "instrument")
    )  # fmt: skip


def session_scores(answers: "pl.DataFrame", by: list[str], kind: str = "sampled") -> "pl.DataFrame":
    """One row per session and instrument: the mean over its askings."""
    import polars as pl

    found = ratings(answers, by, kind).group_by(*by, "session", "instrument", maintain_order=True)
    return found.agg(pl.col("score").mean()).sort(*by, "session", "instrument")


def answer_types(answers: "pl.DataFrame") -> list[str]:
    """The answer types that these data have at all."""
    return [kind for kind in ANSWER_TYPES if answers[kind].null_count() < len(answers)]


ASPECTS = ("session outcome", "therapeutic alliance", "self-reported feelings")
"""What ClientCAST pools the items into."""


def aspect_items() -> dict[str, list[tuple[str, str]]]:
    """(instrument, item) of every aspect; the 28, 70 and 10 items of the five questionnaires."""
    found: dict[str, list[tuple[str, str]]] = {aspect: [] for aspect in ASPECTS}
    for name in ("CECS", "HAQ-II", "SEQ", "SRS", "WAI-SR"):
        instrument = load_instrument(name)
        taken: set[str] = set()
        for scale in instrument.scales_of("clientcast"):
            if scale.name in found and scale.items != "all":
                found[scale.name] += [(name, item) for item in scale.items]
                taken |= set(scale.items)
        if name == "WAI-SR":
            task = next(scale for scale in instrument.scales if scale.name == "Task")
            found["session outcome"] += [(name, item) for item in task.items]
    return found


def aspect_answers(answers: "pl.DataFrame") -> "pl.DataFrame":
    """The same answers, with the aspect in place of the instrument: mean keyed answers, each item counting once."""
    import polars as pl

    rows = [(name, item, aspect) for aspect, items in aspect_items().items() for name, item in items]
    table = pl.DataFrame(rows, schema=["instrument", "item", "aspect"], orient="row")
    found = answers.join(table, on=["instrument", "item"], maintain_order="left")
    return found.with_columns(
        pl.concat_str("instrument", "item", separator=":").alias("item"), pl.col("aspect").alias("instrument")
    ).drop("aspect")
