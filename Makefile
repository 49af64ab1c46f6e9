# Everything installs what it lacks. `make` alone says what there is.

.PHONY: help demo test simulate fire bench web stop

help:
	@echo 'make demo    a plant of two companies and six lines in the browser; Ctrl-C stops everything'
	@echo 'make test    every check and test, on private servers'
	@echo 'make simulate    schedules of seeded faults over the engine; SEEDS=1000000 FROM=0'
	@echo 'make bench   the performance figures of ARCHITECTURE.md; BENCH=name for one of them'
	@echo 'make fire    kill, pause, cut and restart everything for MINUTES=10 [SEED=…] [MYSQL8=1]; see docs/proof.md'
	@echo 'make web     the pages, bundled into web/dist (only when their sources changed)'
	@echo 'make stop    stops what a killed demo or test left running'

demo:
	@scripts/demo

test:
	@scripts/test

simulate:
	@scripts/simulate $(or $(SEEDS),1000000) $(or $(FROM),0)

bench:
	@scripts/bench $(BENCH)

fire:
	@MYSQL8=$(or $(MYSQL8),0) scripts/fire $(or $(MINUTES),10) $(SEED)

web:
	@scripts/web build

stop:
	@scripts/stop
