"""This process's own memory: its true peak, and the peak of a block of code inside it.

``proc.py`` touches the kernel's files, ``track.py`` is arithmetic, ``mark.py`` shares the one mark of the process
among everybody who asks, ``sampler.py`` stands in where the kernel refuses, ``region.py`` is what users see.
"""
