"""Keys and tokens of other people's classes: named by environment variable, never written down.

A class that a configuration names by `_target_` may want `api_key`. The configuration is part of a run's folder and of
what trackers get, so such a value is refused there, as is an address that holds one (`http://user:password@host`);
`api_key_env` names the variable that holds it, and the class gets it under its own name.
"""

import inspect
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from simulator.errors import UserError

_SECRET = re.compile(
    r"(^|.*[_-])(api[_-]?key|(access|private|account|secret)_key|secret|password|authorization"
    r"|((auth|access|api|bearer|id|refresh|session|security|ad|hf)_?)?token)",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"(bos|eos|pad|unk|stop|sep|cls|mask)_token", re.IGNORECASE)
_ENV = "_env"
_known: set[str] = set()


def is_secret(key: object) -> bool:
    """Whether what stands under this key is a secret."""
    return isinstance(key, str) and bool(_SECRET.fullmatch(key)) and not _NO_SECRET.fullmatch(key)


def holds_secret(text: str) -> bool:
    """Whether a text is an address with a user, a password or a key in it."""
    if "://" not in text or any(map(str.isspace, text)):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return "@" in text
    asked = [name for name, value in parse_qsl(parts.query) if value]
    return "@" in parts.netloc or any(is_secret(name) or name.lower() in ("key", "sig", "signature") for name in asked)


def refuse_secrets(value: Any, where: str, below: bool = False) -> None:
    """Refuse secrets in mappings with a `_target_`, and in all that stands in them; the value is not repeated.

    Raises:
        UserError: there is one; `where` and its path say in which field.
    """
    if isinstance(value, Mapping):
        below = below or "_target_" in value
        for key, part in value.items():
            place = f"{where}.{key}" if where else str(key)
            if below and is_secret(key) and part not in (None, "", [], {}):
                raise UserError(
                    f"{place}: a key would be written into the run; put it into an environment variable and give that "
                    f"variable's name as {key}{_ENV}"
                )
            refuse_secrets(part, place, below)
    elif isinstance(value, list | tuple):
        for part in value:
            refuse_secrets(part, where, below)
    elif below and isinstance(value, str) and holds_secret(value):
        raise UserError(
            f"{where}: the user, password or key in this address would be written into the run; leave it out, and name "
            f"a key by api_key{_ENV}"
        )


def with_secrets(arguments: Mapping[str, Any], target: Any, where: str) -> dict[str, Any]:
    """A class's arguments, with what `NAME_env` names as `NAME`, unless the class reads `NAME_env` itself.

    Raises:
        UserError: a secret stands there itself, or the variable is not set.
    """
    refuse_secrets(arguments, where, below=True)
    filled = dict(arguments)
    for key, variable in arguments.items():
        name = str(key).removesuffix(_ENV)
        if variable is None or name == key or not is_secret(name) or key in inspect.signature(target).parameters:
            continue
        if not os.environ.get(str(variable)):
            raise UserError(f"{where}.{key}: the environment variable it names is not set; export it")
        del filled[key]
        filled[name] = os.environ[str(variable)]
        _known.add(filled[name])
    return filled


def struck(text: str) -> str:
    """`text` without the secrets that classes were given."""
    for secret in _known:
        text = text.replace(secret, "***")
    return text


def without_secrets(value: Any) -> Any:
    """A configuration with stars in place of secrets."""
    if isinstance(value, Mapping):
        return {key: "***" if is_secret(key) and part else without_secrets(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(part) for part in value]
    return "***" if isinstance(value, str) and holds_secret(value) else value
