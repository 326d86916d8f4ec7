"""Classes by dotted path, with one-line errors."""

import importlib
from typing import Any

from simulator.errors import UserError


def locate(target: str, where: str) -> Any:
    """The object that a dotted path names.

    Raises:
        UserError: there is no such module or name; `where` says in which field it stands.
    """
    module_name, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{where}._target_: cannot import '{target}' ({error}); name an importable class") from None
