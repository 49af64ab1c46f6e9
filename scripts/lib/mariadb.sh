# A private MariaDB: own data folder, loopback only, user root without a password.
# shellcheck shell=bash

mariadb_bin() { PATH=$PATH:/usr/sbin command -v "$1"; }

# Started as root it has to be told so; started as anybody else it may not be told anything.
run_as() { if [ "$(id -u)" = 0 ]; then echo "--user=root"; fi; }

mariadb_launch() {
  if running mariadb; then return; fi
  choose_port mariadb
  local data=$dir/mariadb/data
  if [ ! -d "$data/mysql" ]; then
    mkdir -p "$dir/mariadb"
    # shellcheck disable=SC2046
    "$(mariadb_bin mariadb-install-db)" --no-defaults $(run_as) --datadir="$data" \
      --auth-root-authentication-method=normal --skip-test-db >"$dir/mariadb-install.log" 2>&1 ||
      { tail -n 15 "$dir/mariadb-install.log" >&2; die "failed to create MariaDB's data folder $data"; }
  fi
  # shellcheck disable=SC2046
  launch mariadb "$(mariadb_bin mariadbd)" --no-defaults $(run_as) --datadir="$data" --tmpdir="$dir/mariadb" \
    --socket="$(short_socket mariadb)" --bind-address=127.0.0.1 --port="$(port_of mariadb)" --skip-name-resolve \
    --local-infile=1 --character-set-server=utf8mb4 --collation-server=utf8mb4_bin --default-time-zone=+00:00 \
    --innodb-buffer-pool-size=256M --innodb-log-file-size=128M --max-connections=400 --max-allowed-packet=64M \
    --skip-log-bin
}

mariadb_ready() {
  mariadb --no-defaults --protocol=tcp --host=127.0.0.1 --port="$(port_of mariadb)" --user=root --connect-timeout=2 \
    --execute='SELECT 1' >/dev/null 2>&1
}
mariadb_wait() { wait_for mariadb 60 mariadb_ready; }
