"""The model clients of a run: each configuration is made once, whatever number of chairs and coders name it.

Any AutoGen `ChatCompletionClient` can be named by `_target_`; ours share their connections. Whether a client of
somebody else's takes the creation argument `seed` cannot be known: the key `sends_seed: false` beside its `_target_`
says that it does not. Nor is its key written into a configuration: `api_key_env` names its variable.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from autogen_core.models import ChatCompletionClient

from simulator.errors import UserError
from simulator.locate import locate
from simulator.models.openai import OpenAIServerClient
from simulator.models.pools import Pools
from simulator.records.fingerprints import fingerprint
from simulator.secrets import struck, with_secrets


class ModelClients:
    """Makes and keeps model clients. Close it in the event loop in which they were used.

    Args:
        pools: where our clients share their connections; fresh ones by default.
    """

    def __init__(self, pools: Pools | None = None) -> None:
        self._pools = pools or Pools()
        self._made: dict[str, ChatCompletionClient] = {}
        self._seedless: set[int] = set()

    def get(self, config: Mapping[str, Any], where: str) -> ChatCompletionClient:
        """The client of a configuration (a mapping with `_target_`, made of JSON values).

        Raises:
            UserError: the configuration is wrong; `where` says which field it stands in.
        """
        name = fingerprint(config)
        client = self._made.get(name)
        if client is None:
            client = self._made[name] = self._make(dict(config), where)
        return client

    def _make(self, config: dict[str, Any], where: str) -> ChatCompletionClient:
        target = locate(str(config.pop("_target_")), where)
        sends_seed = bool(config.pop("sends_seed", True))
        if not (isinstance(target, type) and issubclass(target, OpenAIServerClient)):  # ours reads its key itself
            config = with_secrets(config, target, where)
        if "pools" in inspect.signature(target).parameters:
            config["pools"] = self._pools
        try:
            client = target(**config)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        except Exception as error:  # clients of others raise what they like over their arguments
            raise UserError(f"{where}: {struck(next(iter(str(error).splitlines()), type(error).__name__))}") from None
        if not isinstance(client, ChatCompletionClient):
            raise UserError(f"{where}: {target.__name__} is no AutoGen ChatCompletionClient")
        if not sends_seed:
            self._seedless.add(id(client))
        return client

    def sends_seed(self, client: ChatCompletionClient) -> bool:
        """Whether a client of this run takes the creation argument `seed`."""
        return id(client) not in self._seedless

    @property
    def priced(self) -> bool:
        """Whether any of them has a price, so that calls cost something."""
        return any(isinstance(one, OpenAIServerClient) and one.settings.price for one in self._made.values())

    async def check(self) -> None:
        """Ask every server of ours whether it is there and serves its model.

        Raises:
            UserError: the first that is or does not.
        """
        for client in self._made.values():
            if isinstance(client, OpenAIServerClient):
                await client.check()

    async def close(self) -> None:
        """Close all clients and connections."""
        for client in self._made.values():
            await client.close()
        await self._pools.close()
