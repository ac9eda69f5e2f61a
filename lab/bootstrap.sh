#!/usr/bin/env bash
# Make .venv, the project's virtual environment, from the hash-locked requirements.
#
#   bash lab/bootstrap.sh        what the program and the lab's commands need (requirements.txt)
#   bash lab/bootstrap.sh dev    what the tests and linters need, too (requirements-dev.txt)
#
# It does nothing when .venv was made from these locks already. Everything else that the lab needs is fetched by
# `python -m lab setup`, in Python: this is only what has to happen before there is a Python to run it with.
# It runs with the bash 3.2 that macOS has.
#
# Settings: PYTHON=/path/to/python3 chooses the interpreter, INSTALL_PYTHON=1 lets root on Debian or Ubuntu install
# what is missing without being asked, and a folder IOT_OFFLINE_DIR/wheels takes the place of PyPI.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
LOCK=$ROOT/.venv.lock
PATIENCE=1800 # seconds; on a slow network another one may take long
OFFLINE=${IOT_OFFLINE_DIR:-/usr/local/share/iot-lab}

say() { printf 'lab: %s\n' "$*" >&2; }

# fail WHAT FIX...
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  printf '  fix: %s\n' "$@" >&2
  exit 1
}

# Whether packages can be installed here: as root on Debian or Ubuntu, when the user agrees.
may_install() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  [ "${INSTALL_PYTHON:-}" = 1 ] && return 0
  [ -t 0 ] && [ -t 2 ] || return 1
  printf 'lab: %s is missing. Install it with apt-get now? [y/N] ' "$*" >&2
  local answer
  read -r answer
  case $answer in [yY]*) return 0 ;; *) return 1 ;; esac
}

# need_packages WHAT PACKAGE...
need_packages() {
  local what=$1
  shift
  if may_install "$@"; then
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install --yes "$@"
    return
  fi
  local install="sudo apt-get install $*   (Debian, Ubuntu, WSL2; as root: make INSTALL_PYTHON=1 ...)"
  [ "$(uname -s)" != Darwin ] || install='brew install python'
  fail "$what" "$install" "or set PYTHON to a Python of 3.10 or later: make PYTHON=/path/to/python3 ..."
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

# Prints the interpreter to use; fails when there is none.
find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON is not a Python of 3.10 or later" "make PYTHON=/path/to/python3 ..."
    command -v "$PYTHON"
    return
  fi
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    if command -v "$candidate" >/dev/null && is_new_enough "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# What a virtual environment made from the lock $1 records. The folder belongs to it: an environment can't be moved.
record() { printf '%s\n' "$ROOT" && cat "$ROOT/lab/interrupt.pth" "$ROOT/$1"; }

is_current() { record "$1" | cmp -s - "$VENV/$1"; }

# An upgrade of the system's Python leaves an environment whose packages it does not see.
works() { "$VENV/bin/python" -c 'import yaml' 2>/dev/null; }

install() {
  local lock=$1 options=(--disable-pip-version-check --no-input --require-hashes)
  [ -t 2 ] || options+=(--quiet)
  [ ! -d "$OFFLINE/wheels" ] || options+=(--no-index --find-links "$OFFLINE/wheels")
  say "installing the packages of $lock into .venv"
  "$VENV/bin/python" -m pip install "${options[@]}" --requirement "$ROOT/$lock" >&2 || fail \
    "pip could not install the packages of $lock (what it said is above)" \
    'run the same again: what has been downloaded is kept' \
    'behind a mirror: set PIP_INDEX_URL to its address' \
    "without a network: put the wheels into $OFFLINE/wheels (pip download -r $lock on a like machine)"
  record "$lock" >"$VENV/$lock"
}

make_environment() {
  local python
  if ! python=$(find_python); then
    [ -z "${PYTHON:-}" ] || exit 1
    need_packages 'there is no Python of 3.10 or later' python3 python3-venv
    python=$(find_python) || fail "this system's python3 is older than 3.10" 'make PYTHON=/path/to/python3 ...'
  fi
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    need_packages "$python can't make virtual environments" \
      "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  fi
  say "making .venv with $("$python" --version)"
  # A program that still runs from the old one may write to it while it goes.
  rm -rf "$VENV" 2>/dev/null || { sleep 2 && rm -rf "$VENV"; }
  "$python" -m venv "$VENV"
  cp "$ROOT/lab/interrupt.pth" "$VENV"/lib/python*/site-packages/
}

# Two of these at a time would be in each other's way. The lock names its holder, so that one that was killed is not
# waited for.
lock() {
  local waited=0 failed=0 holder
  until ln -s "$$" "$LOCK" 2>/dev/null; do
    if [ ! -L "$LOCK" ]; then
      # Its holder has just removed it, or it can't be made at all.
      failed=$((failed + 1))
      [ "$failed" -lt 10 ] || fail "$LOCK can't be made" "make the folder writable for $(id -un): ls -ld $ROOT"
      continue
    fi
    holder=$(readlink "$LOCK" || true)
    if ! kill -0 "$holder" 2>/dev/null; then
      rm -f "$LOCK"
      continue
    fi
    [ "$waited" != 0 ] || say "waiting for process $holder, which is making .venv"
    [ "$waited" -lt "$PATIENCE" ] || fail "process $holder has been making .venv for $PATIENCE s" "stop it: kill $holder"
    sleep 1
    waited=$((waited + 1))
  done
  trap 'rm -f "$LOCK"' EXIT
}

is_ready() {
  is_current requirements.txt && works && { [ "$1" != dev ] || is_current requirements-dev.txt; }
}

main() {
  local kind=${1:-}
  case $kind in '' | dev) ;; *) fail "bootstrap.sh does not know '$kind'" 'bash lab/bootstrap.sh [dev]' ;; esac
  is_ready "$kind" && return
  lock
  if ! is_current requirements.txt || ! works; then
    make_environment
    install requirements.txt
  fi
  if [ "$kind" = dev ] && ! is_current requirements-dev.txt; then
    install requirements-dev.txt
  fi
}

main "$@"
