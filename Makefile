.PHONY: run test check setup dist image bench docs manifests screenshots lock format clean

KUBIYA := .venv/bin/kubiya
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

run: setup ## Run the main job: an ephemeral worker on this machine executes a prompt with a real tool
	$(KUBIYA) exec --local 'Run `git log --oneline -5` and `ls -la`' --yes

test: setup ## Every test; what they need is installed by setup
	.venv/bin/pytest -n auto --dist worksteal

check: setup ## Format, lint, types, layers
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright
	.venv/bin/lint-imports
	@if [ -d ui/node_modules ]; then echo "npm run check"; cd ui && npm run --silent check; fi

setup: ## .venv with the kubiya command; as root on Debian also the system packages of the tests
	@scripts/setup

dist: setup ## The wheel and the source distribution, in dist/, with the pages of the web interface
	@test -f src/kubiya_workers/console/static/index.html || \
	  { echo "The pages of the web interface are not built, and would be missing: install Node.js 20 or newer." >&2; exit 1; }
	.venv/bin/python -m hatchling build -t sdist -t wheel -d dist

image: ## The images of this version, for Docker; DOCKER_BUILD_FLAGS are passed on
	docker build $(DOCKER_BUILD_FLAGS) -f deploy/Dockerfile --target worker -t kubiya-workers:$(VERSION) .
	docker build $(DOCKER_BUILD_FLAGS) -f deploy/Dockerfile --target control-plane -t kubiya-control-plane:$(VERSION) .

bench: setup ## The budgets of the design, beside bare Temporal, in one run
	.venv/bin/python -m benchmarks

docs: setup ## The manual, from the commands and settings themselves
	.venv/bin/python scripts/manual.py

manifests: setup ## deploy/kubernetes: the manifests and the Helm chart, from what an installation is
	.venv/bin/python scripts/manifests.py

screenshots: setup ## Pictures of every page of the web interface, from a real installation
	.venv/bin/python -m tests.ui.screenshots docs/pictures

lock: ## Pin every dependency with its hashes
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --upgrade \
	  --extra server --extra docker --extra kubernetes --group dev pyproject.toml --output-file requirements.lock
	.venv/bin/python -c 'from kubiya_workers.launchers.litellm.install import WANTED; print(*WANTED, sep="\\n")' | \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
	  - --output-file src/kubiya_workers/launchers/litellm/requirements.txt

format: ## Bring the code into its form
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .

clean:
	rm -rf .venv .tools dist build
