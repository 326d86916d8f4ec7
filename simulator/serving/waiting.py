"""Waiting until a model server answers, before anything that needs it is begun."""

import time
import urllib.error
import urllib.request
from pathlib import Path

from simulator.errors import UserError
from simulator.models.endpoints import read_endpoints
from simulator.store.leases import is_running

_LOOK_EVERY_SECONDS = 2.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Past a site's proxies, as requests to models go."""


def wait_for_server(place: Path, seconds: float, process: int | None = None) -> str:
    """The address of the first server of an endpoint file, or of a folder of them, that answers.

    Args:
        place: the file or folder.
        seconds: how long at most.
        process: the one that serves, on this machine; where it has ended, nothing is waited for.

    Raises:
        UserError: none does in time, or the process has ended.
    """
    until = time.monotonic() + seconds
    while True:
        said = f"{place} is not there"
        if place.exists():
            try:
                addresses = read_endpoints(place)
                said = f"{place} names no server" if not addresses else f"{', '.join(addresses)} does not answer"
            except UserError as error:
                addresses, said = [], str(error)
            for address in addresses:
                if _answers(address):
                    return address
        if process is not None and not is_running(process):
            raise UserError(f"the model server (process {process}) has ended: {said}; its log says why")
        if time.monotonic() >= until:
            raise UserError(f"no model server after {seconds:g} s: {said}; look at the logs of the server jobs")
        time.sleep(min(_LOOK_EVERY_SECONDS, max(0.05, until - time.monotonic())))


def _answers(address: str) -> bool:
    try:
        with _DIRECT.open(f"{address}/models", timeout=5) as reply:
            return bool(reply.status < 500)
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False
