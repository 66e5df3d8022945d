"""The files of the pages, and what stands at their address when they were not built."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from kubiya_workers.contracts.console import Scope
from kubiya_workers.contracts.errors import NotFound

STATIC = Path(__file__).with_name("static")
_ASSETS = "assets"
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_ASK_AGAIN = {"Cache-Control": "no-cache"}

NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Kubiya workers</title>
<h1>The pages of the web interface were not built</h1>
<p>This is an installation from source. The workers run, and so does all that the pages would show; only the pages are
missing. To get them:</p>
<ol>
<li>Install Node.js 20 or newer.</li>
<li>Run <code>make setup</code> in the directory of the source.</li>
<li>Reload this page.</li>
</ol>
<p>Until then the command line shows the same: <code>kubiya worker list</code>, <code>kubiya execution list</code>,
<code>kubiya worker logs</code>, <code>kubiya doctor</code>.</p>
</html>
"""


class Pages:
    """Answers every GET that is for no API.

    What the address of a page means is the pages' own business: all get the one document. It says where they are, with
    `base` before the path of each, and whose workers they show.
    """

    def __init__(self, directory: Path = STATIC, *, base: str = "", scope: Scope = "pool") -> None:
        self._directory = directory
        self._base = base
        self._scope = scope

    @property
    def build(self) -> str:
        """Which build of the pages this is; "none" when there is none."""
        try:
            return (self._directory / "build.txt").read_text().strip() or "unknown"
        except OSError:
            return "unknown" if self._document.is_file() else "none"

    @property
    def _document(self) -> Path:
        return self._directory / "index.html"

    async def __call__(self, request: Request) -> Response:
        """A file, the document of the pages, or what says that they are missing.

        Raises:
            NotFound: a file is asked for that is not there.
        """
        path = request.url.path.lstrip("/")
        file = self._file(path)
        if file is not None:
            return FileResponse(file, headers=_FOR_EVER if path.startswith(f"{_ASSETS}/") else _ASK_AGAIN)
        if path.startswith(f"{_ASSETS}/") or "." in path.rpartition("/")[2]:
            raise NotFound(f"there is no {request.url.path} here")
        if not self._document.is_file():
            return HTMLResponse(NOT_BUILT, 503, _ASK_AGAIN)
        return HTMLResponse(self._placed(self._document.read_text()), headers=_ASK_AGAIN)

    def _placed(self, document: str) -> str:
        told = f'<html data-base="{self._base}" data-scope="{self._scope}"'
        return document.replace("<html", told, 1).replace('="./', f'="{self._base}/')

    def _file(self, path: str) -> Path | None:
        """The file of that name, within the directory: no link or `..` leads out of it."""
        if not path or "\0" in path:
            return None
        found = (self._directory / path).resolve()
        within = found.is_relative_to(self._directory.resolve())
        return found if within and found.is_file() and found.name != "index.html" else None
