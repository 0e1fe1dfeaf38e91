"""One preset per experiment: a module with a `PRESET`. `tfdeepfake train --preset NAME` runs it."""
