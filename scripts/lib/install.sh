# Installs what the servers and the builds need, only what is absent, from the system's and the language's registries.
# shellcheck shell=bash

have() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1; }

# apt_install PACKAGE…: as root or through sudo; elsewhere it says what to install by hand.
apt_install() {
  have apt-get || die "missing: $*; install them with your system's package manager and start again"
  local sudo=()
  if [ "$(id -u)" != 0 ]; then
    have sudo || die "missing: $*; install them as root (apt-get install $*) and start again"
    sudo=(sudo)
  fi
  say "installing $* (apt)"
  local log
  log=$(mktemp)
  if ! "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive sh -c \
    'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"' sh "$@" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "failed to install $*; the whole log is $log"
  fi
  rm -f "$log"
}

java_major() { java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1; }

install_missing() {
  local packages=()
  if ! have java || [ "$(java_major)" -lt 17 ]; then packages+=(default-jre-headless); fi
  if ! have mvn; then packages+=(maven); fi
  # The core packages bring the programs without a system-wide service that would start beside ours.
  if ! have mariadbd || ! have mariadb-install-db; then packages+=(mariadb-server-core); fi
  if ! have mariadb; then packages+=(mariadb-client-core); fi
  if [ "$with_mysql8" = yes ] && ! mysql8_libraries; then packages+=(libaio1 libnuma1); fi
  if [ ${#packages[@]} -gt 0 ]; then apt_install "${packages[@]}"; fi
  kafka_jars
  if [ "$with_mysql8" = yes ]; then mysql8_binaries; fi
}

# need_rust: cargo, and a C compiler with make for librdkafka.
need_rust() {
  if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH=$HOME/.cargo/bin:$PATH; fi
  if ! have cargo && have apt-get && apt-cache show rustup >/dev/null 2>&1; then
    apt_install rustup
    rustup toolchain install stable --profile default
  fi
  have cargo || die 'Rust is missing: install it as https://rustup.rs says, open a new shell and start again'
  if ! have cc || ! have make; then apt_install build-essential; fi
}

node_major() { node --version | sed 's/^v\([0-9]*\).*/\1/'; }

# need_node: Node 20 or later with npm. Where the system's is older, a newer one is taken from npm itself.
need_node() {
  local own=$root/target/node
  if [ -x "$own/bin/node" ]; then PATH=$own/bin:$PATH; fi
  if ! have node || ! have npm; then apt_install nodejs npm; fi
  if [ "$(node_major)" -ge 20 ]; then return; fi
  local machine
  case $(uname -m) in
    x86_64) machine=x64 ;;
    aarch64) machine=arm64 ;;
    *) die 'Node 20 or later is missing: install it from https://nodejs.org and start again' ;;
  esac
  say "Node $(node --version) is too old for the pages' tools, taking a newer one from npm"
  npm install --prefix "$own" --no-audit --no-fund --loglevel=error "node-linux-$machine@22"
  mkdir -p "$own/bin"
  ln -sf "../node_modules/node-linux-$machine/bin/node" "$own/bin/node"
  PATH=$own/bin:$PATH
}

# need_chromium: a browser for the tests of the pages; ANDON_CHROMIUM names another.
need_chromium() {
  if [ -n "${ANDON_CHROMIUM:-}" ] || have chromium || have chromium-browser || have google-chrome; then return; fi
  apt_install chromium
}

# from_debian PACKAGE PROGRAM: a program out of a Debian package, into target/check-tools: without root, and without the
# service that the package would start.
from_debian() {
  local tools=$root/target/check-tools/$1 scratch
  if [ ! -x "$tools/usr/bin/$2" ]; then
    have apt-get && have dpkg-deb || return 1
    mkdir -p "$root/target/check-tools"
    scratch=$(mktemp -d "$root/target/check-tools/$1.XXXXXX")
    # Without the lists of packages first: a machine that has none gets them, where that is allowed.
    if ! { (cd "$scratch" && { apt-get download "$1" || { apt-get update && apt-get download "$1"; }; }) &&
      dpkg-deb -x "$scratch"/*.deb "$scratch/tree"; } >"$root/target/check-tools/$1.log" 2>&1; then
      rm -rf "$scratch"
      return 1
    fi
    rm -rf "$tools"
    mv "$scratch/tree" "$tools"
    rm -rf "$scratch"
  fi
  PATH=$tools/usr/bin:$PATH
  # One that lacks a library is none.
  "$2" --version >/dev/null 2>&1
}

# fetched POM DESTINATION: whether DESTINATION holds what POM names today.
fetched() { [ "$(cat "$2/.complete" 2>/dev/null)" = "$(sha256sum <"$1")" ]; }

# fetch_artifacts POM DESTINATION GOAL ARGUMENT…: into DESTINATION, complete or not at all.
fetch_artifacts() {
  local pom=$1 destination=$2 goal=$3 scratch
  shift 3
  if fetched "$pom" "$destination"; then return; fi
  mkdir -p "$(dirname "$destination")"
  exec 8>"$destination.lock"
  flock 8
  if ! fetched "$pom" "$destination"; then
    scratch=$(mktemp -d "$destination.XXXXXX")
    if ! mvn -q -B -f "$pom" "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:$goal" \
      -DoutputDirectory="$scratch" "$@" >"$destination.log" 2>&1; then
      tail -n 20 "$destination.log" >&2
      rm -rf "$scratch"
      die "failed to fetch the artefacts of $pom (maven)"
    fi
    sha256sum <"$pom" >"$scratch/.complete"
    rm -rf "$destination"
    mv "$scratch" "$destination"
  fi
  exec 8>&-
}
