"""nginx in front of a gateway, as the operations guide sets it up."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import processes
from tests.support.certificates import Certificate
from tests.support.daemons import ROOT, missing
from tests.support.documents import code_blocks
from tests.support.polling import wait_until

GUIDE = ROOT / "docs" / "operations" / "reverse-proxy.md"
UNDER = "/lxd"
START_TIMEOUT_S = 10.0

# In one process, so that root's may write where the test's own files are.
_MAIN = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
access_log off;
client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi;
uwsgi_temp_path {folder}/uwsgi;
scgi_temp_path {folder}/scgi;
{site}
}}
"""


def guides_site(gateway: int, *, under_a_path: bool) -> str:
    """Return the guide's server for the gateway at this port of 127.0.0.1."""
    [site] = [block.text for block in code_blocks(GUIDE, language="nginx", heading="nginx")]
    [under] = [block.text for block in code_blocks(GUIDE, language="nginx", heading="Under a path")]
    if under_a_path:
        site = replaced(site, "    location / {\n        proxy_pass http://127.0.0.1:8000;", under)
    return replaced(site, "127.0.0.1:8000", f"127.0.0.1:{gateway}")


def replaced(text: str, old: str, new: str) -> str:
    """Return the text with what stands there once replaced; LookupError where it does not."""
    if text.count(old) != 1:
        raise LookupError(f"{old!r} is {text.count(old)} times in {text!r}")
    return text.replace(old, new)


@contextmanager
def nginx(site: str, certificate: Certificate, folder: Path) -> Iterator[int]:
    """Serve the site with this certificate on a port of 127.0.0.1 that is yielded."""
    port = processes.free_port()
    site = replaced(site, "listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    site = replaced(site, "/etc/ssl/panel.pem", str(certificate.cert))
    site = replaced(site, "/etc/ssl/panel.key", str(certificate.key))
    file, log = folder / "nginx.conf", folder / "nginx.log"
    file.write_text(_MAIN.format(folder=folder, site=site))
    mark = f"FLEET_TEST_NGINX={folder}"
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin") or missing("nginx is not installed")
    command = [program, "-e", "stderr", "-p", str(folder), "-c", str(file)]
    pid = processes.spawn(command, dict([mark.split("=", 1)]), log)
    try:
        wait_until(lambda: _listens(port), within_s=START_TIMEOUT_S, seen=log.read_text)
        yield port
    finally:
        processes.end(pid, mark)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
