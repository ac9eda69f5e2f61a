#!/bin/sh
# Prepare Gitea before it serves: its users with the passwords of the Secret, the repository that Argo CD follows with
# its first commit, and its webhook. Runs in an init container whenever the pod starts, and changes nothing that is as
# it should be; a repository that is there keeps its content, which belongs to its users from the first commit on.
# Environment: OWNER_PASSWORD, READER_PASSWORD, WEBHOOK_URL, WEBHOOK_SECRET. The files of the first commit are
# /setup/file.PATH, where "__" stands for "/".
set -eu
umask 077
url=http://127.0.0.1:3000

fail() {
  echo "$1" >&2
  if [ -s "${2:-}" ]; then tail -n 20 "$2" >&2; fi
  exit 1
}

# api METHOD PATH [JSON]: print the status of the answer; its body is in /tmp/answer. What is secret goes through
# files: arguments can be seen in the process list.
api() {
  printf '%s' "${3:-}" >/tmp/body
  curl --silent --show-error --max-time 30 --config /tmp/curlrc --request "$1" --data-binary @/tmp/body \
    --header 'Content-Type: application/json' --output /tmp/answer --write-out '%{http_code}' "$url/api/v1$2" ||
    fail "$1 $2: Gitea does not answer" /tmp/gitea.log
}

# must WANTED METHOD PATH [JSON]: stop unless the answer has one of the statuses wanted, such as "200|201".
must() {
  wanted=$1
  shift
  status=$(api "$@")
  echo "$status" | grep -Eqx "$wanted" || fail "$1 $2: Gitea answered $status, expected $wanted" /tmp/answer
}

users() {
  gitea admin user list | awk 'NR > 1 { print $2 }'
}

# user NAME PASSWORD RESTRICTED: the password is set through the API, for the reason above. A restricted user sees only
# what it was added to.
user() {
  must 200 PATCH "/admin/users/$1" "{\"login_name\": \"$1\", \"source_id\": 0, \"password\": \"$2\",
    \"must_change_password\": false, \"restricted\": $3}"
}

gitea migrate >/tmp/migrate.log 2>&1 || fail 'Gitea could not prepare its database' /tmp/migrate.log
users | grep -qx iot || gitea admin user create --admin --username iot --email iot@localhost.localdomain \
  --random-password --must-change-password=false >/dev/null
users | grep -qx argocd || gitea admin user create --username argocd --email argocd@localhost.localdomain \
  --restricted --random-password --must-change-password=false >/dev/null

gitea web >/tmp/gitea.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
tries=0
until curl --silent --fail --max-time 2 --output /dev/null "$url/api/healthz"; do
  tries=$((tries + 1))
  [ "$tries" -lt 300 ] || fail 'Gitea was not ready within 60 s' /tmp/gitea.log
  kill -0 "$server" || fail 'Gitea stopped' /tmp/gitea.log
  sleep 0.2
done

# A token to begin with; from then on the owner's own password, with which the token can be removed.
token=setup-$(date +%s)
printf 'header = "Authorization: token %s"\n' \
  "$(gitea admin user generate-access-token --username iot --token-name "$token" --scopes write:admin --raw)" \
  >/tmp/curlrc
user iot "$OWNER_PASSWORD" false
printf 'user = "iot:%s"\n' "$OWNER_PASSWORD" >/tmp/curlrc
# Also those of a set-up that was ended before it came here.
must 200 GET /users/iot/tokens
grep -o '"name":"setup-[0-9]*"' /tmp/answer | cut -d'"' -f4 >/tmp/tokens
while read -r name; do must 204 DELETE "/users/iot/tokens/$name"; done </tmp/tokens
user argocd "$READER_PASSWORD" true

must '200|404' GET /repos/iot/iot
if [ "$status" = 404 ]; then
  must 201 POST /user/repos '{"name": "iot", "private": true, "auto_init": false, "default_branch": "main"}'
fi
must '200|404|409' GET /repos/iot/iot/branches/main
if [ "$status" != 200 ]; then
  printf 'http://iot:%s@127.0.0.1:3000\n' "$OWNER_PASSWORD" >/tmp/git-credentials
  rm -rf /tmp/repository
  git init --quiet --initial-branch=main /tmp/repository
  cd /tmp/repository
  for file in /setup/file.*; do
    path=$(basename "$file" | sed -e 's/^file\.//' -e 's|__|/|g')
    mkdir -p "$(dirname "$path")"
    cat "$file" >"$path"
  done
  git add .
  git -c user.name=iot -c user.email=iot@localhost.localdomain commit --quiet --message 'Run version v1 of the app'
  git -c credential.helper='store --file=/tmp/git-credentials' push --quiet "$url/iot/iot.git" main
fi
must 204 PUT /repos/iot/iot/collaborators/argocd '{"permission": "read"}'

# Our own webhook is made anew, for its secret can't be read; those of the repository's users stay.
must 200 GET /repos/iot/iot/hooks
awk -v RS='"id":' -v url="\"url\":\"$WEBHOOK_URL\"" 'index($0, url) { print $1 + 0 }' /tmp/answer >/tmp/hooks
while read -r id; do must 204 DELETE "/repos/iot/iot/hooks/$id"; done </tmp/hooks
must 201 POST /repos/iot/iot/hooks "{\"type\": \"gitea\", \"active\": true, \"events\": [\"push\"], \"config\":
  {\"url\": \"$WEBHOOK_URL\", \"content_type\": \"json\", \"secret\": \"$WEBHOOK_SECRET\"}}"

kill "$server"
wait "$server" || true # it was told to stop
rm -rf /tmp/curlrc /tmp/tokens /tmp/hooks /tmp/git-credentials /tmp/body /tmp/answer /tmp/repository
echo 'the users, the repository and its webhook are ready'
