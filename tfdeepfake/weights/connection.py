"""Why a file on the network cannot be had: no connection, unknown name, wrong proxy, a web page in its place."""

import re
import socket
import threading
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

_OFFLINE = "Is this machine online? If it needs a proxy, set HTTPS_PROXY=http://HOST:PORT."
_PROXY = "Correct HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT), or name the server in NO_PROXY."

_LOGIN = "This network may want you to log in first: open any page in a browser, then try again."


class Unavailable(Exception):
    """An address did not give the file.

    Args:
      problem: the rest of a sentence that begins with the address.
      remedy: what a user can do about it.
      passing: whether another try may succeed.
    """

    def __init__(self, problem: str, remedy: str = "", passing: bool = False):
        super().__init__(problem)
        self.problem, self.remedy, self.passing = problem, remedy, passing


class Unreachable(Unavailable):
    """No connection to the server, or to the proxy before it."""


def proxy_of(address: str) -> str | None:
    """HOST:PORT of the proxy that the environment names for an address, without the password it may hold."""
    proxy = _proxy(address)
    return _host_and_port(proxy) if proxy else None


def _proxy(address):
    from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy

    proxy = select_proxy(address, get_environ_proxies(address))
    return prepend_scheme_if_needed(proxy, "http") if proxy else None


def _endpoint(address):
    parts = urlsplit(address)
    return parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme, 1080)


def _host_and_port(address):
    host, port = _endpoint(address)
    return f"{host}:{port}"


def refuse_unreachable(address: str, within_s: float) -> None:
    """Checks that the server, or the proxy before it, takes a connection.

    The system may look for a name, and try each of a server's numbers in turn, for longer than a request's timeout
    says: a thread of its own does both, and is not waited for when the time is over.

    Raises:
      Unreachable: no connection within so many seconds.
    """
    proxy = _proxy(address)
    host, port = _endpoint(proxy or address)
    who = f"cannot be asked: the proxy {host}:{port}" if proxy else f"cannot be reached: {host}"
    outcome = SimpleQueue()

    def knock():
        try:
            socket.create_connection((host, port), timeout=within_s / 2).close()
            outcome.put(None)
        except (OSError, UnicodeError) as error:
            outcome.put(error)

    threading.Thread(target=knock, daemon=True).start()
    try:
        error = outcome.get(timeout=within_s)
    except Empty:
        error = TimeoutError()
    if error is None:
        return
    if isinstance(error, (socket.gaierror, UnicodeError)):
        reason = "has no known number (DNS)"
    elif isinstance(error, TimeoutError):
        reason = f"does not answer within {within_s:g} s"
    else:
        reason = f"lets no connection through ({error.strerror or error})"
    raise Unreachable(f"{who} {reason}", _PROXY if proxy else _OFFLINE)


def explained(error: Exception, address: str, timeout_s: float) -> Unavailable:
    """What an exception of requests means.

    Args:
      error: `requests.RequestException`.
      address: what was asked for.
      timeout_s: for how long the server was waited for.
    """
    import requests
    from urllib3.exceptions import ReadTimeoutError

    inner = error.args[0] if error.args else None
    if isinstance(error, requests.exceptions.ProxyError):
        answer = re.search(r"Tunnel connection failed: (\d+ ?[^'\")]*)", str(error))
        reason = f"says no ({answer[1].strip()})" if answer else "cannot be used"
        return Unavailable(f"cannot be asked: the proxy {proxy_of(address)} {reason}", _PROXY)
    if isinstance(error, requests.exceptions.SSLError):
        reason = re.search(r"\[SSL[^\]]*\] ([^(]+)", str(error))
        return Unavailable(
            f"has no connection that can be trusted ({reason[1].strip() if reason else 'TLS'})",
            "A login page of this network may stand in its place: open any page in a browser. Where your network reads "
            "along, set REQUESTS_CA_BUNDLE to its certificate.",
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Unavailable("leads to a server that does not answer", _OFFLINE)
    if isinstance(error, requests.exceptions.ReadTimeout) or isinstance(inner, ReadTimeoutError):
        return Unavailable(f"has stalled: nothing came for {timeout_s:g} s", passing=True)
    if isinstance(error, (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        return Unavailable("broke off", "The line was cut on the way.", passing=True)
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return Unavailable("leads from one address to the next without end")
    return Unavailable(f"cannot be asked ({error})")


def status_problem(status: int, reason: str, address: str) -> Unavailable:
    """What a status other than 200 and 206 means."""
    proxy = proxy_of(address)
    said = f"{status} {reason}".strip()
    if status == 407:
        return Unavailable(f"cannot be asked: the proxy {proxy} says no ({said})", _PROXY)
    if status in (401, 403):
        asked = f"the server, or the proxy {proxy} before it," if proxy else "the server"
        return Unavailable(f"may not be had: {asked} says no ({said})")
    if status in (404, 410):
        return Unavailable(f"is not there any more ({said})", "A newer tfdeepfake may know where it went.")
    if status == 511:
        return Unavailable(f"is shut off by this network ({said})", _LOGIN)
    if status == 429 or status >= 500:
        return Unavailable(f"cannot be had at the moment ({said})", "Try again later.", passing=True)
    return Unavailable(f"answers with something else than the file ({said})")


def page_problem(content_type: str, beginning: bytes, host: str) -> Unavailable | None:
    """A web page in place of the file: a network's login page, a notice, an error with the status of success.

    Args:
      content_type: as the server states it.
      beginning: of what it sends.
      host: who sent it.
    """
    looks = re.match(rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body)\b", beginning, re.I | re.S)
    if not looks and not content_type.lower().startswith(("text/html", "application/xhtml")):
        return None
    title = re.search(rb"<title[^>]*>\s*(.*?)\s*</title>", beginning, re.I | re.S)
    called = f' ("{title[1].decode("utf-8", "replace")[:80]}")' if title else ""
    return Unavailable(f"gives a web page of {host}{called} in place of the file", _LOGIN)
