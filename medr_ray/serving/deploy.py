"""The Serve application of a run for a Serve configuration file or a RayService:
``cluster/serve.yaml`` names it.

It is the application that ``medr serve`` runs. It can be reached from other machines, so it is
built only if there is an API key.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from medr_ray.core.errors import ConfigError
from medr_ray.core.run import open_run
from medr_ray.core.settings import load_config
from medr_ray.serving.app import bind_application, find_served_directories
from medr_ray.serving.keys import KeySource

if TYPE_CHECKING:
    from ray.serve import Application


def build(arguments: Mapping[str, str]) -> "Application":
    """The application of the run that ``arguments["config"]``, a YAML file, configures. Raises
    MedrError."""
    if not arguments.get("config"):
        raise ConfigError("the application's args name no configuration: write config: PATH")
    config = load_config(arguments["config"])
    variable = config.serving.api_key_env
    keys = KeySource.from_config(config.serving)
    # No key would mean that none is asked for (see ``keys``), which is for loopback only.
    if not keys.read().asks_for_key:
        raise ConfigError(
            f"{variable} is not set or blank, and serving.keys_file names no file: a served model "
            "that others can reach needs a key"
        )
    run = open_run(config)
    return bind_application(config, run, find_served_directories(config, run), keys)
