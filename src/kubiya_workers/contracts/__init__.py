"""The vocabulary: everything that crosses a process, as frozen pydantic types.

Every other room may import this one; it imports none of them, and knows no IO, clock, settings or
Temporal. One file a noun. A type here is a promise to other processes and to stored histories:
add optional fields freely, never change the meaning of one that exists.

The public HTTP and event shapes follow the existing clients of this kind of control plane.
"""
