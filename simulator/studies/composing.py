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
    return parse_config(composed(*overrides, config_dir=config_dir))


def composed(*overrides: str, config_dir: str | Path | None = None) -> Any:
    """The same as plain content, before it is checked. Within a Hydra application that runs already its own search
    path counts, so that a configuration folder given to it holds here too."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    if GlobalHydra.instance().is_initialized():
        return OmegaConf.to_container(hydra_compose("config", overrides=list(overrides)), resolve=True)
    own = [] if config_dir is None else [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"]
    with initialize_config_dir(version_base="1.3", config_dir=str(resource_root("conf"))):
        config = hydra_compose("config", overrides=[*own, *overrides])
    return OmegaConf.to_container(config, resolve=True)
