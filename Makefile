# TPA, the traffic pod autoscaler. `make` lists what can be made.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

NODES    ?= 1
OVERLAY  ?= manifests/base
KUBECTL  ?= kubectl
FUZZTIME ?= 20s
# How long the run takes that dashboard-picture shows.
FOR      ?= 6m
# Where deploy takes TPA's images from; empty: what the overlay says.
REGISTRY ?=
TAG      ?= dev
# Other images to build from than this machine's Go and scratch, such as the Dockerfiles' defaults.
BUILDER  ?=
BASE     ?=

GOLANGCI    := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT  := go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
SOURCES     := go.mod go.sum $(shell find cmd proxy webhook -name '*.go' -not -name '*_test.go' 2>/dev/null)
HARNESS     := $(shell find test/cluster -name '*.go' -o -name go.mod -o -name go.sum 2>/dev/null)
IMAGES      := bin/images/tpa-webhook.tar bin/images/tpa-proxy.tar
ARCHES      ?= amd64 arm64
KUSTOMIZE   := go run sigs.k8s.io/kustomize/kustomize/v5@v5.8.2
INTEGRATION := ./cmd/kubectl-tpa/... ./manifests ./test/apiserver/... ./test/install/... ./test/integration/... ./test/truth/... ./test/size/... ./test/bench/... ./test/limits/...
PEERS       := /usr/sbin/haproxy=haproxy /usr/sbin/nginx=nginx /usr/lib/nginx/modules/ngx_stream_module.so=libnginx-mod-stream
BENCH_NEEDS := test/images/packages.sh /bin/ip=iproute2 /sbin/sysctl=procps $(PEERS)
TEST_IMAGES := bin/images/app.tar bin/images/postgres.tar bin/images/redis.tar
# A proxy whose clock is wrong, for the faults of the soak.
SOAK_IMAGES := bin/images/tpa-proxy-skewed.tar
INTEGRATION += ./test/docs/...
BROWSER     := test/images/packages.sh /usr/bin/chromium=chromium; CGO_ENABLED=1 go test -race -tags browser -timeout 10m ./webhook/status

.PHONY: help
help: ## show this
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2} /^##@/{print "\n" substr($$0, 5)}' Makefile

##@ Build
.PHONY: build
build: bin/webhook bin/proxy bin/kubectl-tpa bin/cluster ## the binaries, into bin/

bin/webhook bin/proxy bin/kubectl-tpa: bin/%: $(SOURCES)
	CGO_ENABLED=0 go build -trimpath -o $@ ./cmd/$*

bin/cluster: $(HARNESS)
	cd test/cluster && CGO_ENABLED=0 go build -trimpath -o ../../$@ .

# The admission webhook that TPA's is compared with.
bin/yes: test/size/yes/main.go $(SOURCES)
	CGO_ENABLED=0 go build -trimpath -o $@ ./test/size/yes

# Not trimmed: test/apiserver finds the manifests by where it was built.
bin/bench: $(shell find test/bench test/apiserver test/stat -name '*.go' -not -name '*_test.go' -o -name '*.tmpl') $(SOURCES)
	CGO_ENABLED=0 go build -o $@ ./test/bench

.PHONY: images
images: $(IMAGES) ## TPA's images from the Dockerfiles, into bin/images/ (BUILDER=, BASE=: other images to start from)

bin/images/tpa-%.tar: Dockerfile.% .dockerignore LICENSE bin/images/.from $(SOURCES)
	@BUILDER='$(BUILDER)' BASE='$(BASE)' test/images/dockerfile.sh $* $@

.PHONY: images-arch
images-arch: $(foreach arch,$(ARCHES),$(IMAGES:bin/images/%=bin/images/$(arch)/%)) ## the same for each of ARCHES='amd64 arm64', and a look at what is in them
	@for arch in $(ARCHES); do go run ./test/images/inspect "$$arch" bin/images/"$$arch"/*.tar; done

define ARCH_IMAGES
bin/images/$(1)/tpa-%.tar: Dockerfile.% .dockerignore LICENSE bin/images/.from $$(SOURCES) test/images/dockerfile.sh
	@BUILDER='$$(BUILDER)' BASE='$$(BASE)' test/images/dockerfile.sh $$* $$@ $(1)
endef
$(foreach arch,$(ARCHES),$(eval $(call ARCH_IMAGES,$(arch))))

# Changes when BUILDER or BASE does.
bin/images/.from: FORCE
	@mkdir -p $(@D)
	grep -qsxF '$(BUILDER) $(BASE)' $@ || echo '$(BUILDER) $(BASE)' >$@

.PHONY: test-images
test-images: $(TEST_IMAGES) ## the images that the tests and the demo wake: app, postgres, redis

bin/images/redis.tar: test/images/packages.sh
bin/images/app.tar: $(filter-out %_test.go,$(wildcard test/images/app/*.go))
bin/images/postgres.tar: $(filter-out %_test.go,$(wildcard test/images/entry/*.go)) test/images/packages.sh
bin/images/tpa-proxy-skewed.tar: $(SOURCES)
$(TEST_IMAGES) $(SOAK_IMAGES): bin/images/%.tar: test/images/build.sh | bin/cluster
	@echo "building localhost/$*:dev"
	test/images/build.sh $*

.PHONY: install.yaml
install.yaml: bin/install.yaml ## all of TPA in one file for `kubectl apply -f`, into bin/

bin/install.yaml: $(wildcard manifests/base/*.yaml)
	@mkdir -p $(@D)
	$(KUSTOMIZE) build manifests/base >$@

.PHONY: chart
chart: bin/helm4/helm ## the Helm chart's package, into bin/chart/ (`helm push` brings it to a registry)
	@rm -rf bin/chart
	bin/helm4/helm package manifests/chart --destination bin/chart

##@ Run
.PHONY: cluster-up
cluster-up: bin/cluster ## a real Kubernetes on this machine (NODES=2: with two nodes)
	@bin/cluster up --nodes $(NODES)

.PHONY: cluster-down
cluster-down: bin/cluster ## stop it and remove every trace
	@bin/cluster down

.PHONY: load
load: bin/cluster $(IMAGES) $(TEST_IMAGES) ## bring all images into that cluster
	@bin/cluster load $(IMAGES) $(TEST_IMAGES)

.PHONY: deploy
deploy: ## TPA onto kubectl's current cluster (OVERLAY=, KUBECTL=, REGISTRY=registry.example.com/team TAG=v1: your images)
	@KUBECTL='$(KUBECTL)' OVERLAY='$(OVERLAY)' REGISTRY='$(REGISTRY)' TAG='$(TAG)' manifests/deploy.sh

.PHONY: undeploy
undeploy: ## restore every managed Service, wait for that, then remove TPA
	@KUBECTL='$(KUBECTL)' OVERLAY='$(OVERLAY)' manifests/undeploy.sh

.PHONY: demo
demo: bin/cluster $(IMAGES) $(TEST_IMAGES) ## see it work, from nothing (KEEP=1: leave the cluster; SVG=FILE: draw it)
	@KEEP='$(KEEP)' go run ./test/demo $(if $(SVG),--svg='$(SVG)') $(ARGS)

##@ Check
# Not by the variable MAKE: with .ONESHELL, a recipe that has it is run as a whole by a dry run. TestDryRun sees to that.
.PHONY: test
test: ## everything: lint, unit, integration, e2e
	@start=$$SECONDS
	for part in lint unit integration e2e; do make "$$part"; done
	echo "test: lint, unit, integration and end-to-end tests passed in $$(((SECONDS - start) / 60)) min $$(((SECONDS - start) % 60)) s"

.PHONY: lint
# What golangci-lint is asked for, staticcheck with it, is in .golangci.yaml. Its first build takes one to two minutes, a run
# over everything as long, and a few seconds when little has changed.
lint: ## gofmt, go vet, golangci-lint, actionlint
	@unformatted=$$(find . -path ./.cluster -prune -o -path ./bin -prune -o -name '*.go' -exec gofmt -l {} +)
	[[ -z $$unformatted ]] || { printf 'gofmt -w these:\n%s\n' "$$unformatted" >&2; exit 1; }
	for module in . test/cluster; do
		(cd $$module && go vet -tags e2e,integration,browser ./... && $(GOLANGCI) run --allow-serial-runners --config "$$OLDPWD/.golangci.yaml" ./...)
	done
	$(ACTIONLINT)
	echo "lint: clean"

.PHONY: unit
unit: ## unit tests with the race detector
	@test/images/packages.sh /usr/bin/gcc=gcc /usr/include/stdlib.h=libc6-dev /usr/bin/strace=strace $(PEERS)
	CGO_ENABLED=1 go test -race ./...
	CGO_ENABLED=1 go test -race -tags portable ./proxy/tcp ./proxy/relay
	cd test/cluster && CGO_ENABLED=1 go test -race ./...

.PHONY: model
model: ## the model check of sleep and wake within wider bounds than those of unit, and many more random worlds
	TPA_MODEL=wide go test -count=1 -v -timeout 60m -run '^Test(EveryWorld|RandomWorlds)$$' ./proxy/sleep

.PHONY: integration
integration: bin/cluster bin/webhook bin/proxy bin/yes bin/helm3/helm bin/helm4/helm bin/install.yaml bin/promtool ## tests on a real API server without nodes (RUN=: only some)
	@$(BENCH_NEEDS)
	export KUBEBUILDER_ASSETS="$$(bin/cluster programs)" TPA_CLIENTS="$$PWD/bin"
	CGO_ENABLED=1 go test -race -tags integration -timeout 30m $(if $(RUN),-v -run '$(RUN)') $(INTEGRATION)
	$(if $(RUN),,$(BROWSER))

.PHONY: browser
browser: ## the status page in a headless Chromium, part of integration (pictures in bin/status-page/)
	$(BROWSER)

# The two Helms that people use, as they are.
bin/helm3/helm: HELM := helm.sh/helm/v3/cmd/helm@v3.22.0
bin/helm4/helm: HELM := helm.sh/helm/v4/cmd/helm@v4.3.1
bin/helm3/helm bin/helm4/helm:
	@echo "building $(HELM)"
	GOBIN="$$PWD/$(@D)" CGO_ENABLED=0 go install -trimpath $(HELM)

# What the alerts are tested with.
bin/promtool:
	@echo "building $@, which takes minutes"
	GOBIN="$$PWD/$(@D)" CGO_ENABLED=0 go install -trimpath github.com/prometheus/prometheus/cmd/promtool@v0.316.0

.PHONY: e2e
e2e: bin/cluster bin/soak bin/helm4/helm $(IMAGES) $(TEST_IMAGES) ## a short soak and the end-to-end tests on a two-node cluster (KEEP=1: leave it; RUN=: only some)
	@KEEP='$(KEEP)' RUN='$(RUN)' test/images/e2e.sh

bin/soak: FORCE
	CGO_ENABLED=0 go build -trimpath -o $@ ./test/soak

.PHONY: soak
soak: bin/soak bin/cluster $(IMAGES) $(TEST_IMAGES) $(SOAK_IMAGES) ## sleep and wake 1,000 times in 10 minutes and lose nothing (ARGS='--for=1h --seed=1')
	@KEEP='$(KEEP)' test/soak/soak.sh $(ARGS)

.PHONY: soak-faults
soak-faults: bin/soak bin/cluster $(IMAGES) $(TEST_IMAGES) $(SOAK_IMAGES) ## the same while things go wrong (FAULTS=proxy-killed,node-cut; FAULTS=mixed ARGS=--for=10m)
	@KEEP='$(KEEP)' test/soak/soak.sh --faults='$(or $(FAULTS),all)' --table=bin/faults.md --json=bin/faults.json $(ARGS)

.PHONY: faults
faults: bin/cluster $(IMAGES) $(TEST_IMAGES) $(SOAK_IMAGES) ## each fault of the soak by itself, on that cluster (KEEP=1, RUN=TestFaults/node-cut)
	@KEEP='$(KEEP)' RUN='$(RUN)' SUITE=soak/fault test/images/e2e.sh

bin/dashboard/dashboard: FORCE
	@CGO_ENABLED=0 go build -trimpath -o $@ ./test/dashboard

.PHONY: dashboard-picture
dashboard-picture: bin/dashboard/dashboard bin/soak bin/cluster $(IMAGES) $(TEST_IMAGES) $(SOAK_IMAGES) ## the dashboard's picture, of a soak that Prometheus watches (FOR=6m; KEEP=1: leave the cluster)
	@test/images/packages.sh /usr/bin/prometheus=prometheus /usr/bin/npm=npm /usr/bin/chromium=chromium
	KEEP='$(KEEP)' AROUND='bin/dashboard/dashboard --last=$(FOR) --json=bin/dashboard/data.json' test/soak/soak.sh --for=$(FOR) --keep $(ARGS)
	test/dashboard/draw.sh

.PHONY: bench
bench: bin/bench bin/cluster bin/proxy ## TPA's data path beside HAProxy, nginx and no proxy (ARGS='--links=loopback --cpus=1 --rounds=3')
	@$(BENCH_NEEDS)
	export KUBEBUILDER_ASSETS="$$(bin/cluster programs)"
	bin/bench --json=bin/bench.json --chart=bin/bench.svg $(ARGS)

.PHONY: bench-check
bench-check: bin/bench bin/cluster bin/proxy ## its ratios on one CPU beside those in test/bench/ranges.json
	@$(BENCH_NEEDS)
	export KUBEBUILDER_ASSETS="$$(bin/cluster programs)"
	bin/bench --cpus=1 --rounds=5 --check=test/bench/ranges.json $(ARGS)

.PHONY: bench-size
bench-size: bin/cluster bin/webhook bin/yes ## what 5,000 Services in 500 namespaces cost (ARGS='--services=200 --namespaces=20 --json=FILE')
	@export KUBEBUILDER_ASSETS="$$(bin/cluster programs)"
	go run ./test/size $(ARGS)

bin/wake: FORCE
	@CGO_ENABLED=0 go build -trimpath -o $@ ./test/wake

.PHONY: bench-wake
bench-wake: bin/wake bin/cluster $(IMAGES) $(TEST_IMAGES) ## a wake through TPA beside one by hand (KEEP=1: leave the cluster; ARGS='--rounds=5 --many-rounds=0')
	@KEEP='$(KEEP)' test/wake/wake.sh $(ARGS)

# Not trimmed, either.
bin/limits: $(shell find test/limits test/bench test/apiserver test/kit test/stat -name '*.go' -not -name '*_test.go') $(SOURCES)
	CGO_ENABLED=0 go build -o $@ ./test/limits

.PHONY: bench-budget bench-rest
bench-budget: bin/limits bin/cluster bin/proxy ## 20,000 connections to one proxy, and clients and backends that misbehave (ARGS='--conns=2000 --services=20')
bench-rest: bin/limits bin/cluster bin/proxy ## two proxies with 1,000 Services that nobody uses (ARGS='--services=50 --peace=10s')
bench-budget bench-rest: bench-%:
	@test/images/packages.sh /bin/ip=iproute2
	export KUBEBUILDER_ASSETS="$$(bin/cluster programs)"
	bin/limits $* $(ARGS)

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME=20s
	@go test -list '^Fuzz' ./... | awk '/^Fuzz/{names[++n] = $$1} /^ok/{for (; n > 0; n--) print $$2, names[n]}' |
	while read -r package name; do
		go test -run='^$$' -fuzz="^$$name\$$" -fuzztime=$(FUZZTIME) "$$package"
	done

##@ Release
.PHONY: release
release: ## images, kubectl-tpa, install.yaml, chart, SBOMs and checksums into dist/ (VERSION=v0.1.0, REGISTRY=)
	@VERSION='$(VERSION)' REGISTRY='$(REGISTRY)' DIST='$(DIST)' ONLY='$(ONLY)' manifests/release.sh

.PHONY: release-check
release-check: ## that two builds of a release are the same bytes
	@first=$$(mktemp -d) second=$$(mktemp -d)
	trap 'rm -rf "$$first" "$$second"' EXIT
	export VERSION='$(or $(VERSION),v0.0.0-check)' ONLY='$(ONLY)'
	DIST=$$first manifests/release.sh
	DIST=$$second manifests/release.sh
	diff -r "$$first" "$$second"
	echo "release-check: both builds are the same"

.PHONY: clean
clean: ## remove what was built (the cluster's Kubernetes stays cached)
	rm -rf bin dist

.PHONY: FORCE
FORCE:
