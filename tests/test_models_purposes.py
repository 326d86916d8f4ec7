"""Client, therapist and coder may be different models on different pools, each by default the study's `model`."""

from pathlib import Path
from typing import Any

import pytest

from simulator.errors import UserError
from simulator.models.purposes import OURS, model_of
from simulator.studies.chairs import coder_options, seated_option
from simulator.studies.composing import compose
from simulator.studies.config import StudyConfig, parse_config
from simulator.studies.identity import identity_components, identity_of
from simulator.studies.plan import make_plan

STUDY = ["model=endpoint", "model.url=http://a:1/v1", "model.name=a", "client=[static]", "therapist=[lm_mi]"]


def judge(model: dict[str, Any]) -> dict[str, Any]:
    """A coder that needs a model, as far as its configuration goes."""
    return model


def models(config: StudyConfig) -> dict[str, Any]:
    """The model of each purpose."""
    return {
        "client": seated_option(config, "client", "static")["model_client"],
        "therapist": seated_option(config, "therapist", "lm_mi")["model_client"],
        "coders": coder_options(config)["judge"]["model"],
    }


def study(*overrides: str) -> StudyConfig:
    return compose(*STUDY, f"+coders.judge={{_target_: {__name__}.judge}}", *overrides)


def test_by_default_every_purpose_has_the_studys_model() -> None:
    found = models(study())
    assert found["client"] == found["therapist"] == found["coders"]
    assert found["client"]["url"] == "http://a:1/v1" and found["client"]["_target_"] == OURS


@pytest.mark.parametrize("purpose", ["client", "therapist", "coders"])
def test_each_purpose_may_have_a_model_of_its_own(purpose: str) -> None:
    own = [f"model@{purpose}.model=qwen3_8b", f"{purpose}.model.url=http://b:2/v1"]
    found = models(study(*own))
    assert {name for name, model in found.items() if model["url"] == "http://b:2/v1"} == {purpose}
    assert found[purpose]["name"] == "Qwen/Qwen3-8B"


def test_keys_without_a_place_are_laid_over_the_more_general_model() -> None:
    config = study("+client.model.sampling.temperature=0.3", "+client.static.model={name: adapter}")
    client = models(config)["client"]
    assert (client["url"], client["name"], client["sampling"]["temperature"]) == ("http://a:1/v1", "adapter", 0.3)
    assert client["sampling"]["max_tokens"] == 400
    assert models(config)["therapist"]["sampling"]["temperature"] is None


def test_a_model_with_a_place_stands_by_itself() -> None:
    assert model_of({"url": "http://a", "cache": "x"}, {"url": "http://b"}) == {"_target_": OURS, "url": "http://b"}
    assert model_of(None, {"name": "b"}, None) == {"_target_": OURS, "name": "b"}
    assert model_of(None, None) is None


def test_models_of_purposes_survive_being_written_down(tmp_path: Path) -> None:
    config = study("+chairs.partner.model={name: c}", "+chairs.partner.lm={_target_: x}", "+coders.model={name: k}")
    assert config.models == {"partner": {"name": "c"}, "coders": {"name": "k"}}
    assert list(config.chairs["partner"]) == ["lm"]
    assert parse_config(config.model_dump(mode="json")) == config


def test_a_chairs_model_counts_and_a_coders_does_not() -> None:
    def identity(*overrides: str) -> str:
        return identity_of(identity_components(make_plan(study("personas.limit=1", *overrides))))

    same = identity()
    assert identity("+coders.model={name: other}") == same
    assert identity("+client.model={url: 'http://b:2/v1', name: a}") != same  # the sampling is another one
    assert identity("+client.model={pool: {attempts: 2}}") == same
    assert identity("+therapist.model={name: other}") != same


def test_a_coder_without_a_model_is_one_line() -> None:
    with pytest.raises(UserError, match=r"coders.judge: no model is configured; add model=endpoint"):
        coder_options(compose("coders=[rules]", f"+coders.judge={{_target_: {__name__}.judge}}"))
