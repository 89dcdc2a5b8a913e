"""What browsers reach: the page and its files, ``/api`` and ``/scim`` passed on, downloads."""
