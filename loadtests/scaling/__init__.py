"""`make scaling`: what many nodes cost their engine, by a simulation that real nodes check."""
