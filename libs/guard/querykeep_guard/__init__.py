"""The guard decides what a statement may do, masks what it may not show, describes what was done.

Pure Python: no framework, no socket, no file, no clock and no randomness of its own. Time, keys and
identifiers are passed in, so that every verdict can be replayed.
"""
