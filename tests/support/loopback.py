"""A server of the tests' own on the loopback, that serves, drops, lies, stalls and says no; a proxy as well."""

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tfdeepfake.weights import cache, download


class Site:
    """Answers by path: `site["/a"] = serve(content)` or a list of answers, one a request, the last one for all later.

    An answer is a function of the request handler. `asked` lists (path, headers) of every request.
    """

    def __init__(self):
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                with site.lock:
                    site.asked.append((self.path, self.headers))
                    # A proxy is asked for whole addresses.
                    answers = site.answers.get(re.sub("^http://[^/]+", "", self.path), [status(404)])
                    answer = answers.pop(0) if len(answers) > 1 else answers[0]
                with contextlib.suppress(ConnectionError):
                    answer(self)

            do_CONNECT = do_GET

            def log_message(self, *args):
                pass

        self.lock = threading.Lock()
        self.answers, self.asked = {}, []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def __setitem__(self, path, answers):
        self.answers[path] = list(answers) if isinstance(answers, (list, tuple)) else [answers]

    def address(self, path):
        return f"http://{self.host}{path}"

    def ranges(self):
        """The Range of every request, None where the whole file was asked for."""
        return [headers["Range"] for _, headers in self.asked]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def _head(request, code, length, **fields):
    request.send_response(code)
    if length is not None:
        request.send_header("Content-Length", str(length))
    for name, value in fields.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()


def serve(content, etag='"1"', ranges=True, until=None, then=None, length=True, **fields):
    """Sends a file.

    Args:
      content: bytes.
      etag: None sends none.
      ranges: whether Range and If-Range are obeyed, as far as a server has to.
      until: sends the bytes before this one only, and cuts the line.
      then: function called before the line is cut, such as a wait.
      length: whether the size is told.
      **fields: further header fields, _ for -.
    """

    def answer(request):
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers["Range"] or "") if ranges else None
        start = int(asked[1]) if asked and request.headers.get("If-Range", etag) == etag else 0
        if start >= len(content):
            return _head(request, 416, 0, Content_Range=f"bytes */{len(content)}")
        more = dict(fields, **({"ETag": etag} if etag else {}))
        if start:
            more["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        _head(request, 206 if start else 200, len(content) - start if length else None, **more)
        request.wfile.write(content[start:until])
        request.wfile.flush()
        if then:
            then()
        request.close_connection = True
        return None

    return answer


def chunked(content, until):
    """Begins to send a file in pieces, without its size, and cuts the line before byte `until`."""

    def answer(request):
        _head(request, 200, None, Transfer_Encoding="chunked", ETag='"1"')
        request.wfile.write(b"%x\r\n" % len(content) + content[:until])
        request.wfile.flush()
        request.close_connection = True

    return answer


def status(code, **fields):
    """A short answer of this status."""

    def answer(request):
        body = b"no"
        _head(request, code, len(body), **fields)
        request.wfile.write(body)

    return answer


def page(html, content_type="text/html"):
    """A web page where a file was asked for."""

    def answer(request):
        _head(request, 200, len(html), Content_Type=content_type)
        request.wfile.write(html)

    return answer


def redirect(address):
    """Leads to another address."""
    return status(302, Location=address)


def isolate(monkeypatch, home):
    """A cache folder of the test's own, no proxy, no waiting between tries."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setenv(cache.HOME_VARIABLE, str(home))
    monkeypatch.setattr(download, "WAIT_S", 0)
