"""Where the files that ship with Dyad lie: in a clone beside the package, in a wheel inside it."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource_root(name: str) -> Path:
    """The folder of the shipped resource `name` (`conf`, `personas` or `slurm`).

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the shipped folder {name}/ is missing from this installation of Dyad; reinstall it")
