"""What the compiled twins of all engines share (Cython; see ``kit.compiled``)."""
