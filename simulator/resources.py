"""The files that ship with Dyad: where they lie (in a clone beside the package, in a wheel inside it), their YAML."""

from pathlib import Path
from typing import Any

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


def yaml_loader() -> Any:
    """libyaml's loader of plain types where there is one: ten times as fast as the other."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str) -> Any:
    """What a YAML document says, by its plain types alone.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    import yaml

    return yaml.load(text, Loader=yaml_loader())
