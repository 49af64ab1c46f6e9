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

# fetch_artifacts POM DESTINATION GOAL ARGUMENT…: into DESTINATION, complete or not at all.
fetch_artifacts() {
  local pom=$1 destination=$2 goal=$3 scratch
  shift 3
  if [ -e "$destination/.complete" ]; then return; fi
  mkdir -p "$(dirname "$destination")"
  exec 8>"$destination.lock"
  flock 8
  if [ ! -e "$destination/.complete" ]; then
    scratch=$(mktemp -d "$destination.XXXXXX")
    mvn -q -B -Dstyle.color=never -f "$pom" "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:$goal" \
      -DoutputDirectory="$scratch" "$@" >&2 || die "failed to fetch the artefacts of $pom (maven)"
    touch "$scratch/.complete"
    rm -rf "$destination"
    mv "$scratch" "$destination"
  fi
  exec 8>&-
}
