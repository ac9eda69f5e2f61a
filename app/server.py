"""gunicorn's configuration: `gunicorn --config python:app.server`, from the folder that holds `app`.

The names are gunicorn's settings, https://docs.gunicorn.org/en/stable/settings.html. An option on the command line
or in the variable GUNICORN_CMD_ARGS goes before what stands here, for example `--bind 127.0.0.1:8000`.
"""

from __future__ import annotations

from pathlib import Path

wsgi_app = "app.main:create_app_from_environment()"
# All addresses of the container; who reaches it is for Kubernetes, or for `docker run --publish`, to say.
bind = "0.0.0.0:8080"

# One process is the least memory; threads, so that a slow client does not hold up the others or the probes.
workers = 1
worker_class = "gthread"
threads = 8
# Loaded before the worker starts: wrong settings end gunicorn at once, and both processes share the memory.
preload_app = True

# At SIGTERM requests under way may take this long (seconds); Kubernetes kills after 30.
graceful_timeout = 20
# Longer than the 90 s for which Traefik keeps an idle connection, so that it is the proxy who closes it: a server
# that closes first may do so just when the next request is being sent on it.
keepalive = 95

# The root file system is read-only. The worker's heartbeat file goes into memory, which every container has; macOS,
# where only tests run, has no such folder and uses its temporary one. The control socket would be one more file.
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - gunicorn makes the file with mkstemp and unlinks it
worker_tmp_dir = str(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else None
control_socket_disable = True

# app.access_log writes the access log: JSON, without probes. gunicorn's own messages go to standard error.
accesslog = None
