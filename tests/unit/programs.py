"""Programs that stand in for real ones: scripts on PATH, and a Docker engine with a k3d that are only files."""

from __future__ import annotations

import io
import json
import pathlib
import stat
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


REAL: Final = subprocess.run


class Programs:
    """A folder that is all of PATH, with programs that write down how they are called and do what a test says.

    Attributes:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()
        self._log = folder / "calls.jsonl"

    def add(self, name: str, body: str) -> None:
        """Add a program.

        Args:
            name: what it is called.
            body: Python that runs with ``args`` (its arguments, a list) and ``line`` (them as one string).
        """
        path = self.folder / name
        path.write_text(
            f"#!{sys.executable} -IS\n"
            "import json, pathlib, sys, time\n"
            "args = sys.argv[1:]\n"
            "line = ' '.join(args)\n"
            f"with open({str(self._log)!r}, 'a') as log:\n"
            f"    print(json.dumps([{name!r}, *args]), file=log)\n"
            f"here = pathlib.Path({str(self.folder.parent)!r})\n"
            f"{body}\n",
            encoding="utf-8",
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def record(self, name: str, *args: str) -> None:
        """Write a call down."""
        with self._log.open("a", encoding="utf-8") as log:
            print(json.dumps([name, *args]), file=log)

    @property
    def calls(self) -> list[str]:
        """How they were called, a line each."""
        if not self._log.exists():
            return []
        lines: list[list[Any]] = [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]
        return [" ".join(line) for line in lines]

    def called(self, beginning: str) -> list[str]:
        """Return the calls that begin with some words."""
        return [call for call in self.calls if call.startswith(beginning)]


# A Docker command line whose engine is files: containers.json (what `docker inspect` says), images (a line each),
# volumes.json and networks.json (labels by name), lists (what a shell in a container prints of a script's second
# word), unreachable (then nothing is answered), unready (then no API server is), unregistered (then no node has come
# to it, or come back), namespaces (in a cluster, besides Kubernetes' own), ends (then what is run ends at once), log
# (what every node logs), slow (what is not answered in time), pullable (a line for each
# image that can be pulled), leaving (IDs that are listed and gone right after), cgroup, engine (its ID), endpoint.
DOCKER: Final = """
def fail(text):
    sys.exit(text)
def lines(name):
    return (here / name).read_text().split() if (here / name).exists() else []
def things(kind):
    its = here / (kind + 's.json')
    return json.loads(its.read_text()) if its.exists() else {}
def labels(args):
    return dict(each.split('=', 2)[1:] for each in args if each.startswith('--label='))
path = here / 'containers.json'
found = json.loads(path.read_text()) if path.exists() else []
if (here / 'unreachable').exists():
    fail('Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?')
if args[:1] == ['info']:
    print(json.dumps({'ID': (lines('engine') or ['one'])[0], 'CgroupVersion': (lines('cgroup') or ['2'])[0],
                      'OSType': 'linux', 'Architecture': 'x86_64'}))
elif args[:2] == ['context', 'inspect']:
    print((lines('endpoint') or ['unix:///var/run/docker.sock'])[0])
elif args[:1] == ['ps']:
    key, equals, value = args[-1].removeprefix('label=').partition('=')
    has = lambda its: its.get(key) == value if equals else key in its
    print('\\n'.join([each['Id'] for each in found if has(each['Config']['Labels'])] + lines('leaving')))
elif args[:1] == ['inspect']:
    print(json.dumps([each for each in found if each['Id'] in args]))
    if gone := set(args[1:]) - {each['Id'] for each in found}:
        fail('Error: No such object: ' + min(gone))
elif args[:2] in (['volume', 'inspect'], ['network', 'inspect']):
    if args[2] not in things(args[0]):
        fail('Error: No such ' + args[0] + ': ' + args[2])
    print(json.dumps([{'Name': args[2], 'Labels': things(args[0])[args[2]]}]))
elif args[:2] in (['volume', 'create'], ['network', 'create']):
    there = things(args[0]) | {args[-1]: labels(args)}
    (here / (args[0] + 's.json')).write_text(json.dumps(there))
elif args[:2] == ['volume', 'ls']:
    wanted = dict(each.split('=', 2)[2].split('=') for each in args if each.startswith('--filter='))
    print('\\n'.join(name for name, its in things('volume').items() if wanted.items() <= its.items()))
elif args[:2] in (['volume', 'rm'], ['network', 'rm']):
    if args[0] == 'network' and any(args[2] == each.get('Network') for each in found):
        fail('error while removing network: network ' + args[2] + ' has active endpoints')
    there = {name: its for name, its in things(args[0]).items() if name not in args[2:]}
    (here / (args[0] + 's.json')).write_text(json.dumps(there))
elif args[:2] == ['container', 'inspect']:
    mine = [each for each in found if each['Name'] == '/' + args[2]]
    if not mine:
        fail('Error: No such container: ' + args[2])
    print(json.dumps(mine))
elif args[:2] == ['container', 'rm']:
    path.write_text(json.dumps([each for each in found if each['Name'] != '/' + args[-1]]))
elif args[:2] == ['container', 'stop']:
    for each in found:
        if each['Name'] == '/' + args[-1]:
            each['State']['Status'] = 'exited'
    path.write_text(json.dumps(found))
elif args[:2] == ['run', '--detach']:
    if (here / 'refuses').exists():
        fail('Bind for 127.0.0.1:30003 failed: port is already allocated')
    given = {each.split('=')[0]: each.split('=', 1)[1] for each in args if each.startswith('--') and '=' in each}
    name = given['--name']
    if given['--network'] not in things('network'):
        fail('docker: Error response from daemon: network ' + given['--network'] + ' not found')
    state = 'exited' if (here / 'ends').exists() else 'running'
    found.append({'Id': name, 'Name': '/' + name, 'State': {'Status': state}, 'Network': given['--network'],
                  'Config': {'Labels': labels(args)}, 'HostConfig': {'PortBindings': {}}})
    path.write_text(json.dumps(found))
elif args[:2] == ['image', 'inspect']:
    if args[-1] not in lines('images'):
        fail('Error: No such image: ' + args[-1])
    print('sha256:1')
elif args[:2] == ['image', 'rm']:
    (here / 'images').write_text('\\n'.join(each for each in lines('images') if each != args[-1]))
elif args[:1] == ['pull']:
    if args[-1] not in lines('pullable'):
        fail('Error response from daemon: no route to host')
    (here / 'images').write_text('\\n'.join([*lines('images'), args[-1]]))
elif '--interactive' in args:
    with (here / 'given').open('a') as log:
        log.write(given_text + chr(0))
    if args[-2:] == ['deployments', '--output=name'] and (here / 'in-cluster').exists():
        print((here / 'in-cluster').read_text())
    for word, file in (('bundle create', 'bundle'), ('for-each-ref', 'repositories'),
                       ('generate-access-token', 'token')):
        if word in given_text and (here / file).exists():
            print((here / file).read_text(), end='')
            break
    if (here / 'broken').exists() and (here / 'broken').read_text() in given_text:
        fail('no space left on device')
elif args[:1] == ['exec']:
    node = [each for each in found if each['Name'] == '/' + args[1]]
    if not node or node[0]['State']['Status'] != 'running' or (here / 'unready').exists():
        fail('the server is currently unable to handle the request')
    if (here / 'slow').exists() and (here / 'slow').read_text() in args:
        fail('timed out')
    if args[-2:] == ['nodes', '--output=name'] and not (here / 'unregistered').exists():
        print('\\n'.join('node' + each['Name'] for each in found))
    if 'namespaces' in args:
        print('\\n'.join('namespace/' + each for each in ['default', 'kube-system', *lines('namespaces')]))
    if 'leases' in args:
        day = 1 if (here / 'unregistered').exists() else 3
        print('\\n'.join(f"{each['Name'][1:]}=2026-01-0{day}T00:00:00.1Z" for each in found))
elif args[:1] == ['logs']:
    print((here / 'log').read_text() if (here / 'log').exists() else '')
else:
    fail('not expected: ' + line)
"""

# A k3d on top of it. Files: refuses (then nothing can be created, but half a cluster is left), keeps (then nothing
# can be deleted), stuck (then nothing can be started), going (then Docker's engine ends when a cluster is there),
# config.json (what the last cluster was created with).
K3D: Final = """
path = here / 'containers.json'
found = json.loads(path.read_text()) if path.exists() else []
def write():
    path.write_text(json.dumps(found))
def mine(name):
    return [each for each in found if each['Config']['Labels'].get('k3d.cluster') == name]
if args[:2] == ['cluster', 'create']:
    config = json.loads(pathlib.Path(args[args.index('--config') + 1]).read_text())
    (here / 'config.json').write_text(json.dumps(config))
    name = config['metadata']['name']
    if mine(name):
        sys.exit('FATA Failed to create cluster because a cluster with that name already exists')
    volumes = json.loads((here / 'volumes.json').read_text())
    rubbish = (here / 'rubbish').exists() and not (here / 'rubbish').read_text()
    if rubbish:
        (here / 'rubbish').write_text('gone')
    broken = (here / 'refuses').exists()
    state = 'created' if broken else 'running'
    labels = dict(each['label'].split('=') for each in config['options']['runtime']['labels'])
    for role, count in (('server', config['servers']), ('agent', config.get('agents', 0))):
        for number in range(1 if broken else count):
            container = f'k3d-{name}-{role}-{number}'
            ports = {f'{number}/tcp': [{'HostPort': each['port'].split(':')[1]}] for number, each in
                     enumerate(config['ports'])}
            found.append({'Id': container, 'Name': '/' + container,
                          'State': {'Status': state, 'StartedAt': '2026-01-01T00:00:00Z'},
                          'Config': {'Labels': {'k3d.cluster': name, 'k3d.role': role, **labels}},
                          'HostConfig': {'PortBindings': ports}})
            if broken:
                break
    write()
    if broken:
        sys.exit('FATA Failed to create cluster: no space left on device')
    if rubbish:
        sys.exit('FATA Failed to create cluster: stopped returning log lines')
    if (here / 'going').exists():
        (here / 'unreachable').touch()
elif args[:2] == ['cluster', 'start']:
    if (here / 'stuck').exists():
        sys.exit('FATA failed to start node')
    for each in mine(args[2]):
        each['State'] = {'Status': 'running', 'StartedAt': '2026-01-02T00:00:00Z'}
    write()
elif args[:2] == ['cluster', 'delete']:
    if (here / 'keeps').exists():
        sys.exit('FATA failed to delete network')
    found = [each for each in found if each not in mine(args[2])]
    write()
elif args[:2] == ['kubeconfig', 'get']:
    print('kubeconfig of ' + args[2])
elif args == ['version']:
    print('k3d version v5.9.0\\nk3s version v1.36.3-k3s1 (default)')
else:
    sys.exit('not expected: ' + line)
"""


class Engine(Programs):
    """A Docker engine and a k3d that are only files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.state = folder
        self._code = {name: compile(body, name, "exec") for name, body in (("docker", DOCKER), ("k3d", K3D))}
        for name in (*self._code, "kubectl"):
            self.add(name, "sys.exit('not to be run')")

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
        """Do what ``subprocess.run`` would, in this process: a test asks a hundred times."""
        if command[0] not in self._code:
            return REAL(command, **options)
        self.record(command[0], *command[1:])
        said, args = io.StringIO(), list(command[1:])
        names = {"args": args, "line": " ".join(args), "here": self.state, "json": json, "pathlib": pathlib, "sys": sys}
        given, into = options.get("stdin"), options.get("stdout")
        names["given_text"] = given.read().decode() if given else options.get("input") or ""
        try:
            # Not the process's own: several are asked at the same time.
            names["print"] = partial(print, file=said)
            exec(self._code[command[0]], names)  # noqa: S102 - the text above
        except SystemExit as error:
            return subprocess.CompletedProcess(command, 1, said.getvalue(), str(error))
        if into and into != subprocess.PIPE:
            into.write(said.getvalue().encode())
        return subprocess.CompletedProcess(command, 0, said.getvalue(), "")

    def is_so(self, name: str, content: str = "") -> None:
        """Switch on what a file of this name stands for."""
        (self.state / name).write_text(content, encoding="utf-8")

    def is_no_more(self, name: str) -> None:
        """Switch it off."""
        (self.state / name).unlink()

    @property
    def containers(self) -> list[dict[str, Any]]:
        """What `docker inspect` says of all containers."""
        path = self.state / "containers.json"
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        return found

    @containers.setter
    def containers(self, found: list[dict[str, Any]]) -> None:
        self.is_so("containers.json", json.dumps(found))

    def things(self, kind: str) -> dict[str, dict[str, str]]:
        """Return the labels of all volumes or networks by name."""
        path = self.state / f"{kind}s.json"
        found: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return found

    @property
    def given(self) -> list[str]:
        """What shells in containers were given."""
        path = self.state / "given"
        return path.read_text(encoding="utf-8").split(chr(0))[:-1] if path.exists() else []

    @property
    def config(self) -> dict[str, Any]:
        """What the last cluster was created with."""
        config: dict[str, Any] = json.loads((self.state / "config.json").read_text(encoding="utf-8"))
        return config

    def changes(self) -> list[str]:
        """Return the calls that change a cluster."""
        return [call for call in self.calls if call.startswith("k3d cluster ")]
