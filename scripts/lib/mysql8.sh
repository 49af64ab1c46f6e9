# A private MySQL 8.0.15 (Linux on x86-64 only), for the store's tests: own data folder, loopback only, root without a
# password.
# shellcheck shell=bash

mysql8_home=$root/target/mysql8

mysql8_libraries() {
  local known
  known=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null) || return 1
  [[ $known == *libaio.so.1\ * && $known == *libnuma.so.1\ * ]]
}

mysql8_binaries() {
  if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
    say "MySQL 8 is left out: its artefact has no program for $(uname -s) on $(uname -m)"
    with_mysql8=no
    return
  fi
  if ! fetched "$root/scripts/maven/mysql8.xml" "$mysql8_home"; then say "fetching MySQL 8.0.15 (34 MB, once)"; fi
  fetch_artifacts "$root/scripts/maven/mysql8.xml" "$mysql8_home" unpack-dependencies \
    -Dmdep.unpack.includes=mysql-Linux-amd64.tar.gz -DmarkersDirectory="$mysql8_home.markers.$$"
  rm -rf "$mysql8_home.markers.$$"
  if [ ! -x "$mysql8_home/server/bin/mysqld" ]; then
    local scratch
    scratch=$(mktemp -d "$mysql8_home/unpack.XXXXXX")
    tar -xzf "$mysql8_home/mysql-Linux-amd64.tar.gz" -C "$scratch"
    # The archive may hold the tree itself or one folder with it.
    mv "$(dirname "$(dirname "$(find "$scratch" -path '*bin/mysqld' -type f)")")" "$mysql8_home/server"
    rm -rf "$scratch"
  fi
}

mysql8_launch() {
  if running mysql8; then return; fi
  choose_port mysql8
  local data=$dir/mysql8/data
  local common=(--no-defaults --basedir="$mysql8_home/server" --datadir="$data")
  if [ "$(id -u)" = 0 ]; then common+=(--user=root); fi
  if [ ! -d "$data/mysql" ]; then
    mkdir -p "$dir/mysql8"
    cat >"$dir/mysql8/init.sql" <<'SQL'
CREATE USER 'root'@'127.0.0.1' IDENTIFIED WITH mysql_native_password BY '';
GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
SQL
    rm -rf "$data"
    "$mysql8_home/server/bin/mysqld" "${common[@]}" --initialize-insecure --init-file="$dir/mysql8/init.sql" \
      >"$dir/mysql8-install.log" 2>&1 ||
      { tail -n 15 "$dir/mysql8-install.log" >&2; rm -rf "$data"; die "failed to create MySQL's data folder $data"; }
  fi
  # Its TLS library is too old for today's clients, and without TLS they cannot log in by its newer plugin.
  launch mysql8 "$mysql8_home/server/bin/mysqld" "${common[@]}" --tmpdir="$dir/mysql8" --socket="$(short_socket mysql8)" \
    --bind-address=127.0.0.1 --port="$(port_of mysql8)" --mysqlx=OFF --skip-name-resolve --skip-ssl \
    --local-infile=1 --default-authentication-plugin=mysql_native_password \
    --character-set-server=utf8mb4 --collation-server=utf8mb4_bin --default-time-zone=+00:00 \
    --innodb-buffer-pool-size=128M --max-connections=200 --max-allowed-packet=64M --skip-log-bin
}

mysql8_ready() {
  mariadb --no-defaults --protocol=tcp --host=127.0.0.1 --port="$(port_of mysql8)" --user=root --connect-timeout=2 \
    --execute='SELECT 1' >/dev/null 2>&1
}
mysql8_wait() { wait_for mysql8 90 mysql8_ready; }
