"""Composing a study in Python exactly as the command line composes it."""

from pathlib import Path
from typing import Any

from simulator.resources import resource_root
from simulator.studies.config import StudyConfig, parse_config


def compose(*overrides: str, config_dir: str | Path | None = None) -> StudyConfig:
    """The default study with overrides in Hydra's grammar (`"replicates=2"`, `"therapist=[cbt,companion]"`).

    Args:
        overrides: as after `dyad run`.
        config_dir: a folder of configuration groups of your own, as `--config-dir`.

    Raises:
        UserError: an unknown key or a wrong value, in one line.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    own = [] if config_dir is None else [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"]
    with initialize_config_dir(version_base="1.3", config_dir=str(resource_root("conf"))):
        config = hydra_compose("config", overrides=[*own, *overrides])
    content: Any = OmegaConf.to_container(config, resolve=True)
    return parse_config(content)
