#!/usr/bin/env bash
# What `pulumi up --stack p3` does, as the plain script that one would write with k3d, helm and kubectl: a step after
# the other, waiting where the next step needs it. `make bench` measures the two side by side.
#
#   devtools/bench/p3.sh up FOLDER      from nothing until the Application is Synced and Healthy
#   devtools/bench/p3.sh down FOLDER    remove it again
#
# FOLDER is written by devtools/bench/inputs.py from the program itself, so that both make the same things: k3d.yaml,
# values.yaml, cluster.yaml and gitops.yaml, the lists images.txt and versions.txt, git-run.txt (the command that runs
# Git, its words ended by NUL) and git.json (what is set up in it).
# Environment: CLUSTER, GIT (name of its container), CHART (a path), REPOSITORY (of the app's image), PYTHON_IMAGE (its
# base), PYTHON (which runs the project's modules), TIMEOUT (seconds).
set -euo pipefail
umask 077

: "${PYTHON:?}" "${CLUSTER:?}" "${GIT:?}" "${CHART:?}" "${REPOSITORY:?}" "${PYTHON_IMAGE:?}" "${TIMEOUT:?}"
folder=$2
export KUBECONFIG=$folder/kubeconfig

step() { printf 'step: %s\n' "$*"; }

up() {
  local version
  step build the images
  while read -r version; do
    docker build --quiet --build-arg "VERSION=$version" --build-arg "PYTHON_IMAGE=$PYTHON_IMAGE" \
      --tag "$REPOSITORY:$version" app
  done <"$folder/versions.txt"

  step start Git
  docker network create "$CLUSTER"
  docker volume create "$GIT"
  xargs -0 env <"$folder/git-run.txt"

  step create the cluster
  k3d cluster create --config "$folder/k3d.yaml" --timeout "${TIMEOUT}s"
  k3d kubeconfig get "$CLUSTER" >"$KUBECONFIG"

  step import the images
  # shellcheck disable=SC2046 # one argument for each image; an image's name has no space
  k3d image import --cluster "$CLUSTER" $(cat "$folder/images.txt")

  step apply namespaces and secrets
  kubectl apply --filename "$folder/cluster.yaml"

  step install Argo CD
  helm install argocd "$CHART" --namespace argocd --values "$folder/values.yaml" --wait --timeout "${TIMEOUT}s"

  step set Git up
  "$PYTHON" -m devtools.bench.git "$folder/git.json"

  step apply the project and the Application
  kubectl apply --filename "$folder/gitops.yaml"

  step wait for the Application
  kubectl --namespace argocd wait application/flask-app --timeout "${TIMEOUT}s" \
    --for 'jsonpath={.status.sync.status}=Synced'
  kubectl --namespace argocd wait application/flask-app --timeout "${TIMEOUT}s" \
    --for 'jsonpath={.status.health.status}=Healthy'
}

down() {
  local version
  step delete the cluster
  k3d cluster delete "$CLUSTER"
  step remove Git
  docker rm --force --volumes "$GIT"
  docker volume rm "$GIT"
  docker network rm "$CLUSTER"
  step remove the images
  while read -r version; do
    docker image rm --force "$REPOSITORY:$version"
  done <"$folder/versions.txt"
}

case $1 in
  up) up ;;
  down) down ;;
  *)
    printf 'usage: devtools/bench/p3.sh up|down FOLDER\n' >&2
    exit 2
    ;;
esac
