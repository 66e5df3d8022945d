"""Somebody else's pages, in a browser that was let in, and what they try."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

TRIES = """async ([base, reads, changes]) => {
  const outcome = {};
  const note = async (name, attempt) => {
    try { outcome[name] = await attempt(); } catch (error) { outcome[name] = 'failed'; }
  };
  for (const path of reads) {
    for (const mode of ['cors', 'no-cors']) {
      await note(`${mode} GET ${path}`, async () => {
        const answer = await fetch(base + path, {mode, credentials: 'include'});
        return `${answer.type} ${answer.status} ${await answer.text()}`;
      });
    }
  }
  for (const [method, path] of changes) {
    await note(`cors ${method} ${path}`, async () => {
      const headers = {'Content-Type': 'application/json', 'X-Kubiya-CSRF': 'guess'};
      const answer = await fetch(base + path, {method, credentials: 'include', headers, body: '{}'});
      return `${answer.type} ${answer.status} ${await answer.text()}`;
    });
    if (method === 'POST') {
      await note(`no-cors ${method} ${path}`, async () => {
        const answer = await fetch(base + path, {method, mode: 'no-cors', credentials: 'include', body: '{}'});
        return `${answer.type} ${answer.status} ${await answer.text()}`;
      });
    }
  }
  await note('websocket', () => new Promise((resolve) => {
    const socket = new WebSocket(base.replace('http', 'ws') + '/console/api/live');
    socket.onopen = () => resolve('open');
    socket.onerror = () => resolve('failed');
  }));
  await note('events', () => new Promise((resolve) => {
    const source = new EventSource(base + '/console/api/live', {withCredentials: true});
    source.onmessage = () => resolve('message');
    source.addEventListener('live', () => resolve('live'));
    source.onerror = () => { source.close(); resolve('failed'); };
  }));
  await note('script', () => new Promise((resolve) => {
    const script = document.createElement('script');
    script.src = base + '/console/api/session';
    script.onload = () => resolve('loaded');
    script.onerror = () => resolve('failed');
    document.head.append(script);
  }));
  return outcome;
}"""


@contextmanager
def site(directory: Path) -> Iterator[int]:
    """Somebody else's web server; its port."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=directory))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answers_of(page: Page, base: str) -> list[int]:
    """The statuses of what a page is answered from there, as they come."""
    found: list[int] = []
    page.on("response", lambda answer: found.append(answer.status) if answer.url.startswith(base) else None)
    return found
