"""Pages from templates: one self-contained file each, everything in it escaped, written as it is made."""

import base64
import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path
from tfdeepfake.report import palette
from tfdeepfake.report.text import printable

if TYPE_CHECKING:
    import jinja2
    from PIL import Image


@functools.cache
def environment() -> "jinja2.Environment":
    """jinja2.Environment of the templates in `templates/`: whatever a template names is escaped and printable.

    `{{ value | fixed(3) }}` is a number with three digits behind the point, two when no number is given.
    """
    import jinja2

    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters["fixed"] = lambda value, digits=2: f"{value:.{digits}f}"
    jinja.globals.update(light=palette.LIGHT, dark=palette.DARK)
    return jinja


def write_page(path: Path | str, template: str, **values: Any) -> None:
    """Writes a page piece by piece: memory does not grow with what an iterator among the values yields.

    Args:
      path: the HTML file; whole or not there.
      template: name of a file in `templates/`.
      **values: what the template names.
    Raises:
      InputError: the file cannot be written or the disk is full.
    """
    pieces = environment().get_template(template).generate(**values)
    try:
        with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", errors="replace") as page:
            page.writelines(pieces)
    except OSError as error:
        raise InputError(path, f"cannot be written ({error.strerror}).") from error


def embedded_image(path: Path | str, side_px: int, quality: int) -> dict | None:
    """A small copy of an image, to stand in the page itself.

    Args:
      path: the image file.
      side_px: longest side of the copy.
      quality: of the JPEG, 0..95.
    Returns:
      {"data": address that holds the image, "width", "height" in px}; None when the file cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            # Decodes at a half, quarter or eighth where that is still large enough.
            image.draft("RGB", (side_px, side_px))
            return embedded(image, side_px, quality)
    except OSError:
        return None


def embedded(image: "Image.Image", side_px: int, quality: int) -> dict:
    """`embedded_image` of a PIL image, which is made as small as asked for."""
    from PIL import Image

    image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    stream, (width, height) = io.BytesIO(), image.size
    image.save(stream, "JPEG", quality=quality, optimize=True)
    data = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    return {"data": data, "width": width, "height": height}
