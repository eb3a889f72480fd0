from clinia_async.testing.server import EmulatorServer as EmulatorServer
