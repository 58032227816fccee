"""Network families, one file per family.

`models.registry` finds them: each file lists its families in `FAMILIES`.
"""
