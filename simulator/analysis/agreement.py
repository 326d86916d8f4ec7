"""A coder against a reference: experts where there are any, planted codes as a construction check.

The two are never called by one name. Agreement with experts is evidence about the coder, with the experts' own
agreement beside it as a ceiling. Agreement with planted codes only says that grammar, rules and pipeline fit together;
the coder's figure against experts, measured on human sessions, stands beside it as the one that counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from simulator.codebooks import Code, exploratory, list_codebooks, load_codebook
from simulator.coding.measured import measured
from simulator.errors import UserError, nearest
from simulator.records.text import transcript_fingerprint
from simulator.statistics import agreement as stats
from simulator.statistics.intervals import Interval

if TYPE_CHECKING:
    import polars as pl

Reference = Literal["expert", "planted"]

CONSTRUCTION_CHECK = "construction check"
CONSTRUCTION_NOTE = (
    "Agreement with planted codes shows that grammar, rules and pipeline fit together. It is no validity: nothing "
    "follows from it about the coder on people or on language models."
)
EXPERT_NOTE = (
    "Agreement with one expert per session, whose own agreement with other experts is the ceiling given. The intervals "
    "resample {cluster}."
)
_UNIT = ["course_id", "session", "turn", "start", "codebook", "code"]


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    """One value of a code: how often each side gives it, and how the coder does on it. NaN where it is never given."""

    label: str
    base_rate_reference: float
    base_rate_coder: float
    precision: float
    recall: float
    f1: Interval
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `n` counts the label in the reference."""
        return {
            "label": self.label,
            "base_rate_reference": _plain(self.base_rate_reference),
            "base_rate_coder": _plain(self.base_rate_coder),
            "precision": _plain(self.precision),
            "recall": _plain(self.recall),
            "f1": self.f1.to_dict(),
            "n": self.n,
        }


@dataclass(frozen=True, slots=True)
class AgreementTable:
    """A coder's agreement with a reference on one code.

    Args:
        heading: `agreement with experts`, or `construction check`.
        n: units that both sides judged.
        missing_reference, missing_coder: units that the other side alone judged; they enter nothing else.
        kappa, macro_f1, accuracy, alpha, ac1: coefficients with intervals clustered by the courses' `cluster`.
        weighted_kappa: quadratic weights, for ordinal codes only.
        majority: the constant coder: its label, accuracy and macro-F1.
        confusion: counts, reference in rows, coder in columns, in the order of `rows`.
        people: published agreement between people on this code, from the codebook.
        expert_figures: construction checks only: what was measured of this coder against experts.
    """

    codebook: str
    code: str
    coder: str
    reference: Reference
    heading: str
    note: str
    n: int
    sessions: int
    missing_reference: int
    missing_coder: int
    kappa: Interval
    macro_f1: Interval
    accuracy: Interval
    alpha: Interval
    ac1: Interval
    weighted_kappa: Interval | None
    majority_label: str
    majority_accuracy: float
    majority_macro_f1: float
    rows: list[LabelAgreement]
    confusion: list[list[int]]
    people: list[dict[str, Any]] = field(default_factory=list)
    expert_data: str | None = None
    expert_figures: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; NaN becomes None."""
        return {
            "codebook": self.codebook,
            "code": self.code,
            "coder": self.coder,
            "reference": self.reference,
            "heading": self.heading,
            "note": self.note,
            "n": self.n,
            "sessions": self.sessions,
            "missing_reference": self.missing_reference,
            "missing_coder": self.missing_coder,
            "kappa": self.kappa.to_dict(),
            "macro_f1": self.macro_f1.to_dict(),
            "accuracy": self.accuracy.to_dict(),
            "alpha": self.alpha.to_dict(),
            "ac1": self.ac1.to_dict(),
            "weighted_kappa": None if self.weighted_kappa is None else self.weighted_kappa.to_dict(),
            "majority": {
                "label": self.majority_label,
                "accuracy": _plain(self.majority_accuracy),
                "macro_f1": _plain(self.majority_macro_f1),
            },
            "labels": [row.to_dict() for row in self.rows],
            "confusion": self.confusion,
            "exploratory": exploratory(self.codebook, self.code),
            "people": self.people,
            "expert_data": self.expert_data,
            "expert_figures": self.expert_figures,
        }


def agreement(
    codings: "pl.DataFrame",
    turns: "pl.DataFrame",
    reference: Reference,
    *,
    coder: str,
    courses: "pl.DataFrame",
    cluster: str | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[AgreementTable]:
    """One table per code that both the coder and the reference judged, in the order of the codebook.

    Args:
        codings, turns, courses: tables of a dataset. With reference `expert` the codings hold the experts' too.
        cluster: what the courses' `cluster` column holds, in the plural; by default `personas` for scripted and model
            sessions and `videos` for human ones.
        seed: of the bootstrap.

    Raises:
        UserError: no such coder, several versions of it, no reference, codings of other texts than these or of parts
            of turns where the reference judged whole ones.
    """
    import polars as pl

    words = [pl.col(name).cast(pl.String) for name in ("codebook", "code", "coder", "value", "transcript")]
    codings = codings.with_columns(*words, pl.col("coder_fingerprint").cast(pl.String))
    coded = codings.filter(pl.col("coder") == coder)
    coders = codings["coder"].unique().to_list()
    if coded.is_empty():
        raise UserError(f"nothing was coded by '{coder}'{nearest(coder, coders)}")
    texts = _texts(turns)
    coded = _of_one_version(_same_texts(coded, texts, coder), coder)
    if reference == "expert":
        meant = codings.filter(pl.col("coder") == "expert")
        if meant.is_empty():
            raise UserError("these sessions have no expert codes; give reference='planted' or import coded sessions")
        meant = _same_texts(meant, texts, "expert").select(*_UNIT, "value")
        keys = _UNIT
    else:
        meant, keys = _planted(turns), [name for name in _UNIT if name != "start"]
        if meant.is_empty():
            raise UserError("no turn carries planted codes; only scripted agents plant them")
    if _parts_turns(coded) and not _parts_turns(meant):
        raise UserError(
            f"'{coder}' judged parts of turns and the reference '{reference}' whole ones: the texts differ, so there "
            f"is no agreement to state; give the coder units=turn"
        )
    both = coded.select(*_UNIT, pl.col("value").alias("coded")).join(
        meant, on=keys, how="full", coalesce=True, nulls_equal=True
    )
    for side in (coded, meant):
        both = both.join(side, on=["codebook", "code"], how="semi")
    both = both.join(courses.select("course_id", "cluster", "origin"), on="course_id", how="inner")
    if both.is_empty():
        raise UserError(f"'{coder}' and the reference '{reference}' have no code in common")
    plural = cluster or ("videos" if set(both["origin"].unique()) == {"human"} else "personas")
    tables = []
    for (codebook, code_id), rows in sorted(both.partition_by("codebook", "code", as_dict=True).items(), key=_order):
        tables.append(_table(rows, codebook, code_id, coder, reference, plural, level, resamples, seed))
    return tables


def _table(
    rows: "pl.DataFrame",
    codebook: str,
    code_id: str,
    coder: str,
    reference: Reference,
    cluster: str,
    level: float,
    resamples: int,
    seed: int,
) -> AgreementTable:
    import polars as pl

    code = _code(codebook, code_id)
    missing_reference = rows.filter(pl.col("value").is_null() & pl.col("coded").is_not_null()).height
    missing_coder = rows.filter(pl.col("coded").is_null() & pl.col("value").is_not_null()).height
    rows = rows.filter(pl.col("value").is_not_null() & pl.col("coded").is_not_null()).sort("cluster", *_UNIT)
    seen = {*rows["value"].to_list(), *rows["coded"].to_list()}
    labels = [label for label in code.values if label in seen] if code else []
    labels += sorted(seen.difference(labels))
    names = rows["cluster"].fill_null("none").to_list()
    matrices, _ = stats.cluster_confusions(rows["value"].to_list(), rows["coded"].to_list(), labels, names)
    total: npt.NDArray[np.float64] = matrices.sum(axis=0)
    drawn = stats.bootstrap_matrices(matrices, resamples, seed)

    def interval(statistic: stats.Statistic) -> Interval:
        return stats.bootstrap_interval(matrices, statistic, cluster=cluster, level=level, drawn=drawn)

    ordinal = code is not None and code.scale.kind == "ordinal"
    constant = stats.majority_baseline(total)
    precision, recall, _ = stats.label_scores(total)
    meant_rate, coded_rate = stats.base_rates(total)
    known = measured(coder.partition("@")[0], codebook) if reference == "planted" else None
    return AgreementTable(
        codebook=codebook,
        code=code_id,
        coder=coder,
        reference=reference,
        heading=CONSTRUCTION_CHECK if reference == "planted" else "agreement with experts",
        note=CONSTRUCTION_NOTE if reference == "planted" else EXPERT_NOTE.format(cluster=cluster),
        n=rows.height,
        sessions=rows.select("course_id", "session").n_unique(),
        missing_reference=missing_reference,
        missing_coder=missing_coder,
        kappa=interval(stats.cohen_kappa),
        macro_f1=interval(stats.macro_f1),
        accuracy=interval(stats.observed_agreement),
        alpha=interval(lambda m: stats.alpha_from_confusion(m, "ordinal" if ordinal else "nominal")),
        ac1=interval(stats.gwet_ac1),
        weighted_kappa=interval(lambda m: stats.cohen_kappa(m, "quadratic")) if ordinal else None,
        majority_label=labels[int(total.sum(axis=1).argmax())] if labels else "",
        majority_accuracy=float(stats.observed_agreement(constant)),
        majority_macro_f1=float(stats.macro_f1(constant)),
        rows=[
            LabelAgreement(
                label=label,
                base_rate_reference=float(meant_rate[place]),
                base_rate_coder=float(coded_rate[place]),
                precision=float(precision[place]),
                recall=float(recall[place]),
                f1=interval(lambda m, place=place: stats.label_scores(m)[2][..., place]),  # type: ignore[misc]
                n=int(total[place].sum()),
            )
            for place, label in enumerate(labels)
        ],
        confusion=[[int(count) for count in row] for row in total],
        people=[figure.model_dump(mode="json") for figure in code.agreement] if code else [],
        expert_data=known.data if known else None,
        expert_figures=[figure.to_dict() for figure in known.figures if figure.code == code_id] if known else [],
    )


def _order(entry: tuple[tuple[Any, ...], Any]) -> tuple[str, int, str]:
    """Codes in the order of their codebook; those of unknown codebooks by name."""
    codebook, code_id = entry[0]
    ids = [code.id for code in load_codebook(codebook).codes] if codebook in list_codebooks() else []
    return codebook, ids.index(code_id) if code_id in ids else len(ids), code_id


def _code(codebook: str, code_id: str) -> Code | None:
    if codebook not in list_codebooks():
        return None
    return next((code for code in load_codebook(codebook).codes if code.id == code_id), None)


def _texts(turns: "pl.DataFrame") -> "pl.DataFrame":
    """The content hash of every session's texts, as they stand in the dataset now."""
    import polars as pl

    sessions = (
        turns.select("course_id", "session", "turn", "role", "text")
        .sort("course_id", "session", "turn")
        .group_by("course_id", "session", maintain_order=True)
        .agg("role", "text")
    )
    hashes = [
        transcript_fingerprint(zip(roles, texts, strict=True))
        for roles, texts in sessions.select("role", "text").iter_rows()
    ]
    return sessions.select("course_id", "session").with_columns(pl.Series("now", hashes, dtype=pl.String))


def _same_texts(codings: "pl.DataFrame", texts: "pl.DataFrame", who: str) -> "pl.DataFrame":
    """The codings of sessions that are here; refused where the coded texts are not the ones that are here."""
    import polars as pl

    joined = codings.join(texts, on=["course_id", "session"], how="inner")
    other = joined.filter(pl.col("transcript") != pl.col("now")).select("course_id", "session").unique()
    if not other.is_empty():
        course, session = other.sort("course_id", "session").row(0)
        raise UserError(
            f"'{who}' coded other texts than these in {other.height} session(s), the first course {course} session "
            f"{session}; code these texts again"
        )
    return joined.drop("now")


def _of_one_version(codings: "pl.DataFrame", coder: str) -> "pl.DataFrame":
    versions: Sequence[str] = sorted(codings["coder_fingerprint"].unique().to_list())
    if len(versions) > 1:
        raise UserError(
            f"the codings hold {len(versions)} versions of the coder '{coder}' ({', '.join(v[:8] for v in versions)}); "
            f"give those of one"
        )
    return codings


def _parts_turns(rows: "pl.DataFrame") -> bool:
    return "start" in rows.columns and bool((rows["start"] > 0).any())


def _planted(turns: "pl.DataFrame") -> "pl.DataFrame":
    """The planted codes that have one value per turn, as rows course_id, session, turn, codebook, code, value."""
    import polars as pl

    kinds = turns.filter(pl.col("planted").is_not_null()).select("planted").unique(maintain_order=True)
    decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode
    rows = [
        (text, codebook, code, str(value))
        for (text,) in kinds.iter_rows()
        for codebook, codes in decode(text).items()
        for code, value in codes.items()
        if isinstance(value, str | int)
    ]
    schema = {"planted": pl.String, "codebook": pl.String, "code": pl.String, "value": pl.String}
    values = pl.DataFrame(rows, schema=schema, orient="row")
    return turns.select("course_id", "session", "turn", "planted").join(values, on="planted").drop("planted")


def _plain(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
