"""Starts what the client tests talk to: the gateway, SeaweedFS, and the clients themselves."""
