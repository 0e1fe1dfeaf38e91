"""Text of unknown origin made fit to be shown."""


def printable(text: str) -> str:
    """Text on one line without signs that steer: what is no space and cannot be printed becomes a replacement sign.

    Control characters could end a line or colour a terminal; those that turn the direction of writing could make a
    file's name read as another's.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)
