"""The server: doors hand sessions their links; sessions speak to the hub and the timeline."""
