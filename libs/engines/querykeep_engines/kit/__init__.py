"""What engines share: session and driver seams, SCRAM, lexer and parser core, test playbook."""
