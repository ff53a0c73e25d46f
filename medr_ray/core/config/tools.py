"""What an agent can call, beside the corpus: the web, diagnosis, foreign tools."""

from medr_ray.core.config.diagnosis import DiagnosisConfig
from medr_ray.core.config.live import LiveConfig
from medr_ray.core.config.read import ReadConfig
from medr_ray.core.config.section import Section
from medr_ray.core.config.web import WebSearchConfig


class ToolsConfig(Section):
    """The tools' own settings; which of them an agent is given says ``agent.tools``."""

    read: ReadConfig = ReadConfig()
    web: WebSearchConfig = WebSearchConfig()
    diagnosis: DiagnosisConfig = DiagnosisConfig()
    live: LiveConfig = LiveConfig()
