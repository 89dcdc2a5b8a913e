"""The agent of a person's own machine: signs in, and opens one local port per database."""

__version__ = "0.1.0"
