"""The work of the commands that take long; loaded when they run.

May import everything. Options and help texts belong to cli.commands.
"""
