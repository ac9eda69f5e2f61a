# shellcheck shell=bash
# What is done about K3s on a machine. `bash -s ACTION` reads it from its standard input, where the variables in
# capitals stand before it: so nothing of it, the token least of all, is in a list of processes or in a file.
#
#   server   install or repair the server; prints {"agentToken": "...", "kubeconfig": "(base64)", "cluster": "(its UID)"}
#   agent    install or repair an agent
#   forget   on the server: remove NODE_NAME from the cluster, unless it is on the machine MACHINE
#   ready    on the server: wait until NODE_NAME is Ready and has ADDRESS
#   remove   take NODE_NAME out of the cluster
#   look     print how the service SERVICE and its node are: well, down, unregistered, or gone
#   uninstall
#
# Each action makes it so, whatever it finds, and may be run again. K3s's own install.sh does the installing;
# https://docs.k3s.io/installation/configuration and .../airgap say what it expects where.
set -euo pipefail

readonly bin=/usr/local/bin/k3s config=/etc/rancher/k3s data=/var/lib/rancher/k3s

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# wait_for WHAT LOOK COMMAND... runs the command until it succeeds, at most TIMEOUT seconds, and not when gave_up says
# that there is no use in waiting; LOOK is a command that shows more.
wait_for() {
  local what=$1 look=$2 end=$((SECONDS + TIMEOUT))
  shift 2
  until "$@" >/dev/null 2>&1; do
    gave_up
    if ((SECONDS >= end)); then
      say "still missing after $TIMEOUT s: $what"
      eval "$look" >&2 || say "(nothing more to show)"
      die "waited $TIMEOUT s for $what"
    fi
    sleep 0.5
  done
}

# gave_up ends the waiting of an agent that the server does not let in.
gave_up() {
  [[ -n ${REFUSED_SINCE:-} ]] || return 0
  local said
  said=$(journalctl -u k3s-agent --since "@$REFUSED_SINCE" --no-pager -o cat 2>/dev/null |
    grep -iE '401 unauthorized|token CA hash does not match|failed to validate token|node password rejected|duplicate hostname' | tail -n 1) || return 0
  systemctl stop k3s-agent
  [[ $said != *'node password rejected'* && $said != *'duplicate hostname'* ]] ||
    said+=" (take its node out of the cluster, as with \`kubectl delete node $NODE_NAME\`, and run this again)"
  die "the server refuses this agent: $said"
}

kubectl() { "$bin" kubectl --kubeconfig "$config/k3s.yaml" --request-timeout 10s "$@"; }

architecture() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) die "there is no K3s pinned for $(uname -m); expected x86_64 or aarch64" ;;
  esac
}

# interface prints the network interface that has ADDRESS. It is named to K3s, or the machine would register the
# address of Vagrant's own network, which is the same on every VirtualBox machine.
interface() { ip -o -4 address show | awk -v a="$ADDRESS" '{ split($4, b, "/") } b[1] == a { print $2; found = 1; exit } END { exit !found }'; }

matches() { [[ -f $1 && $(sha256sum "$1" | cut -d' ' -f1) == "$2" ]]; }

# download URL SHA256 TARGET; what has arrived is kept and continued.
download() {
  ! matches "$3" "$2" || return 0
  mkdir -p "${3%/*}"
  local part=$3.part
  if command -v curl >/dev/null; then
    curl -fsSL --retry 3 --connect-timeout 20 --max-time "$TIMEOUT" --continue-at - -o "$part" "$1"
  elif command -v wget >/dev/null; then
    timeout "$TIMEOUT" wget -q --tries=3 --timeout=60 --continue -O "$part" "$1"
  else
    die "neither curl nor wget is on this machine; install one, or set iot:k3sAirgapDir"
  fi || die "$1 can't be downloaded; check the machine's network, or set iot:k3sAirgapDir"
  matches "$part" "$2" || {
    rm -f "$part"
    die "$1 does not have the pinned sha256 $2; what arrived is removed"
  }
  mv "$part" "$3"
}

# adopt STAGED TARGET moves what was copied here over SSH to where it belongs; a second run finds it there.
adopt() {
  mkdir -p "${2%/*}"
  if [[ -e $1 ]]; then
    mv -f "$1" "$2"
    chown root:root "$2"
  elif [[ ! -e $2 ]]; then
    die "$2 is missing, and what was copied to $1 is used up; copy it again: pulumi up --replace '**-files'"
  fi
}

# get brings K3s's binary, its install.sh and, air-gapped, its images to this machine.
get() {
  if [[ -n $AIRGAP_IMAGES ]]; then
    local home
    home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
    adopt "$home/.iot-k3s" "$bin"
    adopt "$home/.iot-install.sh" "$data/install.sh"
    adopt "$home/.iot-images" "$data/agent/images/$AIRGAP_IMAGES"
  else
    local arch
    arch=$(architecture)
    declare -A sums=([amd64]=$SHA256_AMD64 [arm64]=$SHA256_ARM64) suffix=([amd64]='' [arm64]=-arm64)
    download "$RELEASE_URL/k3s${suffix[$arch]}" "${sums[$arch]}" "$bin"
    download "$INSTALL_URL" "$INSTALL_SHA256" "$data/install.sh"
  fi
  chmod 755 "$bin"
  local version
  version=$("$bin" --version | awk 'NR == 1 { print $3 }')
  [[ $version == "$K3S_VERSION" ]] || die "the k3s here is $version; expected $K3S_VERSION, see components/core/versions.py"
}

# configure writes K3s's configuration: what the settings say, and what only the machine knows.
configure() {
  wait_for "the address $ADDRESS on one of this machine's interfaces" 'ip -o -4 address show' interface
  mkdir -p "$config/config.yaml.d"
  printf '%s\n' "$K3S_CONFIG" | write "$config/config.yaml"
  {
    printf 'flannel-iface: %s\n' "$(interface)"
    if [[ $(stat -fc %T /sys/fs/cgroup) != cgroup2fs ]]; then
      # The kubelet refuses cgroup v1 since 1.35 unless it is told that this is known.
      printf '"kubelet-arg+":\n  - fail-cgroupv1=false\n'
    fi
  } | write "$config/config.yaml.d/machine.yaml"
}

# write FILE replaces its content by the standard input, readable by root alone.
write() { (umask 077 && cat >"$1.new" && mv "$1.new" "$1"); }

# service NAME COMMAND [VARIABLE=VALUE]... installs K3s as a service and starts it, again only when something changed.
service() {
  local name=$1 unit=/etc/systemd/system/$1.service now
  now=$({ cat "$bin" "$data/install.sh" "$config/config.yaml" "$config/config.yaml.d/machine.yaml" "$config"/*token; } | sha256sum)
  if [[ -f $unit && -f $config/.applied && $(cat "$config/.applied") == "$now" ]]; then
    if ! systemctl is-active --quiet "$name"; then
      systemctl start --no-block "$name"
    elif unregistered; then
      say "the node $NODE_NAME was deleted from the cluster: starting $name again, which registers it"
      systemctl restart --no-block "$name"
    fi
    return 0
  fi
  # Its lines go to standard error: standard output is for what the action hands back.
  env INSTALL_K3S_SKIP_DOWNLOAD=true INSTALL_K3S_SKIP_START=true "INSTALL_K3S_EXEC=$2" "${@:3}" \
    sh "$data/install.sh" >&2 || die "K3s's install.sh failed"
  systemctl reset-failed "$name" 2>/dev/null || true # there may be nothing to reset
  systemctl restart --no-block "$name"
  printf '%s' "$now" | write "$config/.applied"
}

# unregistered says whether the API server answers that there is no such node; a kubelet only registers when it starts.
unregistered() {
  local found
  found=$(timeout 10 "$bin" kubectl --kubeconfig "$data/agent/kubelet.kubeconfig" \
    get node "$NODE_NAME" --ignore-not-found -o name 2>/dev/null) && [[ -z $found ]]
}

look() {
  if [[ ! -x $bin || ! -f $data/install.sh || ! -f /etc/systemd/system/$SERVICE.service ]]; then
    echo gone
  elif ! systemctl is-active --quiet "$SERVICE"; then
    echo down
  elif unregistered; then
    echo unregistered
  else
    echo well
  fi
}

# shellcheck disable=SC2329 # wait_for runs it
node_is_ready() {
  [[ $(kubectl get node "$NODE_NAME" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.addresses[?(@.type=="InternalIP")].address}') == "True $ADDRESS" ]]
}

server() {
  get
  mkdir -p "$config"
  # A token of their own keeps agents from joining as servers. It is made here and leaves only as a secret.
  [[ -s $config/agent-token ]] || head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' | write "$config/agent-token"
  configure
  service k3s server
  wait_for "the node $NODE_NAME to be Ready at $ADDRESS" 'journalctl -u k3s -n 20 --no-pager -o cat; kubectl get nodes -o wide' node_is_ready
  wait_for "K3s's agent token" "ls -l $data/server" test -s "$data/server/agent-token"
  local cluster
  cluster=$(kubectl get namespace kube-system -o 'jsonpath={.metadata.uid}')
  printf '{"agentToken": "%s", "kubeconfig": "%s", "cluster": "%s"}\n' \
    "$(tr -d '\n' <"$data/server/agent-token")" "$(base64 -w0 "$config/k3s.yaml")" "$cluster"
}

# leave_other_cluster drops what binds this agent to a server that was replaced; images stay.
leave_other_cluster() {
  [[ -f $config/token && ${TOKEN%%::*} != "$(cut -d: -f1 "$config/token")" ]] || return 0
  say "the server is another one than before: joining it anew"
  "${bin%/*}/k3s-killall.sh" >&2
  find "$data/agent" -mindepth 1 -maxdepth 1 ! -name images -exec rm -rf {} +
  rm -rf /etc/rancher/node /var/lib/kubelet/pki "$config/.applied"
}

agent() {
  get
  leave_other_cluster
  mkdir -p "$config"
  printf '%s\n' "$TOKEN" | write "$config/token"
  configure
  REFUSED_SINCE=$(date +%s)
  service k3s-agent agent "K3S_TOKEN_FILE=$config/token"
  wait_for "the service k3s-agent to join the server" 'journalctl -u k3s-agent -n 20 --no-pager -o cat' joined
}

# shellcheck disable=SC2329 # wait_for runs it
joined() { systemctl is-active --quiet k3s-agent && [[ -s $data/agent/kubelet.kubeconfig ]]; }

ready() { wait_for "the node $NODE_NAME to be Ready at $ADDRESS" 'kubectl get nodes -o wide' node_is_ready; }

forget() {
  local found
  found=$(kubectl get node "$NODE_NAME" --ignore-not-found -o 'jsonpath={.metadata.labels.iot/machine}')
  [[ $found == "$MACHINE" ]] || remove
}

# The password is what K3s knows a node by; without removing it, a new machine of that name is refused.
remove() {
  kubectl delete node "$NODE_NAME" --ignore-not-found --timeout "${TIMEOUT}s" >&2
  kubectl -n kube-system delete secret "$NODE_NAME.node-password.k3s" --ignore-not-found >&2
}

uninstall() {
  local name
  for name in k3s k3s-agent; do
    [[ ! -x /usr/local/bin/$name-uninstall.sh ]] || "/usr/local/bin/$name-uninstall.sh" >&2
  done
}

# Read to its end before anything runs, because what runs may read standard input too.
main() {
  case $1 in
    server) server ;;
    agent) agent ;;
    forget) forget ;;
    ready) ready ;;
    remove) remove ;;
    look) look ;;
    uninstall) uninstall ;;
    *) die "there is no action $1" ;;
  esac
  exit
}
main "$@" </dev/null
