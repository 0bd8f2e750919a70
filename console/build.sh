#!/bin/sh
# Builds the console into console/dist. The first time some two minutes (packages are fetched), later some ten seconds.
set -eu
cd "$(dirname "$0")"
stamp=node_modules/.stamp
wanted=$(cksum package-lock.json package.json)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
  echo "Installing the console's packages as package-lock.json names them (some two minutes) …"
  PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error
  echo "$wanted" > "$stamp"
fi
echo "Building the console into console/dist (some ten seconds) …"
npm run --silent build
