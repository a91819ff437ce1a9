"""A guestbook in Python's standard library; its entries are kept in Redis."""

import html
import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SHOWN = 50
KEPT = 1000

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.html"), encoding="utf-8") as file:
    PAGE = file.read()


class Redis:
    """As much of Redis's protocol (RESP) as a guestbook needs."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.address = (parts.hostname, parts.port or 6379)
        self.local = threading.local()

    def __call__(self, *words):
        if getattr(self.local, "stream", None) is None:
            connection = socket.create_connection(self.address, timeout=5)
            self.local.stream = connection.makefile("rwb")
            connection.close()  # the stream keeps it open
        stream = self.local.stream
        try:
            stream.write(b"*%d\r\n" % len(words))
            for word in words:
                word = str(word).encode()
                stream.write(b"$%d\r\n%s\r\n" % (len(word), word))
            stream.flush()
            return self.reply(stream)
        except OSError:
            self.local.stream = None
            raise

    def reply(self, stream):
        line = stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise ConnectionError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            return None if length < 0 else stream.read(length + 2)[:-2].decode()
        if kind == b"*":
            return [self.reply(stream) for _ in range(int(rest))]
        return rest.decode()


redis = Redis(os.environ.get("REDIS_URL", "redis://localhost:6379"))


def entry(text):
    """One entry as HTML."""
    entry = json.loads(text)
    date = time.strftime("%d %b %Y, %H:%M", time.gmtime(entry["time"]))
    return (
        f'<li><p>{html.escape(entry["message"])}</p>'
        f'<footer>{html.escape(entry["name"])} <time>{date} UTC</time></footer></li>'
    )


class Guestbook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self):
        path = urlsplit(self.path).path
        if path == "/up":
            redis("PING")
            self.answer(200, "up\n", "text/plain")
        elif path == "/":
            visits = redis("INCR", "visits")
            entries = [entry(text) for text in redis("LRANGE", "entries", 0, SHOWN - 1)]
            page = PAGE.replace("{visits}", f"{visits:,}").replace("{copy}", html.escape(socket.gethostname()))
            self.answer(200, page.replace("{entries}", "\n".join(entries) or '<li class="none">Nobody has signed yet.</li>'))
        else:
            self.answer(404, "There is nothing here.\n", "text/plain")

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > 16384:
            self.close_connection = True
            return self.answer(413, "That is too long for a guestbook.\n", "text/plain")
        form = parse_qs(self.rfile.read(length).decode("utf-8", "replace"))
        name, message = (form.get(field, [""])[0].strip() for field in ("name", "message"))
        if message:
            text = json.dumps({"name": name[:60] or "Somebody", "message": message[:500], "time": int(time.time())})
            redis("LPUSH", "entries", text)
            redis("LTRIM", "entries", 0, KEPT - 1)
        self.answer(303, "", location="/")

    def answer(self, status, body, kind="text/html", location=None):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError, socket.gaierror) as error:
            self.close_connection = True
            print(f"no answer: {error}", file=sys.stderr)
            try:
                self.answer(503, "The guestbook cannot reach Redis at this moment.\n", "text/plain")
            except OSError:
                pass  # it was the visitor who went away

    def log_message(self, template, *values):
        if getattr(self, "path", "") != "/up":
            super().log_message(template, *values)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("0.0.0.0", 8000), Guestbook)
    server.daemon_threads = True
    # Out of the main thread, which serves and could not wait for itself.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print("The guestbook listens on port 8000.")
    server.serve_forever(poll_interval=0.1)
