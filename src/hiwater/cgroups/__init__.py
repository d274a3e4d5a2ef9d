"""Cgroups of a command's own: where one can be made, how it is made and removed. All that touches them is here."""
