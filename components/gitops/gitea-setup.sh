# shellcheck shell=sh
# Set Gitea up while it serves: its users with their passwords, the repository that Argo CD follows with its first
# commit or with what a backup has, and its webhook. It changes nothing that is as it should be; a repository that is
# there keeps its content, which belongs to its users from the first commit on.
#
# It is given to a shell in the container, after lines that set OWNER_PASSWORD, READER_PASSWORD, WEBHOOK_URL,
# WEBHOOK_SECRET, FILES (the first commit: a tar.gz in base64), RESTORE (path of a Git bundle, or empty) and TIMEOUT
# (seconds until it has to serve): nothing secret is in an argument or in the container's environment.
set -eu
umask 077
url=http://127.0.0.1:3000
work=/tmp/setup

fail() {
  echo "$1" >&2
  if [ -s "${2:-}" ]; then tail -n 20 "$2" >&2; fi
  exit 1
}

# api METHOD PATH [JSON]: print the status of the answer; its body is in the file answer. What is secret goes through
# files: arguments can be seen in the process list.
api() {
  printf '%s' "${3:-}" >"$work/body"
  curl --silent --show-error --max-time 30 --config "$work/curlrc" --request "$1" --data-binary "@$work/body" \
    --header 'Content-Type: application/json' --output "$work/answer" --write-out '%{http_code}' "$url/api/v1$2" ||
    fail "$1 $2: Gitea does not answer"
}

# must WANTED METHOD PATH [JSON]: stop unless the answer has one of the statuses wanted, such as "200|201".
must() {
  wanted=$1
  shift
  status=$(api "$@")
  echo "$status" | grep -Eqx "$wanted" || fail "$1 $2: Gitea answered $status, expected $wanted" "$work/answer"
}

# user NAME PASSWORD RESTRICTED: a restricted user sees only what it was added to.
user() {
  must 200 PATCH "/admin/users/$1" "{\"login_name\": \"$1\", \"source_id\": 0, \"password\": \"$2\",
    \"must_change_password\": false, \"restricted\": $3}"
}

# fill FOLDER: put a repository with the first commit, or with the branches and tags of a backup, into a folder.
fill() {
  if [ -n "$RESTORE" ]; then
    git clone --quiet --mirror "$RESTORE" "$1" || fail "$RESTORE is no backup that Git can read"
    return
  fi
  git init --quiet --initial-branch=main "$1"
  printf '%s' "$FILES" | base64 -d | tar -xz -C "$1"
  git -C "$1" add .
  git -C "$1" -c user.name=iot -c user.email=iot@localhost.localdomain commit --quiet \
    --message 'Run version v1 of the app'
}

main() {
  rm -rf "$work"
  mkdir -p "$work"
  trap 'rm -rf "$work"' EXIT
  tries=0
  until curl --silent --fail --max-time 2 --output /dev/null "$url/api/healthz"; do
    tries=$((tries + 1))
    [ "$tries" -lt $((TIMEOUT * 5)) ] || fail "Gitea was not ready within $TIMEOUT s"
    sleep 0.2
  done

  gitea admin user list | awk 'NR > 1 { print $2 }' | grep -qx iot ||
    gitea admin user create --admin --username iot --email iot@localhost.localdomain --random-password \
      --must-change-password=false >/dev/null
  # A token to begin with; from then on the owner's own password, with which the token can be removed.
  token=setup-$(date +%s)
  printf 'header = "Authorization: token %s"\n' \
    "$(gitea admin user generate-access-token --username iot --token-name "$token" --scopes write:admin --raw)" \
    >"$work/curlrc"
  user iot "$OWNER_PASSWORD" false
  printf 'user = "iot:%s"\n' "$OWNER_PASSWORD" >"$work/curlrc"
  # Also those of a set-up that was ended before it came here.
  must 200 GET '/users/iot/tokens?limit=50'
  grep -o '"name":"setup-[0-9]*"' "$work/answer" | cut -d'"' -f4 >"$work/tokens"
  while read -r name; do must 204 DELETE "/users/iot/tokens/$name"; done <"$work/tokens"
  must '200|404' GET /users/argocd
  if [ "$status" = 404 ]; then
    must 201 POST /admin/users "{\"username\": \"argocd\", \"email\": \"argocd@localhost.localdomain\",
      \"password\": \"$READER_PASSWORD\", \"must_change_password\": false, \"restricted\": true}"
  fi
  user argocd "$READER_PASSWORD" true

  must '200|404' GET /repos/iot/iot
  if [ "$status" = 404 ]; then
    must 201 POST /user/repos '{"name": "iot", "private": true, "auto_init": false, "default_branch": "main"}'
  fi
  must '200|404|409' GET /repos/iot/iot/branches/main
  if [ "$status" != 200 ]; then
    printf 'http://iot:%s@127.0.0.1:3000\n' "$OWNER_PASSWORD" >"$work/git-credentials"
    fill "$work/repository"
    git -C "$work/repository" -c credential.helper="store --file=$work/git-credentials" push --quiet "$url/iot/iot.git" \
      'refs/heads/*:refs/heads/*' 'refs/tags/*:refs/tags/*'
  fi
  must 204 PUT /repos/iot/iot/collaborators/argocd '{"permission": "read"}'

  # Our own webhook is made anew, for its secret can't be read; those of the repository's users stay.
  must 200 GET '/repos/iot/iot/hooks?limit=50'
  awk -v RS='"id":' -v url="\"url\":\"$WEBHOOK_URL\"" 'index($0, url) { print $1 + 0 }' "$work/answer" >"$work/hooks"
  while read -r id; do must 204 DELETE "/repos/iot/iot/hooks/$id"; done <"$work/hooks"
  must 201 POST /repos/iot/iot/hooks "{\"type\": \"gitea\", \"active\": true, \"events\": [\"push\"], \"config\":
    {\"url\": \"$WEBHOOK_URL\", \"content_type\": \"json\", \"secret\": \"$WEBHOOK_SECRET\"}}"
}

# Read as a whole before any of it runs, which must not read what follows.
main </dev/null
