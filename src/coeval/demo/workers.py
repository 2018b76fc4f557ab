"""The program that runs the application: uvicorn with worker processes on one socket of this machine.

Takes the port (0 for any free one), the number of workers and the application; writes the port as its first line. It
ends when its input ends, so that no server outlives the demonstration that started it, whatever became of it.

Ring: shell.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

import uvicorn
from uvicorn.supervisors import Multiprocess

HOST = "127.0.0.1"


def main() -> None:
    """Serves until the input ends or a signal comes."""
    port, workers, application = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    # The protocol is named, because asyncio switches Nagle's algorithm off only where it is: without it every answer
    # in two pieces waits 40 ms for the acknowledgement of the first.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.set_inheritable(True)
    config = uvicorn.Config(
        application,
        factory=True,
        workers=workers,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
        timeout_worker_healthcheck=30,
    )
    supervisor = Multiprocess(config, [listener])
    threading.Thread(target=_end_with_input, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    supervisor.run()


def _end_with_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
