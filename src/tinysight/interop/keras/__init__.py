"""Models as Keras keeps them, read without Keras: an architecture in JSON, weights in HDF5.

Nothing in a file is trusted: only layers on a list are read, only arrays of the very shapes that these layers have, and
no code, no pickle and no link to another file is ever followed.
"""
