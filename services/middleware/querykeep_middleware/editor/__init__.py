"""The web SQL editor: its WebSocket schema, consumer and window state."""
