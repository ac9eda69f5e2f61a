"""lab/bootstrap.sh, with a stand-in for Python that makes no environment but notes what it is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from lab.host import environment
from tests.site import link_commands, write_command

SCRIPT: Final = Path(__file__).parents[2] / "lab" / "bootstrap.sh"
# What bootstrap.sh may find on PATH. Neither Python nor apt-get is among them.
COMMANDS: Final = (
    "bash",
    "cat",
    "chmod",
    "cmp",
    "cp",
    "dirname",
    "env",
    "id",
    "ln",
    "mkdir",
    "readlink",
    "rm",
    "sleep",
    "uname",
)

PYTHON: Final = r"""#!/usr/bin/env bash
case "$*" in
  --version) echo Python 3.12.0 ;;
  '-m venv '*)
    mkdir -p "$3"/{bin,lib/python3/site-packages}
    cat >"$3/bin/python" <<'INNER' && chmod +x "$3/bin/python" ;;
#!/usr/bin/env bash
case "$*" in
  *pip*) echo "$*" >>"$LOG"; exit "${PIP_CODE:-0}" ;;
  *) exit "${IMPORT_CODE:-0}" ;;
esac
INNER
  *version_info\ \<*) exit "${OLD:-0}" ;;
  *ensurepip*) exit "${NO_VENV:-0}" ;;
  *) echo python3.12-venv ;;
esac
"""


class Project:
    """A project with nothing but the script and locks, and a PATH with little more than it needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.log = folder / "pip.log"
        self.path = folder / "path"
        link_commands(self.path, *COMMANDS)
        (self.folder / "lab").mkdir(parents=True)
        for path in (SCRIPT, SCRIPT.with_name("interrupt.pth")):
            shutil.copy(path, self.folder / "lab")
        self.lock("requirements.txt", "one==1\n")
        self.lock("requirements-dev.txt", "two==2\n")

    def lock(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content, encoding="utf-8")

    def add(self, name: str, text: str) -> None:
        write_command(self.path, name, text)

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": str(self.path), "LOG": str(self.log), "IOT_OFFLINE_DIR": "/nonexistent", **settings}
        command = ["bash", str(self.folder / "lab" / "bootstrap.sh"), *arguments]
        return subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )

    def installed(self) -> list[str]:
        """Return the locks that pip was asked to install since the last call."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line.rpartition("/")[2] for line in lines]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.add("python3", PYTHON)
    return made


def test_it_installs_the_lock_once(project: Project) -> None:
    assert project.run().returncode == 0
    assert project.installed() == ["requirements.txt"]
    again = project.run()
    assert (again.returncode, again.stderr) == (0, "")
    assert project.installed() == []


def test_every_package_is_checked_against_a_hash(project: Project) -> None:
    project.run()
    assert "--require-hashes" in project.log.read_text(encoding="utf-8")


def test_dev_adds_the_development_lock(project: Project) -> None:
    project.run()
    project.installed()
    assert project.run("dev").returncode == 0
    assert project.installed() == ["requirements-dev.txt"]


def test_a_changed_lock_makes_the_environment_anew(project: Project) -> None:
    project.run("dev")
    project.installed()
    left = project.folder / ".venv" / "left-behind"
    left.touch()
    project.lock("requirements.txt", "one==1.1\n")
    project.run("dev")
    assert project.installed() == ["requirements.txt", "requirements-dev.txt"]
    assert not left.exists()


def test_a_changed_development_lock_leaves_the_rest(project: Project) -> None:
    project.run("dev")
    project.installed()
    project.lock("requirements-dev.txt", "two==2.1\n")
    project.run("dev")
    assert project.installed() == ["requirements-dev.txt"]


def test_a_moved_folder_gets_a_new_environment(project: Project, tmp_path: Path) -> None:
    project.run()
    project.installed()
    project.folder = project.folder.rename(tmp_path / "elsewhere")
    project.run()
    assert project.installed() == ["requirements.txt"]


def test_an_environment_that_no_longer_works_is_made_anew(project: Project) -> None:
    project.run()
    project.installed()
    project.run(IMPORT_CODE="1")
    assert project.installed() == ["requirements.txt"]


def test_a_failed_installation_says_what_to_do_and_is_repeated_next_time(project: Project) -> None:
    failed = project.run(PIP_CODE="1")
    assert failed.returncode == 1
    assert "pip could not install the packages of requirements.txt" in failed.stderr
    assert "PIP_INDEX_URL" in failed.stderr
    project.installed()
    assert project.run().returncode == 0
    assert project.installed() == ["requirements.txt"]


def test_a_second_one_waits_for_the_first(project: Project) -> None:
    lock = project.folder / ".venv.lock"
    lock.symlink_to(str(os.getpid()))
    threading.Timer(2, lock.unlink).start()
    done = project.run()
    assert done.returncode == 0
    assert f"waiting for process {os.getpid()}" in done.stderr
    assert not lock.is_symlink()


def test_one_that_was_killed_is_not_waited_for(project: Project) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (project.folder / ".venv.lock").symlink_to(str(ended.pid))
    done = project.run()
    assert done.returncode == 0
    assert "waiting" not in done.stderr


def test_a_lock_that_can_not_be_made_is_an_error(project: Project) -> None:
    write_command(project.path, "ln", "#!/usr/bin/env bash\nexit 1\n")
    done = project.run()
    assert done.returncode == 1
    assert ".venv.lock can't be made" in done.stderr


def test_wheels_in_the_offline_folder_take_the_place_of_the_index(project: Project, tmp_path: Path) -> None:
    (tmp_path / "offline" / "wheels").mkdir(parents=True)
    project.run(IOT_OFFLINE_DIR=str(tmp_path / "offline"))
    assert f"--no-index --find-links {tmp_path}/offline/wheels" in project.log.read_text(encoding="utf-8")


def test_no_python_says_how_to_get_one(tmp_path: Path) -> None:
    done = Project(tmp_path).run()
    assert done.returncode == 1
    assert "there is no Python of 3.10 or later" in done.stderr
    assert (
        "brew install python" if sys.platform == "darwin" else "apt-get install python3 python3-venv"
    ) in done.stderr


def test_an_old_python_is_no_python(project: Project) -> None:
    done = project.run(OLD="1")
    assert done.returncode == 1
    assert "there is no Python of 3.10 or later" in done.stderr


def test_a_chosen_python_that_is_too_old_is_named(project: Project) -> None:
    project.add("python-of-mine", "#!/usr/bin/env bash\nexit 1\n")
    done = project.run(PYTHON="python-of-mine")
    assert done.returncode == 1
    assert "PYTHON=python-of-mine is not a Python of 3.10 or later" in done.stderr
    assert "there is no Python" not in done.stderr


def test_a_python_without_venv_names_the_package(project: Project) -> None:
    done = project.run(NO_VENV="1")
    assert done.returncode == 1
    assert "can't make virtual environments" in done.stderr
    assert "python3.12-venv" in done.stderr or sys.platform == "darwin"
    assert not (project.folder / ".venv").exists()


@pytest.mark.parametrize("agreed", ["", "1"])
def test_root_on_debian_installs_a_missing_python_when_told_to(tmp_path: Path, agreed: str) -> None:
    project = Project(tmp_path)
    project.add("template", PYTHON)
    project.add("id", "#!/usr/bin/env bash\necho 0\n")
    # Installing python3 is what the second call to apt-get does.
    project.add(
        "apt-get",
        f'#!/usr/bin/env bash\necho "$*" >>{tmp_path}/apt.log\n'
        f'cd {project.path}\ncase "$1" in install) cat template >python3\nchmod +x python3 ;; esac\n',
    )
    done = project.run(INSTALL_PYTHON=agreed)
    asked = tmp_path / "apt.log"
    if agreed:
        assert done.returncode == 0, done.stderr
        assert asked.read_text(encoding="utf-8") == "update\ninstall --yes python3 python3-venv\n"
        assert project.installed() == ["requirements.txt"]
    else:
        assert done.returncode == 1
        assert "INSTALL_PYTHON=1" in done.stderr
        assert not asked.exists()


def test_an_unknown_argument_is_refused(project: Project) -> None:
    done = project.run("prod")
    assert done.returncode == 1
    assert "does not know 'prod'" in done.stderr


def test_it_runs_with_the_oldest_bash_that_it_has_to() -> None:
    """Words that bash 3.2, which macOS has, does not know."""
    text = SCRIPT.read_text(encoding="utf-8")
    for word in ("mapfile", "readarray", "declare -A", "local -n", "${!", ",,}", "^^}", "|&", "&>>"):
        assert word not in text, word


# activate


HERE: Final = ",".join(environment.HERE)
SHELLS: Final = [shell for shell in ("sh", "bash", "dash", "zsh") if shutil.which(shell)]


def activated(shell: str, folder: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a shell after ``. ./activate``."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **settings}
    command = [shell, "-c", ". ./activate && . ./activate && env"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


@pytest.fixture
def active(project: Project) -> Path:
    """Return the folder of a project that can be activated."""
    shutil.copy(SCRIPT.parents[1] / "activate", project.folder)
    (project.folder / "Pulumi.yaml").touch()
    return project.folder


@pytest.mark.parametrize("shell", SHELLS)
def test_activate_puts_the_projects_tools_first_once(active: Path, shell: str) -> None:
    env = activated(shell, active)
    path = env["PATH"].split(":")
    assert path[:2] == [f"{active}/.lab/bin", f"{active}/.venv/bin"]
    assert len(path) == len(os.environ["PATH"].split(":")) + 3
    assert env["PULUMI_CONFIG_PASSPHRASE_FILE"] == f"{active}/.lab/passphrase"
    assert env["PULUMI_HOME"] == f"{active}/.lab/pulumi"


@pytest.mark.parametrize("shell", SHELLS)
def test_activate_puts_the_tools_first_again_when_another_copy_was_activated_since(active: Path, shell: str) -> None:
    again = f"/other/.lab/bin:{active}/.lab/bin:{active}/.venv/bin:{os.environ['PATH']}"
    assert activated(shell, active, PATH=again)["PATH"].startswith(f"{active}/.lab/bin:{active}/.venv/bin:/other/")


@pytest.mark.parametrize("shell", SHELLS)
def test_activate_leaves_what_the_user_has_set(active: Path, shell: str) -> None:
    env = activated(shell, active, PULUMI_CONFIG_PASSPHRASE="", PULUMI_HOME="/mine")
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in env
    assert env["PULUMI_HOME"] == "/mine"


@pytest.mark.parametrize("shell", SHELLS)
def test_activate_takes_nothing_from_another_copy_that_was_activated_before(active: Path, shell: str) -> None:
    """Its state would be encrypted with a passphrase that the other copy's `make clean` removes."""
    other = activated(shell, active) | {"IOT_ROOT": "/other"}
    theirs = {key: value.replace(str(active), "/other") for key, value in other.items() if key.startswith("PULUMI_")}
    env = activated(shell, active, IOT_ROOT="/other", **theirs)
    assert theirs["PULUMI_CONFIG_PASSPHRASE_FILE"] == "/other/.lab/passphrase"
    assert env["PULUMI_CONFIG_PASSPHRASE_FILE"] == f"{active}/.lab/passphrase"
    assert env["PULUMI_HOME"] == f"{active}/.lab/pulumi"
    assert activated(shell, active, IOT_ROOT="/other", PULUMI_HOME="/mine")["PULUMI_HOME"] == "/mine"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, None),
        ({"https_proxy": "http://p:1"}, HERE),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "corp.example"}, f"corp.example,{HERE}"),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "a"}, f"a,{HERE}"),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "127.0.0.1,a", "NO_PROXY": "a,127.0.0.1"}, "127.0.0.1,a"),
    ],
)
def test_activate_keeps_a_proxy_out_of_what_stays_on_this_host(
    active: Path, shell: str, given: dict[str, str], wanted: str | None
) -> None:
    env = activated(shell, active, **given)
    assert env.get("no_proxy") == wanted


@pytest.mark.parametrize("shell", SHELLS)
def test_activate_elsewhere_says_where_it_belongs_and_leaves_the_shell(active: Path, shell: str) -> None:
    command = [shell, "-c", ". project/activate; echo still here; env"]
    done = subprocess.run(command, cwd=active.parent, capture_output=True, text=True, check=True)
    assert "go to the folder of the project first" in done.stderr
    assert "still here" in done.stdout
    assert str(active) not in done.stdout.replace(f"PWD={active.parent}", "")
