"""What each command is asked: arguments and options, a module a command, as typer reads them.

The work is done in the module of the same name beside this package, imported when it is asked for.
"""
