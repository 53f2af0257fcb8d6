"""The command ``symphony``: one module a group of commands, no logic of its own."""
