"""tfdeepfake: detection of faked faces in video, on Keras 3 and TensorFlow.

Importing the package loads neither TensorFlow nor Keras; each module imports what it needs.
"""

__version__ = "0.1.0"
