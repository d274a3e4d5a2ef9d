"""Commands that are executed again and again and held to what they may take: ``hiwater check``.

``config`` reads hiwater.toml, ``execute`` carries a check out, ``verdict`` judges it, ``baseline`` and ``history`` keep
what was measured. Views of a :class:`~hiwater.checks.model.Report` are in ``hiwater.views``.
"""
