"""Requests on their way: the only package that imports the aiohttp client."""

from clinia_async.transport.attempts import HttpSession, Transport, Wire

__all__ = ["HttpSession", "Transport", "Wire"]
