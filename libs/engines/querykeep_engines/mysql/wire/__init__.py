"""The MySQL client/server protocol 4.1: packets, messages, rows. Pure: bytes in, values out.

Source: MySQL Server Doxygen documentation, "Client/Server Protocol"; MariaDB Knowledge Base,
"Clients & Utilities › Protocol".
"""
