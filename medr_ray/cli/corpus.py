"""``medr corpus download``: PubMed's files from NLM or a mirror, checked, resumed, and verified
offline."""

from pathlib import Path
from typing import Annotated

import typer

_NLM_URL = "https://ftp.ncbi.nlm.nih.gov/pubmed/"
# NLM asks for no more at a time.
_DEFAULT_CONNECTIONS = 3


def download(
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="Folder that becomes the mirror.")
    ],
    source: Annotated[
        str,
        typer.Option(
            "--source",
            metavar="URL_OR_FOLDER",
            help="NLM's layout over http(s), or a folder of it.",
        ),
    ] = _NLM_URL,
    baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="The yearly baseline.")
    ] = True,
    updates: Annotated[
        bool, typer.Option("--updates/--no-updates", help="The daily update files.")
    ] = True,
    files: Annotated[
        str | None,
        typer.Option(
            "--files", metavar="GLOB", help="Only files of these names, such as 'pubmed26n000*'."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first N files.")
    ] = None,
    connections: Annotated[
        int | None,
        typer.Option(
            "--connections", min=1, help="Files at a time, at most 3 as NLM asks (default 3)."
        ),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="First remove the files of earlier years from DEST.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Offline: hash every file of DEST again.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be fetched, and fetch nothing.")
    ] = False,
) -> None:
    """Fetch PubMed's files into DEST, each checked against its MD5; what is there is kept, what was
    killed resumes."""
    from rich.console import Console

    from medr_ray.corpus.download import DownloadRequest, fetch_mirror, preview_download
    from medr_ray.corpus.mirror_verification import verify_mirror

    console = Console()
    if verify:
        # ``connections`` is None by default, so that this notices when it was given.
        is_narrowed = files or limit or connections or prune or not (baseline and updates)
        if is_narrowed or dry_run or source != _NLM_URL:
            raise typer.BadParameter(
                "--verify looks at all of DEST and nowhere else: it goes with no other option"
            )
        verify_mirror(destination, console)
        return
    request = DownloadRequest(
        source,
        destination,
        baseline,
        updates,
        files or "*",
        limit,
        connections or _DEFAULT_CONNECTIONS,
        prune,
    )
    if dry_run:
        preview_download(request).print_to(console)
    else:
        fetch_mirror(request, console)
