#!/usr/bin/env bash
# The PostgreSQL floor's server: a private PostgreSQL beside Renkei, on the same disk, with the settings
# that a careful operator would choose and every promise of durability switched on.
#
#   bench/floor.sh start DIR    install if missing, make DIR/pg, start, print the connection string
#   bench/floor.sh stop DIR     stop
#   bench/floor.sh remove DIR   stop and delete DIR/pg
#
# It listens on a Unix socket only, which is cheaper than TCP: the floor is given every advantage.
# PostgreSQL refuses to run as root; then it runs as the user that its Debian package makes.
set -euo pipefail

say() { echo "floor: $*" >&2; }

usage() { sed -n '5,7s/^# *//p' "$0" >&2; exit 2; }
[ $# -eq 2 ] || usage
command=$1
mkdir -p "$2"
base=$(cd "$2" && pwd)
data=$base/pg

newest_bin() { find /usr/lib/postgresql -maxdepth 3 -name initdb 2>/dev/null | sort -V | tail -1 | xargs -r dirname; }

install_if_missing() {
    bin=$(newest_bin)
    if [ -n "$bin" ] && [ -e "$(dirname "$bin")/lib/postgis-3.so" ]; then return; fi
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        [ -n "$bin" ] && { say "PostGIS is missing: near is left out of the floor."; return; }
        say "PostgreSQL is missing. Install it: apt-get install postgresql and its PostGIS package (postgresql-15-postgis-3 on Debian 12)"
        exit 1
    fi
    say "installing PostgreSQL and PostGIS by apt-get (about a minute)"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install -y --no-install-recommends postgresql 'postgresql-[0-9]*-postgis-3$'; } >"$base/apt.log" 2>&1 \
        || { say "apt-get failed, see $base/apt.log"; exit 1; }
    bin=$(newest_bin)
}

as_owner() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# Sockets have short paths (107 bytes); the data folder may lie deep.
socket=/tmp/renkei-floor-$(echo "$data" | cksum | cut -d' ' -f1)

start() {
    install_if_missing
    if [ ! -e "$data/PG_VERSION" ]; then
        mkdir -p "$data"
        if [ "$(id -u)" = 0 ]; then
            chown postgres: "$data"
            as_owner test -w "$data" || { say "the user postgres cannot reach $data. Give a folder that every user may enter."; exit 1; }
        fi
        chmod 700 "$data"
        as_owner "$bin/initdb" -D "$data" -U floor --auth=trust --encoding=UTF8 --locale=C >"$base/initdb.log" 2>&1 \
            || { say "initdb failed, see $base/initdb.log"; exit 1; }
        as_owner tee -a "$data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$socket'
max_connections = 300
# Nothing acknowledged may be lost: the same promise that Renkei gives.
fsync = on
synchronous_commit = on
full_page_writes = on
shared_buffers = 512MB
effective_cache_size = 2GB
work_mem = 8MB
random_page_cost = 1.1
jit = off
# No checkpoint storm within a measurement; they are taken between.
max_wal_size = 8GB
checkpoint_timeout = 30min
CONF
    fi
    mkdir -p "$socket"
    [ "$(id -u)" != 0 ] || chown postgres: "$socket"
    if ! as_owner "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1; then
        (cd / && as_owner "$bin/pg_ctl" -D "$data" -w -t 60 -l "$data/server.log" start >/dev/null) \
            || { say "PostgreSQL did not start, see $data/server.log"; exit 1; }
    fi
    say "$("$bin/postgres" --version) runs in $data"
    echo "host=$socket user=floor dbname=postgres"
}

stop() {
    bin=$(newest_bin)
    if [ -n "$bin" ] && [ -e "$data/postmaster.pid" ]; then
        (cd / && as_owner "$bin/pg_ctl" -D "$data" -m fast -w stop >/dev/null) && say "stopped"
    fi
}

case $command in
    start) start ;;
    stop) stop ;;
    remove) stop; rm -rf "$data" "$socket" ;;
    *) usage ;;
esac
