#!/usr/bin/env bash
# Shell provisioning of the plain Vagrantfile beside it: K3s as its air-gap documentation installs it.
set -euo pipefail
: "${ROLE:?}" "${ADDRESS:?}" "${SERVER:?}" "${K3S_TOKEN:?}"

install -m 755 /home/vagrant/k3s /usr/local/bin/k3s
mkdir -p /var/lib/rancher/k3s/agent/images
mv /home/vagrant/images.tar /var/lib/rancher/k3s/agent/images/images.tar
interface=$(ip -o -4 address show to "$ADDRESS" | awk '{ print $2 }')
arguments=(--node-ip "$ADDRESS" --flannel-iface "$interface")
if [[ $(stat -fc %T /sys/fs/cgroup) != cgroup2fs ]]; then
  arguments+=(--kubelet-arg fail-cgroupv1=false)
fi
if [[ $ROLE == server ]]; then
  arguments=(server --write-kubeconfig-mode 0600 "${arguments[@]}")
else
  arguments=(agent --server "https://$SERVER:6443" "${arguments[@]}")
fi
export K3S_TOKEN INSTALL_K3S_SKIP_DOWNLOAD=true INSTALL_K3S_EXEC="${arguments[*]}"
sh /home/vagrant/install.sh
