#!/bin/sh
# Everything about the console that must be green; some eight minutes on two cores.
# The browser tests ask the server of RENKEI_URL, else a demo of RENKEI_BIN that is started for them.
set -eu
cd "$(dirname "$0")"
./build.sh
echo "Style …" && npm run --silent lint
echo "Types and templates …" && npm run --silent check
echo "Units …" && npm run --silent test
echo "Sizes …" && npm run --silent size

# A path that does not begin with / is one of the repository.
bin=${RENKEI_BIN:-target/ci/renkei}
case $bin in /*) ;; *) bin=$(cd .. && pwd)/$bin ;; esac
if [ -x "$bin" ]; then
  export RENKEI_BIN="$bin"
elif [ -n "${RENKEI_URL:-}" ]; then
  echo "There is no $bin: the tests of signing in are left out."
  unset RENKEI_BIN
fi

if [ -z "${RENKEI_URL:-}" ]; then
  [ -x "$bin" ] || { echo "There is no $bin: build it, or name a running server in RENKEI_URL." >&2; exit 1; }
  said=$(mktemp)
  "$bin" demo --listen 127.0.0.1:0 > "$said" 2>&1 &
  demo=$!
  trap 'kill "$demo" 2>/dev/null || true; rm -f "$said"' EXIT INT TERM
  while ! RENKEI_URL=$(sed -n 's/^ready //p' "$said" | head -1) || [ -z "$RENKEI_URL" ]; do
    kill -0 "$demo" 2>/dev/null || { cat "$said" >&2; exit 1; }
    sleep 1
  done
  export RENKEI_URL
fi
echo "In the browser, against $RENKEI_URL (some five minutes) …"
npm run --silent e2e
