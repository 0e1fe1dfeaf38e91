"""Where the server listens: taken before a model is fetched and loaded, so that a port in use is told at once."""

import errno
import os
import socket

from tfdeepfake.errors import InputError

_NO_SUCH_ADDRESS = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def take_address(host: str, port: int, flag: str = "--port") -> list[socket.socket]:
    """Sockets that are bound to each address of a host, and do not listen yet.

    Args:
      host: name or address.
      port: 0 for one that is free, the same for all addresses.
      flag: that errors name.
    Raises:
      InputError: there is no such host here, or the port is in use or not allowed.
    """
    sockets = []
    try:
        places = dict.fromkeys(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
        for family, kind, protocol, _, place in places:
            try:
                sockets.append(_bound(family, kind, protocol, (place[0], port, *place[2:])))
            except OSError as error:  # a name may have an address of IPv6 where there is none
                if error.errno not in _NO_SUCH_ADDRESS or len(places) == 1:
                    raise
            else:
                port = sockets[0].getsockname()[1]
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except (OSError, UnicodeError) as error:
        for one in sockets:
            one.close()
        raise cannot_use(host, port, flag, error) from error
    return sockets


def cannot_use(host: str, port: int, flag: str, error: Exception) -> InputError:
    """The error of an address that cannot be listened at."""
    reason = getattr(error, "strerror", None) or str(error)
    return InputError(flag, f"{host}:{port} cannot be used ({reason}).", "Choose another port or host.")


def _bound(family, kind, protocol, place):
    one = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # a server that has ended just now does not keep its port; elsewhere it would share it
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(place)
    except OSError:
        one.close()
        raise
    return one
