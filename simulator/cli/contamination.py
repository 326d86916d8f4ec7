"""`dyad contamination --against FILE model=...`: does a model know public transcripts by heart?

It continues transcripts of FILE (a data set as for `dyad validate`), and what it says word for word as the recording is
counted. Where it does, its validity on FILE says little about other texts. The model is named as for `dyad run`.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json
from simulator.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from simulator.coding.loaders import read_examples
    from simulator.studies.composing import compose

    parser = OneLineParser("dyad contamination", description=__doc__)
    parser.add_argument(
        "overrides", nargs="*", help="the model, for instance model=endpoint model.url=... model.name=..."
    )
    parser.add_argument("--against", type=Path, required=True, help="public sessions, a local file")
    parser.add_argument("--format", help="the data's format; by default its header shows it")
    parser.add_argument("--size", type=int, default=50, help="how many sessions; by default 50")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        model = compose(*options.overrides).model_for("coders")
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"configuration: {str(error).strip().splitlines()[0]}") from None
    if model is None:
        raise UserError("dyad contamination: no model; give model=endpoint model.url=... model.name=...")
    sessions = [session.turns for session in read_examples(options.against, options.format).sessions]
    found = asyncio.run(probe(model, sessions, options.size, options.seed))
    if options.json:
        show_json({"against": str(options.against), "model": model.get("name"), **found})
        return 0
    show(f"{model.get('name')}: {found['sessions']} sessions continued, {found['failed']} without an answer")
    show(f"  runs of {found['run']} words as in the recording: {found['overlap']:.4f} of the answers' runs")
    show(f"  the same against other sessions:      {found['overlap_elsewhere']:.4f}")
    show(f"  answers with such a run: {found['verbatim']:.3f}; longest stretch {found['longest']} words")
    show(f"  median of the longest stretches: {found['median_longest']} words")
    return 0


async def probe(model: dict[str, Any], sessions: Sequence[Any], size: int, seed: int) -> dict[str, Any]:
    """What `contamination` finds of a configured model. Raises: UserError."""
    from simulator.coding.contamination import contamination
    from simulator.models.clients import ModelClients
    from simulator.models.openai import OpenAIServerClient

    clients = ModelClients()
    try:
        client = clients.get(model, "model")
        if not isinstance(client, OpenAIServerClient):
            raise UserError("dyad contamination: it asks OpenAI-compatible servers; give model=endpoint model.url=...")
        await clients.check()
        return await contamination(client, sessions, size, seed)
    finally:
        await clients.close()
