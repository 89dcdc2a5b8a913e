"""All that an engine is, one folder per engine, found by ``registry``."""
