"""Compiled twins (Cython): ``rows`` of ``wire.rows``. See ``kit.compiled``."""
