"""`clues review`: an owner's page to judge samples, and the files for other tools."""

from __future__ import annotations

from pathlib import Path

from clues.io.progress import say
from clues.review.exchange import export
from clues.review.server import check_installed, serve
from clues.review.session import Session
from clues.silo.folder import open_folder


def review(folder: Path, count: int, *, port: int = 0, exported: Path | None = None, taken: str | None = None) -> str:
    """Serve the page of an owner's folder until interrupted; or write or read a file of marks instead.

    Args:
        count: samples to review, the most informative ones. exported: the file to write. taken: the file to read.

    Returns:
        What was done, and the command that selects with the marks.

    Raises:
        CluesError: the folder has no scores, a file cannot be used, or the page cannot be served.
    """
    if not (exported or taken):
        check_installed()
    session = Session(open_folder(folder), count)
    log = session.log
    if exported:
        return f"{export(session, exported)} samples in {exported}; fill in quality (good, low or unsure) and remark."
    if taken:
        return f"{_marks(log.take_over(Path(taken)))} now in {log.path}. What selects with them: {session.owner.apply}"
    serve(session, port=port, ready=lambda link: say(f"Open this link, which works once (Ctrl-C stops): {link}"))
    marked = sum(bool(mark.quality) for mark in log.marks().values())
    return f"{_marks(marked)} in {log.path}. What selects with them: {session.owner.apply}"


def _marks(count: int) -> str:
    return "1 mark" if count == 1 else f"{count} marks"
