#!/usr/bin/env bash
# How fast a store is backed up, verified and restored: bench/backup.sh [ENTITIES] [SECONDS]
# The entities come in, and for so many seconds readings for them; then each step says its rate,
# and the processor time of its command: beside other work that is what can be compared.
set -eu
TIMEFORMAT='%R s, of them processor %U s and %S s of the system'
renkei=${RENKEI_BIN:-target/release/renkei}
entities=${1:-100000}
seconds=${2:-30}
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT

"$renkei" serve --data "$folder/city" --listen 127.0.0.1:0 --log error > "$folder/out" &
server=$!
until url=$(sed -n 's/^ready //p' "$folder/out") && [ -n "$url" ]; do sleep 0.1; done

echo "== $entities entities, and readings for $seconds s"
"$renkei" bench --url "$url" --workload readings --entities "$entities" --preload --connections 16 --seconds "$seconds" > "$folder/load.json"
echo "== a base"
time "$renkei" backup "$folder/backup" --url "$url"
echo "== 10 s more, and an increment"
"$renkei" bench --url "$url" --workload readings --entities "$entities" --connections 16 --seconds 10 > "$folder/load.json"
time "$renkei" backup "$folder/backup" --url "$url"
kill "$server"
wait "$server"
server=
du -sh "$folder/city" "$folder/backup" | sed "s#$folder/##"
echo "== verify --quick"
"$renkei" backup verify "$folder/backup" --quick
echo "== restore"
time "$renkei" restore "$folder/backup" --data "$folder/restored"
