"""The middleware: web UI, web SQL editor, statement execution, agent sign-in.

Two processes: the *web* process (Daphne, Channels) talks to browsers and agents and holds no state;
the *runner* (trio) holds editor windows, governed sessions and results. They speak over a private
Unix socket (``link``), so that a heavy result never holds the web process's event loop.
"""
