# Shared by the scripts: messages, free ports, processes known by their pid file, waiting for a condition.
# shellcheck shell=bash

say() { echo "andon: $*" >&2; }
die() {
  say "$*"
  exit 1
}

# The port of a server is kept in $dir/NAME.port, so that data which remembers an address stays valid.
port_of() { cat "$dir/$1.port"; }

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# answers PORT PATH: whether a GET is answered with 200.
answers() {
  local status
  {
    exec 4<>"/dev/tcp/127.0.0.1/$1" &&
      printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" >&4 &&
      read -r -t 5 status <&4
  } 2>/dev/null || return 1
  exec 4>&-
  [[ $status == *' 200 '* ]]
}

# choose_port NAME: the port of last time when nobody else took it, else a free one below the ephemeral range.
choose_port() {
  local port
  if [ -s "$dir/$1.port" ]; then
    port=$(port_of "$1")
    if ! listening "$port"; then return; fi
    say "port $port is taken, $1 moves to another"
  fi
  while :; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    if ! listening "$port"; then break; fi
  done
  echo "$port" >"$dir/$1.port"
}

# running NAME: its process lives and is ours (a pid alone may have been given to somebody else since).
running() {
  local pid
  [ -s "$dir/$1.pid" ] || return 1
  pid=$(cat "$dir/$1.pid")
  [ -r "/proc/$pid/cmdline" ] || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$dir/"
}

# launch NAME COMMAND…: in a session of its own, so that a Ctrl-C meant for us does not reach it; log in $dir/NAME.log.
launch() {
  local name=$1
  shift
  setsid nohup "$@" >"$dir/$name.log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/$name.pid"
}

# wait_for NAME SECONDS CHECK…: until CHECK succeeds; dies with the log's end when the process goes away before.
wait_for() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@"; do
    if ! running "$name"; then
      tail -n 15 "$dir/$name.log" >&2
      rm -f "$dir/$name.pid"
      die "$name stopped while starting; its log is $dir/$name.log"
    fi
    if [ $SECONDS -ge $deadline ]; then die "$name is not ready in time; its log is $dir/$name.log"; fi
    sleep 0.1
  done
}

# stop_process NAME: asks, waits up to 20 s, then insists.
stop_process() {
  local name=$1 pid deadline=$((SECONDS + 20))
  if ! running "$name"; then
    rm -f "$dir/$name.pid"
    return 0
  fi
  pid=$(cat "$dir/$name.pid")
  kill "$pid" 2>/dev/null || true
  while running "$name" && [ $SECONDS -lt $deadline ]; do sleep 0.05; done
  if running "$name"; then kill -9 "$pid" 2>/dev/null || true; fi
  rm -f "$dir/$name.pid"
}

# short_socket NAME: a path for a Unix socket, which may not be longer than 107 bytes.
short_socket() {
  local path=$dir/$1.sock
  if [ ${#path} -le 100 ]; then echo "$path"; else echo "/tmp/andon-$(id -u)-$(port_of "$1").sock"; fi
}
