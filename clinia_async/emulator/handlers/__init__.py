"""One function a route: reads the request, asks the store, makes the answer.

May import emulator.bodies and emulator.store. Rules about records belong to the store.
"""
