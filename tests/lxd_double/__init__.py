"""A double of LXD's REST API on a unix socket, for what a real LXD will not do on demand.

Virtual machines, thousands of instances, slow or failing operations, a daemon that goes away. What
it claims of LXD is proved by `tests/conformance`, which runs the same assertions on both.
"""

from tests.lxd_double.faults import Faults
from tests.lxd_double.instances import DoubledInstance, Nic
from tests.lxd_double.server import LxdDouble

__all__ = ["DoubledInstance", "Faults", "LxdDouble", "Nic"]
