"""What this machine allows, what hiwater will therefore use, and how well it does on programs of known size.

``host`` is the only part that touches the machine; each check is a function from a host to a ``Check``.
"""

from hiwater.doctor.diagnose import CHECKS, diagnose
from hiwater.doctor.host import Host, LocalHost
from hiwater.doctor.model import Check, Diagnosis, SelfTest, State

__all__ = ["CHECKS", "Check", "Diagnosis", "Host", "LocalHost", "SelfTest", "State", "diagnose"]
