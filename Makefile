# A thin list of targets; what they do is in lab/. Run `make` alone to see them.
#
#   make up STACK=p3 ARGS="--config iot:pollInterval=60"
#
# STACK is p1, p2, p3 or platform (p3 when not set); ARGS is handed on to the tool that a target runs. Make gives what
# is set on its command line to the environment, too: make up INSTALL_DOCKER=1
SHELL := /bin/sh
STACK ?= p3
PART = --stack $(STACK)
.DEFAULT_GOAL := help
# The order of prerequisites matters, and the lab does by itself at the same time what can be done so.
.NOTPARALLEL:

READY := bash lab/bootstrap.sh
LAB := .venv/bin/python -m lab

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: ## bring a stack up: everything that it needs, then `pulumi up`
	@$(READY) && $(LAB) up $(PART) -- $(ARGS)

.PHONY: destroy
destroy: ## remove everything that a stack has made
	@$(READY) && $(LAB) destroy $(PART) -- $(ARGS)

.PHONY: setup
setup: ## fetch what a stack needs, without bringing it up
	@$(READY) && $(LAB) setup $(PART)

.PHONY: doctor
doctor: ## check what a stack needs on this machine, a line per need
	@$(READY) && $(LAB) doctor $(PART)

.PHONY: preview
preview: ## what `up` would do: of STACK, or of all stacks from an empty state; POLICY=1 holds it to policy/
	@$(READY) $(if $(POLICY),dev) && $(LAB) preview $(if $(filter file,$(origin STACK)),,$(PART)) -- $(ARGS)

.PHONY: refresh
refresh: ## compare a stack's state with what is there
	@$(READY) && $(LAB) refresh $(PART) -- $(ARGS)

.PHONY: outputs
outputs: ## a stack's outputs; secret ones with ARGS=--show-secrets
	@$(READY) && $(LAB) outputs $(PART) -- $(ARGS)

.PHONY: status
status: ## a stack at a glance
	@$(READY) && $(LAB) status $(PART) $(ARGS)

.PHONY: alerts
alerts: ## what fires and what is about to
	@$(READY) && $(LAB) alerts $(PART) $(ARGS)

.PHONY: dashboard
dashboard: ## the last hour in plots, as one HTML file; a day with ARGS="--minutes 1440"
	@$(READY) && $(LAB) dashboard $(PART) $(ARGS)

.PHONY: dora
dora: ## how often, how fast and how well each environment is changed: DORA's four metrics
	@$(READY) && $(LAB) dora $(PART) $(ARGS)

.PHONY: password
password: ## the passwords of Argo CD and Gitea
	@$(READY) && $(LAB) password $(PART)

.PHONY: release
release: ## put a version of the app live through Git: make release VERSION=v2
	@$(READY) && $(LAB) release $(PART) $(ARGS) "$(VERSION)"

.PHONY: promote
promote: ## bring to an environment what runs in the one before it: make promote TO=staging
	@$(READY) && $(LAB) promote $(PART) $(if $(FROM),--from "$(FROM)") $(ARGS) "$(TO)"

.PHONY: approve
approve: ## approve, merge and sync what waits for an environment: make approve ENV=prod
	@$(READY) && $(LAB) approve $(PART) $(ARGS) "$(ENV)"

.PHONY: rollback
rollback: ## take an environment's last change back, through Git: make rollback ENV=prod
	@$(READY) && $(LAB) rollback $(PART) $(ARGS) "$(ENV)"

.PHONY: seal
seal: ## put a secret into Git, sealed: make seal NAME=db KEY=password ENV=dev; the value is asked for, or piped
	@$(READY) && $(LAB) seal $(PART) $(if $(ENV),--env "$(ENV)") $(ARGS) "$(NAME)" "$(KEY)"

.PHONY: ci
ci: ## the last runs of the app's pipeline, or the log of one: make ci RUN=3
	@$(READY) && $(LAB) ci $(PART) $(RUN)

.PHONY: clone
clone: ## clone the repository that Argo CD follows: make clone DIR=../gitops
	@$(READY) && $(LAB) clone $(PART) $(if $(DIR),"$(DIR)")

.PHONY: check
check: ## the defence's check-list, a line per point
	@$(READY) && $(LAB) check $(PART)

.PHONY: ssh
ssh: ## a shell in a machine of p1 or p2: make ssh STACK=p1 MACHINE=agent
	@$(READY) && $(LAB) ssh $(PART) $(if $(MACHINE),--machine "$(MACHINE)") -- $(ARGS)

.PHONY: kubectl
kubectl: ## kubectl in a stack's cluster: make kubectl ARGS="get nodes"; CLUSTER=prod for a further one
	@$(READY) && $(LAB) kubectl $(PART) $(if $(CLUSTER),--cluster "$(CLUSTER)") -- $(ARGS)

.PHONY: plan
plan: ## a stack's resources as a tree, without any tool
	@$(READY) && $(LAB) plan $(PART)

.PHONY: render
render: ## a stack's Kubernetes objects as plain YAML, without any tool
	@$(READY) && $(LAB) render $(PART)

.PHONY: validate
validate: ## check what the stacks would create, or the manifests in DIR, without a cluster
	@$(READY) dev && $(LAB) validate $(if $(DIR),--dir "$(DIR)")

.PHONY: docs
docs: ## write the pages and pictures that come from the program
	@$(READY) dev && $(LAB) docs

.PHONY: test
test: ## every tier of tests whose tools are here
	@$(READY) dev && $(LAB) test $(ARGS)

.PHONY: lint
lint: ## ruff, mypy, shellcheck, yamllint
	@$(READY) dev && $(LAB) lint

.PHONY: faults
faults: ## break the labs in every way, and write down what is seen and lost; ARGS=--quick takes minutes
	@$(READY) dev && $(LAB) faults $(ARGS)

.PHONY: bench
bench: ## measure p3 against a plain script, or the platform against p3
	@$(READY) dev && $(LAB) bench $(STACK) $(ARGS)

.PHONY: lock
lock: ## compile requirements*.in into hash-locked requirements*.txt
	@$(READY) dev && $(LAB) lock -- $(ARGS)

.PHONY: clean
clean: ## remove .venv and .lab, when no stack is up
	@$(READY) && $(LAB) clean $(ARGS)
