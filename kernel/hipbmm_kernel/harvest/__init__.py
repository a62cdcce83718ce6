"""The native sidecar: what the server learns in production goes to the store, and metrics say how it goes."""
