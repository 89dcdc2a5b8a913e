"""PostgreSQL's frontend/backend protocol 3.0 and 3.2: messages, decoders, encoders, state table.

Pure bytes in, values out. Source: PostgreSQL documentation, chapter "Frontend/Backend Protocol"
("Message Flow", "Message Formats", "Error and Notice Message Fields").
"""
