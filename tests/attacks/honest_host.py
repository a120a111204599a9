"""A host that keeps to the contracts, as a process: `python -m tests.attacks.honest_host HOST`.

Its address is in FLEET_AMQP_URI. It beats, samples, and carries out what it is asked for at once.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime

from msgspec.structs import replace

from tests.support.builders import a_sample_message, an_instance
from tests.support.host import WireHost

BEAT_S = 0.5


async def main() -> None:
    web = an_instance("web", uuid=f"uuid-web-on-{sys.argv[1]}")
    async with WireHost(os.environ["FLEET_AMQP_URI"], sys.argv[1], web) as host:
        host.after = replace(web, revision=2)
        print("ready", flush=True)
        sequence = 0
        while True:
            sequence += 1
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            await host.beat()
            await host.publish(
                "sampler.sample.v2", replace(a_sample_message(web, sequence=sequence), at=now)
            )
            await asyncio.sleep(BEAT_S)


if __name__ == "__main__":
    asyncio.run(main())
