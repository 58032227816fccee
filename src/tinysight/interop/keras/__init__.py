"""Keras import, without Keras installed, and Keras export.

The importer does not trust the files. It accepts listed layers and arrays of the expected shapes only. It never runs
code, reads pickles or follows links to other files.
"""
