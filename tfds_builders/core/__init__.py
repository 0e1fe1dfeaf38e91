"""Machinery of all builders: configs, features, the build itself, its work cache, Beam, lists of videos and splits."""
