"""The internal API that middleware, proxy and Tool call, on a port of its own."""
