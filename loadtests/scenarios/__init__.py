"""Single questions, each a command: restart, resume, churn, slow reader, soak and others."""
