"""MySQL and MariaDB text -> tokens -> syntax tree -> the same tokens. Knows no catalog."""
