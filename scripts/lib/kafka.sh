# A private Apache Kafka broker, KRaft, one node, from its Maven artefacts.
# shellcheck shell=bash

kafka_libs=$root/target/kafka-libs

kafka_jars() {
  if ! fetched "$root/scripts/maven/kafka.xml" "$kafka_libs"; then say "fetching the Kafka broker (54 MB, once)"; fi
  fetch_artifacts "$root/scripts/maven/kafka.xml" "$kafka_libs" copy-dependencies -DincludeScope=runtime
}

kafka_java() {
  java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$kafka_libs/*" "$@"
}

kafka_properties() {
  local port controller
  port=$(port_of kafka)
  controller=$(port_of kafka-controller)
  cat <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/kafka/data
auto.create.topics.enable=false
delete.topic.enable=true
num.partitions=1
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=4
PROPERTIES
}

kafka_launch() {
  if running kafka; then return; fi
  choose_port kafka
  choose_port kafka-controller
  mkdir -p "$dir/kafka"
  kafka_properties >"$dir/kafka/server.properties"
  if [ ! -e "$dir/kafka/data/meta.properties" ]; then
    local id
    id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | tr -d =)
    # A first character of '-' would read as an option; base64 without + and / has none.
    kafka_java kafka.tools.StorageTool format --standalone -t "$id" -c "$dir/kafka/server.properties" \
      >"$dir/kafka-format.log" 2>&1 || { cat "$dir/kafka-format.log" >&2; die "failed to format Kafka's storage in $dir"; }
    cp "$kafka_libs/.complete" "$dir/kafka/version"
  elif ! cmp -s "$kafka_libs/.complete" "$dir/kafka/version"; then
    # An older broker does not read what a newer one wrote, and says so in its log alone.
    die "the Kafka in $dir was begun with another version: remove $dir (and with it all that it holds) and start again"
  fi
  launch kafka java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    -cp "$kafka_libs/*" kafka.Kafka "$dir/kafka/server.properties"
}

kafka_ready() { listening "$(port_of kafka)"; }
kafka_wait() { wait_for kafka 60 kafka_ready; }
