"""Reads this project's docstrings for the site, as Markdown and sections that mkdocstrings knows."""

import re

import griffe

SECTION = re.compile(r"(Args|Raises|Returns|Yields):")


class Sections(griffe.Extension):
    """Turns every docstring into Markdown, see `as_markdown`."""

    def on_object(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text):
    """A docstring of this project for a reader that wants blank lines.

    Args and Raises stay sections; Returns and Yields become paragraphs, because they hold a sentence and no list of
    names. Indented lines elsewhere are tables and commands, which keep their columns as code.
    """
    section, lines = None, []
    for line in text.splitlines():
        if match := SECTION.fullmatch(line):
            section = match[1]
            lines += ["", line if section in ("Args", "Raises") else f"**{section}:**"]
        elif not line.startswith(" "):
            section = section if not line else None
            lines.append(line)
        elif section in ("Args", "Raises"):
            lines.append(line)
        elif section:
            lines.append(line[2:])
        else:
            lines += [] if not lines or not lines[-1] or lines[-1].startswith("    ") else [""]
            lines.append(line if line.startswith("    ") else f"  {line}")
    return "\n".join(lines)
