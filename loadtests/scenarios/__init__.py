"""Single questions, each a command: does a restart, a resume, a slow reader keep its promise."""
