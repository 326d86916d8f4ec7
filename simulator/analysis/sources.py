"""Who judged a dataset: coders, told apart where several versions of one judged by the same codebook.

One name can stand for several coders: rules that read whole turns and rules that read utterances, two models that both
go by `llm`, two versions of a codebook. Their judgments are about the same texts, so that a sum over them counts every
text twice. Whatever is counted from codings passes through `told_apart` first.
"""

from typing import TYPE_CHECKING

from simulator.coding.people import RATER
from simulator.errors import UserError, nearest

if TYPE_CHECKING:
    import polars as pl

EXPERT = "expert"
"""The name under which an import's own codes stand."""

_VERSION = ("coder_fingerprint", "codebook_version")


def told_apart(codings: "pl.DataFrame") -> "pl.DataFrame":
    """The codings with one name per version of a coder: `rules` stays, or becomes `rules@1a2b3c4d` and
    `rules@5e6f7a8b` (the beginnings of their fingerprints) where several versions judged by the same codebook, and
    `llm@1a2b3c4d v2` where only the codebook's version differs. Names of experts and of raters stay."""
    import polars as pl

    if not len(codings) or not set(_VERSION) <= set(codings.columns):
        return codings
    keys = ["coder", "codebook", *_VERSION]
    kinds = codings.select(keys).unique().with_columns(pl.col(keys).cast(pl.String).fill_null(""))
    several = (pl.len().over("coder", "codebook") > 1) & (pl.col("coder") != EXPERT)
    kinds = kinds.unique().with_columns((several & ~pl.col("coder").str.starts_with(RATER)).alias("split"))
    if not kinds["split"].any():
        return codings
    # the version is named only where the fingerprint does not tell it already
    same = pl.len().over("coder", "codebook", "coder_fingerprint") > 1
    name = pl.concat_str("coder", pl.lit("@"), pl.col("coder_fingerprint").str.head(8))
    name = pl.when(same).then(pl.concat_str(name, pl.lit(" v"), "codebook_version")).otherwise(name)
    kinds = kinds.with_columns(pl.when("split").then(name).otherwise("coder").alias("name")).select(*keys, "name")
    words = codings.with_columns(pl.col(keys).cast(pl.String)).with_columns(pl.col(list(_VERSION)).fill_null(""))
    named = words.join(kinds, on=keys, how="left", maintain_order="left")["name"]
    return codings.with_columns(named.alias("coder"))


def of_source(codings: "pl.DataFrame", coder: str) -> "pl.DataFrame":
    """The codings of one source, by its name after `told_apart`.

    Raises:
        UserError: nobody of that name, or several versions that bear it.
    """
    import polars as pl

    apart = told_apart(codings)
    rows = apart.filter(pl.col("coder").cast(pl.String) == coder)
    if not len(rows):
        names = sorted(str(name) for name in apart["coder"].unique())
        versions = [name for name in names if name.startswith(f"{coder}@")]
        if versions:
            raise UserError(
                f"'{coder}' judged this dataset in {len(versions)} versions; name one: {', '.join(versions)}"
            )
        raise UserError(f"no codes by '{coder}' in this dataset{nearest(coder, names)}")
    return rows
