"""How the bundled model pack and the rendered demo rides are made.

Belongs here: the face renderer, the procedural training data, the networks, their training, export
and measurement. Does not belong here: anything the installed package imports. Numba is needed by
these tools only.
"""
