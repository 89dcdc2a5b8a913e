"""What engines share: the sans-IO session seam, driver seam, framing, SCRAM, lexer and parser core, test playbook."""
