"""MySQL and its flavour MariaDB: protocol 4.1, drivers, analysis."""
