"""One preset per experiment: a module with a `CONFIG`. `tfdeepfake train --preset NAME` runs it."""
