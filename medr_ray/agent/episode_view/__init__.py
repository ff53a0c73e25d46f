"""How an episode looks in a browser: one script and one style sheet.

The script draws the events of an episode (``agent.events``), one by one as they arrive or all at
once. It puts what a model or a document wrote into the page as text, never as HTML, links to pages
of http and https only, and loads nothing. Whoever shows it puts both texts into a page of its own::

    const view = MedrEpisode.openEpisode(container);
    view.add(event);
"""

from importlib import resources


def read_episode_script() -> str:
    """The script, which defines ``MedrEpisode``."""
    return _read_asset("episode.js")


def read_episode_style() -> str:
    """The style sheet, with the colours of both themes."""
    return _read_asset("episode.css")


def _read_asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
