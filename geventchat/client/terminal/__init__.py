"""`geventchat connect`: a person at a terminal, or a pipe, on top of the library."""
