"""The files that ship with Dyad: where they lie (in a clone beside the package, in a wheel inside it), their YAML."""

from pathlib import Path
from typing import Any

import yaml

_PACKAGE = Path(__file__).resolve().parent


def resource_root(name: str) -> Path:
    """The folder of the shipped resource `name` (`conf`, `personas`, `slurm` or `experiments`).

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the shipped folder {name}/ is missing from this installation of Dyad; reinstall it")


YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader where there is one: ten times as fast."""


def read_yaml(text: str) -> Any:
    """What a YAML document says, by its plain types alone.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, Loader=YAML_LOADER)
