"""Agent sign-in on its own port (6000): only agents speak to it."""
