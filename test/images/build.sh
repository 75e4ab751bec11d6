#!/usr/bin/env bash
# build.sh app|postgres|redis|tpa-proxy-skewed makes bin/images/NAME.tar, the image localhost/NAME:dev for tests and the demo.
#
# PostgreSQL and Redis are Debian's, with their shared libraries. All run as any non-root user, under the restricted pod
# security standard; PostgreSQL and Redis write to /data only, so that it can be an emptyDir.
set -euo pipefail
cd "$(dirname "$0")/../.."

name=$1
out=bin/images/$name.tar
user=65532
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p bin/images
export CGO_ENABLED=0

image() { bin/cluster image --name "localhost/$name:dev" --user $user --out "$out" "$@"; }

app() {
  nice go build -trimpath -ldflags '-s -w' -o "$tmp/app" ./test/images/app
  image --entrypoint /app "$tmp/app:/app"
}

# tpa-proxy-skewed is TPA's proxy with a wrong clock, see proxy/target/now_skewed.go.
tpa-proxy-skewed() {
  nice go build -trimpath -ldflags '-s -w' -tags skewed -o "$tmp/proxy" ./cmd/proxy
  image --entrypoint /proxy "$tmp/proxy:/proxy"
}

redis() {
  test/images/packages.sh /usr/bin/redis-server=redis-server /usr/bin/redis-cli=redis-tools
  local args=(/usr/bin/redis-server --bind '*' '-::*' --protected-mode no --dir /data --save '')
  image --libs --dir "/data:0777:$user" "${args[@]/#/--entrypoint=}" \
    /usr/bin/redis-server:/usr/bin/ /usr/bin/redis-cli:/usr/bin/
}

postgres() {
  test/images/packages.sh /usr/lib/postgresql/15/bin/postgres=postgresql-15 /usr/bin/psql=postgresql-client-15
  local pg=/usr/lib/postgresql/15 share=/usr/share/postgresql/15
  nice go build -trimpath -ldflags '-s -w' -o "$tmp/entry" ./test/images/entry
  seed
  local args=(/entry --seed /seed.tar --data /data/postgres --stop INT -- $pg/bin/postgres -D /data/postgres)
  image --libs --dir "/data:0777:$user" --env PGUSER=postgres --env PGHOST=127.0.0.1 "${args[@]/#/--entrypoint=}" \
    "$tmp/entry:/entry" "$tmp/seed.tar:/seed.tar" \
    $pg/bin/postgres:$pg/bin/ $pg/bin/pg_isready:$pg/bin/ $pg/lib/plpgsql.so:$pg/lib/ \
    $share/timezonesets:$share/timezonesets $share/extension/plpgsql.control:$share/extension/
}

# quiet shows what a command says only when it fails.
quiet() { "$@" >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; exit 1; }; }

# seed makes the data of a server that trusts everybody, with a table to ask. PostgreSQL refuses to do it as root.
seed() {
  local bin=/usr/lib/postgresql/15/bin as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
  mkdir "$tmp/data"
  chown postgres: "$tmp/data"
  chmod 711 "$tmp"
  (
    cd /
    quiet "${as[@]}" $bin/initdb -D "$tmp/data" -U postgres -E UTF8 --locale=C -A trust --wal-segsize=1 --no-sync
    "${as[@]}" tee -a "$tmp/data/postgresql.conf" <<'CONF' >/dev/null
listen_addresses = '*'
unix_socket_directories = ''
timezone = 'GMT'
log_timezone = 'GMT'
shared_buffers = 16MB
min_wal_size = 2MB
max_wal_size = 64MB
fsync = off
CONF
    echo 'host all all all trust' | "${as[@]}" tee -a "$tmp/data/pg_hba.conf" >/dev/null
    quiet "${as[@]}" $bin/postgres --single -D "$tmp/data" postgres <<'SQL'
CREATE TABLE greeting AS SELECT 'hello from a database that slept'::text AS text
SQL
  )
  tar -C "$tmp/data" -cf "$tmp/seed.tar" .
}

"$name"
