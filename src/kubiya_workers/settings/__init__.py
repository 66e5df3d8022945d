"""Every environment variable once, with a sentence, its default and its bounds.

The only room that reads the process environment. `variables` declares the variables, `source` resolves one
(flag > environment > default) and says where a value came from; the other files are the values that a process is
built with, one frozen dataclass a process. They are read once, at the door, and passed down in parts.

Imports only `contracts`, and no heavy library: the command line reads settings before it imports anything else.
"""
