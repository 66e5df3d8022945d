"""The environment variables of the product, each declared once."""

from .quantities import cpus, duration, size
from .source import ENV_FILE as ENV_FILE_NAME
from .source import Variable, address, choice, flag, proxy, text, url, whole

HOME = Variable("KUBIYA_HOME", "Where everything of the product is kept.", "", text, shown_default="~/.kubiya")
CONFIG = Variable("KUBIYA_CONFIG", "The file of contexts.", "", text, shown_default="~/.kubiya/config")
CONTEXT = Variable("KUBIYA_CONTEXT", "The context to use, instead of the file's current one.", "", text)
ENV_FILE = Variable(
    ENV_FILE_NAME, "A file of NAME=value lines, for variables that the environment does not set.", "", text
)
API_KEY = Variable("KUBIYA_API_KEY", "The key for the control plane.", "", text, secret=True)
BASE_URL = Variable("KUBIYA_CONTROL_PLANE_BASE_URL", "Address of the control plane; wins over the next two.", "", url)
GATEWAY_URL = Variable("CONTROL_PLANE_GATEWAY_URL", "Address of the control plane; wins over the next one.", "", url)
CONTROL_PLANE_URL = Variable(
    "CONTROL_PLANE_URL", "Address of the control plane; unset means the embedded one on this machine.", "", url
)
NO_COLOR = Variable("NO_COLOR", "Any value turns colours off.", "", text)

QUEUE_ID = Variable("QUEUE_ID", "The queue that a worker serves.", "", text)
ENVIRONMENT_NAME = Variable("ENVIRONMENT_NAME", "The environment that a new queue is created in.", "default", text)
WORKER_HOSTNAME = Variable(
    "WORKER_HOSTNAME", "The name a worker gives itself.", "", text, shown_default="auto-detected"
)
HEARTBEAT_INTERVAL = Variable("HEARTBEAT_INTERVAL", "Seconds between heartbeats.", 30, whole(15, 300))
LOG_LEVEL = Variable("LOG_LEVEL", "Least level that is logged.", "INFO", choice("DEBUG", "INFO", "WARN", "ERROR"))
LOG_FORMAT = Variable("LOG_FORMAT", "Log lines for people (text) or programs (json).", "text", choice("text", "json"))
KUBIYA_DEBUG = Variable("KUBIYA_DEBUG", "Log at DEBUG and show stack traces.", False, flag)
MAX_CONCURRENT_ACTIVITIES = Variable(
    "MAX_CONCURRENT_ACTIVITIES", "Model and tool calls that a worker runs at once.", 10, whole(1, 1000)
)
MAX_CONCURRENT_WORKFLOWS = Variable(
    "MAX_CONCURRENT_WORKFLOWS", "Workflow tasks that a worker decides at once.", 5, whole(2, 1000)
)
ACTIVITY_TIMEOUT = Variable(
    "ACTIVITY_TIMEOUT", "Seconds that one model or tool call may take on this worker.", 600, whole(1, 86_400)
)
MCP_MAX_SERVERS = Variable(
    "KUBIYA_MCP_MAX_SERVERS", "Connections to MCP servers that a worker keeps at once.", 32, whole(1, 1000)
)
MCP_IDLE_TIMEOUT = Variable(
    "KUBIYA_MCP_IDLE_TIMEOUT",
    "How long an MCP server that nobody calls is kept; the next call starts it again.",
    600,
    duration(1, 7 * 86_400),
)
SINGLE_EXECUTION = Variable("SINGLE_EXECUTION", "Take one execution, then end.", False, flag)
IDLE_TIMEOUT = Variable(
    "KUBIYA_IDLE_TIMEOUT", "End a worker that had nothing to do for this long (90s, 10m).", 0, duration(1, 30 * 86_400)
)
MAX_TASKS = Variable("KUBIYA_MAX_TASKS", "End a worker after so many model and tool calls.", 0, whole(1, 1_000_000_000))
MAX_UPTIME = Variable("KUBIYA_MAX_UPTIME", "End a worker after this long (12h, 7d).", 0, duration(1, 365 * 86_400))
MEMORY_LIMIT = Variable(
    "MEMORY_LIMIT",
    "Memory that a worker and its tools may take (512Mi, 2Gi); it drains before it is reached.",
    0,
    size(192 * 1024**2, 1024**5),
)
CPU_LIMIT = Variable(
    "CPU_LIMIT", "CPUs that a worker may take (500m, 2): ten calls at once for each.", 0.0, cpus(0.1, 1024.0)
)
HEALTH_ADDR = Variable(
    "KUBIYA_HEALTH_ADDR",
    "host:port of a worker's health and metrics over HTTP; port 0 is any free one.",
    "127.0.0.1:0",
    address,
)
WORKER_IMAGE = Variable(
    "KUBIYA_WORKER_IMAGE",
    "The image of workers in containers; one that is named here or by a flag may be pulled.",
    "",
    text,
    shown_default="kubiya-workers:VERSION, made by `make image`",
)
DOCKER_HOST = Variable("DOCKER_HOST", "The Docker daemon for workers in containers.", "", text, shown_default="local")
KUBECONFIG = Variable(
    "KUBECONFIG",
    "The clusters of `kubiya worker install`, as kubectl reads it.",
    "",
    text,
    shown_default="~/.kube/config",
)
METRICS_ENABLED = Variable("METRICS_ENABLED", "Serve Prometheus metrics on METRICS_PORT.", False, flag)
METRICS_PORT = Variable(
    "METRICS_PORT", "The port for Prometheus metrics; the next free one when taken.", 9090, whole(0, 65_535)
)
HTTP_PROXY = Variable("HTTP_PROXY", "A proxy for http:// addresses beyond this machine.", "", proxy, secret=True)
HTTPS_PROXY = Variable(
    "HTTPS_PROXY", "A proxy for https:// addresses beyond this machine, and for Temporal.", "", proxy, secret=True
)
ALL_PROXY = Variable("ALL_PROXY", "A proxy for addresses that the two before leave out.", "", proxy, secret=True)
NO_PROXY = Variable("NO_PROXY", "Hosts, separated by commas, that are reached without a proxy.", "", text)
SSL_CERT_FILE = Variable(
    "SSL_CERT_FILE", "Certificate authorities (PEM) to trust.", "", text, shown_default="the system's"
)
SSL_CERT_DIR = Variable(
    "SSL_CERT_DIR", "A directory of them, as `openssl rehash` makes it.", "", text, shown_default="the system's"
)
REQUESTS_CA_BUNDLE = Variable(
    "REQUESTS_CA_BUNDLE", "The same as SSL_CERT_FILE or SSL_CERT_DIR, which win over it.", "", text
)
ENABLE_LOCAL_PROXY = Variable("KUBIYA_ENABLE_LOCAL_PROXY", "Run a LiteLLM beside the worker.", False, flag)
PROXY_CONFIG_FILE = Variable("KUBIYA_PROXY_CONFIG_FILE", "The configuration of that LiteLLM: YAML or JSON.", "", text)
PROXY_CONFIG_JSON = Variable("KUBIYA_PROXY_CONFIG_JSON", "The same, as text.", "", text, secret=True)
LITELLM_API_BASE = Variable("LITELLM_API_BASE", "A gateway of your own for a worker's model calls.", "", url)
LITELLM_API_KEY = Variable("LITELLM_API_KEY", "The key for LITELLM_API_BASE.", "", text, secret=True)
LITELLM_MODEL = Variable("KUBIYA_LITELLM_MODEL", "The model at LITELLM_API_BASE for runs that name none.", "", text)
WEBUI = Variable(
    "KUBIYA_WEBUI", "Serve the web interface: beside the workers of this machine, and at a control plane.", True, flag
)
WEBUI_PORT = Variable(
    "KUBIYA_WEBUI_PORT", "The port of the web interface; the next free one when taken.", 8088, whole(0, 65_535)
)
WEBUI_HOST = Variable("KUBIYA_WEBUI_HOST", "The address that the web interface listens on.", "127.0.0.1", text)
WEBUI_ALLOWED_HOSTS = Variable(
    "KUBIYA_WEBUI_ALLOWED_HOSTS",
    "Names, separated by commas, by which the web interface is reached besides those of loopback.",
    "",
    text,
)
READY_FD = Variable(
    "KUBIYA_READY_FD", "A descriptor to say on that a worker is ready; set by what starts it.", -1, whole(-1, 1 << 20)
)
LOG_FILE = Variable(
    "KUBIYA_LOG_FILE", "Where a worker logs on when nobody reads its output; set by what starts it.", "", text
)
MODEL = Variable("KUBIYA_MODEL", "The model for every call, whatever the agent says.", "", text)
MODEL_OVERRIDE = Variable("KUBIYA_MODEL_OVERRIDE", "The same; KUBIYA_MODEL wins over it.", "", text)
SKIP_MODEL_VALIDATION = Variable(
    "KUBIYA_SKIP_MODEL_VALIDATION", "Do not ask whether a gateway has a model before it is used.", False, flag
)

SERVER_HOST = Variable("KUBIYA_SERVER_HOST", "The address the control plane listens on.", "127.0.0.1", text)
SERVER_PORT = Variable("KUBIYA_SERVER_PORT", "The port the control plane listens on.", 7466, whole(0, 65_535))
TLS_CERT = Variable(
    "KUBIYA_TLS_CERT", "The control plane's certificate (PEM, with its chain): it serves https then.", "", text
)
TLS_KEY = Variable("KUBIYA_TLS_KEY", "The key of that certificate (PEM), not encrypted.", "", text)
PUBLIC_URL = Variable(
    "KUBIYA_PUBLIC_URL",
    "Where workers that this control plane starts in containers or pods, and senders to webhooks, reach it.",
    "",
    url,
    shown_default="the address it listens on",
)
PROVISIONER = Variable(
    "KUBIYA_PROVISIONER",
    "What starts a worker for an execution when none is live.",
    "",
    choice("process", "docker", "kubernetes", "none"),
    shown_default="process on loopback with the embedded Temporal, else none",
)
WARM_WORKERS = Variable(
    "KUBIYA_WARM_WORKERS", "Workers on demand that are started before anybody asks.", 0, whole(0, 100)
)
MAX_PROVISIONED = Variable(
    "KUBIYA_MAX_PROVISIONED", "Workers on demand at once; executions beyond them wait.", 8, whole(1, 1000)
)
DATABASE_URL = Variable(
    "DATABASE_URL",
    "PostgreSQL to store in (postgresql://user@host/name).",
    "",
    text,
    secret=True,
    shown_default="SQLite in ~/.kubiya/server/",
)
KEEP_EXECUTIONS = Variable(
    "KUBIYA_KEEP_EXECUTIONS",
    "How long executions are kept once they are over (90d).",
    0,
    duration(3600, 3650 * 86_400),
    shown_default="for ever",
)
TEMPORAL_HOST = Variable(
    "TEMPORAL_HOST", "host:port of your Temporal; unset means an embedded one.", "", text, shown_default="embedded"
)
TEMPORAL_NAMESPACE = Variable("TEMPORAL_NAMESPACE", "The namespace to work in.", "default", text)
TEMPORAL_API_KEY = Variable("TEMPORAL_API_KEY", "The key for Temporal Cloud.", "", text, secret=True)
TEMPORAL_WORKER_API_KEY = Variable(
    "TEMPORAL_WORKER_API_KEY", "The key for Temporal Cloud that workers are handed.", "", text, secret=True
)
TEMPORAL_TLS = Variable("TEMPORAL_TLS", "Use TLS towards Temporal; implied by a key or a certificate.", False, flag)
TEMPORAL_TLS_CERT = Variable("TEMPORAL_TLS_CERT", "Path of the client certificate (PEM).", "", text)
TEMPORAL_TLS_KEY = Variable("TEMPORAL_TLS_KEY", "Path of the client certificate's key (PEM).", "", text)
TEMPORAL_TLS_CA = Variable("TEMPORAL_TLS_CA", "Path of the certificate authority to trust (PEM).", "", text)
TEMPORAL_TLS_SERVER_NAME = Variable("TEMPORAL_TLS_SERVER_NAME", "The name that Temporal's certificate bears.", "", text)
TEMPORAL_TUNNEL = Variable(
    "KUBIYA_TEMPORAL_TUNNEL",
    "Workers of other hosts reach your Temporal through the control plane, as they always do an embedded one.",
    False,
    flag,
)
TEMPORAL_PORT = Variable("KUBIYA_TEMPORAL_PORT", "The port the embedded Temporal prefers.", 7233, whole(1, 65_535))

LLM_BASE_URL = Variable("KUBIYA_LLM_BASE_URL", "Any OpenAI-compatible server to send model calls to.", "", url)
LLM_API_KEY = Variable("KUBIYA_LLM_API_KEY", "The key for KUBIYA_LLM_BASE_URL.", "", text, secret=True)
LLM_MODEL = Variable("KUBIYA_LLM_MODEL", "The default model of the gateway.", "", text)
LLM_CONFIG = Variable("KUBIYA_LLM_CONFIG", "A LiteLLM configuration for the gateway: YAML or JSON.", "", text)
MISTRAL_API_KEY = Variable("MISTRAL_API_KEY", "Offer Mistral's models, as mistral/NAME.", "", text, secret=True)
GROQ_API_KEY = Variable("GROQ_API_KEY", "Offer Groq's models, as groq/NAME.", "", text, secret=True)
GEMINI_API_KEY = Variable("GEMINI_API_KEY", "Offer Google's models, as gemini/NAME.", "", text, secret=True)
OPENROUTER_API_KEY = Variable(
    "OPENROUTER_API_KEY", "Offer OpenRouter's models, as openrouter/NAME.", "", text, secret=True
)
ANTHROPIC_API_KEY = Variable(
    "ANTHROPIC_API_KEY", "Offer Anthropic's models, as anthropic/NAME, through LiteLLM.", "", text, secret=True
)
AZURE_API_KEY = Variable(
    "AZURE_API_KEY", "Offer Azure's deployments, as azure/NAME, through LiteLLM.", "", text, secret=True
)
AZURE_API_BASE = Variable("AZURE_API_BASE", "Where Azure's deployments are reached.", "", url)
BEDROCK_API_KEY = Variable(
    "AWS_BEARER_TOKEN_BEDROCK", "Offer Bedrock's models, as bedrock/NAME, through LiteLLM.", "", text, secret=True
)
OPENAI_API_KEY = Variable("OPENAI_API_KEY", "Offer OpenAI's models.", "", text, secret=True)
OTLP_ENDPOINT = Variable("OTEL_EXPORTER_OTLP_ENDPOINT", "A collector (OTLP over HTTP) for traces of runs.", "", url)
OTLP_TRACES_ENDPOINT = Variable(
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "The same for traces alone, with its whole path.", "", url
)
OTLP_HEADERS = Variable("OTEL_EXPORTER_OTLP_HEADERS", "Headers for the collector (a=b,c=d).", "", text, secret=True)
OTLP_PROTOCOL = Variable(
    "OTEL_EXPORTER_OTLP_PROTOCOL", "How the collector is spoken to.", "http/protobuf", choice("http/protobuf")
)
OTEL_TRACES_EXPORTER = Variable("OTEL_TRACES_EXPORTER", "none turns traces off.", "otlp", text)
OTEL_DISABLED = Variable("OTEL_SDK_DISABLED", "Turns traces off.", False, flag)
OTEL_CONTENT = Variable(
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "Traces hold prompts, answers and tool results.", False, flag
)
OPENAI_BASE_URL = Variable("OPENAI_BASE_URL", "Where OpenAI's models are reached.", "https://api.openai.com/v1", url)
OLLAMA_HOST = Variable("OLLAMA_HOST", "Where an Ollama is looked for.", "http://127.0.0.1:11434", text)

AnyVariable = Variable[str] | Variable[int] | Variable[float] | Variable[bool]

ALL: tuple[AnyVariable, ...] = (
    HOME,
    CONFIG,
    CONTEXT,
    ENV_FILE,
    API_KEY,
    BASE_URL,
    GATEWAY_URL,
    CONTROL_PLANE_URL,
    NO_COLOR,
    QUEUE_ID,
    ENVIRONMENT_NAME,
    WORKER_HOSTNAME,
    HEARTBEAT_INTERVAL,
    LOG_LEVEL,
    LOG_FORMAT,
    KUBIYA_DEBUG,
    MAX_CONCURRENT_ACTIVITIES,
    MAX_CONCURRENT_WORKFLOWS,
    ACTIVITY_TIMEOUT,
    MCP_MAX_SERVERS,
    MCP_IDLE_TIMEOUT,
    SINGLE_EXECUTION,
    IDLE_TIMEOUT,
    MAX_TASKS,
    MAX_UPTIME,
    MEMORY_LIMIT,
    CPU_LIMIT,
    HEALTH_ADDR,
    WORKER_IMAGE,
    DOCKER_HOST,
    KUBECONFIG,
    METRICS_ENABLED,
    METRICS_PORT,
    HTTP_PROXY,
    HTTPS_PROXY,
    ALL_PROXY,
    NO_PROXY,
    SSL_CERT_FILE,
    SSL_CERT_DIR,
    REQUESTS_CA_BUNDLE,
    ENABLE_LOCAL_PROXY,
    PROXY_CONFIG_FILE,
    PROXY_CONFIG_JSON,
    LITELLM_API_BASE,
    LITELLM_API_KEY,
    LITELLM_MODEL,
    WEBUI,
    WEBUI_PORT,
    WEBUI_HOST,
    WEBUI_ALLOWED_HOSTS,
    READY_FD,
    LOG_FILE,
    MODEL,
    MODEL_OVERRIDE,
    SKIP_MODEL_VALIDATION,
    SERVER_HOST,
    SERVER_PORT,
    KEEP_EXECUTIONS,
    TLS_CERT,
    TLS_KEY,
    PUBLIC_URL,
    PROVISIONER,
    WARM_WORKERS,
    MAX_PROVISIONED,
    DATABASE_URL,
    TEMPORAL_HOST,
    TEMPORAL_NAMESPACE,
    TEMPORAL_API_KEY,
    TEMPORAL_WORKER_API_KEY,
    TEMPORAL_TLS,
    TEMPORAL_TLS_CERT,
    TEMPORAL_TLS_KEY,
    TEMPORAL_TLS_CA,
    TEMPORAL_TLS_SERVER_NAME,
    TEMPORAL_TUNNEL,
    TEMPORAL_PORT,
    LLM_BASE_URL,
    LLM_API_KEY,
    LLM_MODEL,
    LLM_CONFIG,
    MISTRAL_API_KEY,
    GROQ_API_KEY,
    GEMINI_API_KEY,
    OPENROUTER_API_KEY,
    ANTHROPIC_API_KEY,
    AZURE_API_KEY,
    AZURE_API_BASE,
    BEDROCK_API_KEY,
    OPENAI_API_KEY,
    OTLP_ENDPOINT,
    OTLP_TRACES_ENDPOINT,
    OTLP_HEADERS,
    OTLP_PROTOCOL,
    OTEL_TRACES_EXPORTER,
    OTEL_DISABLED,
    OTEL_CONTENT,
    OPENAI_BASE_URL,
    OLLAMA_HOST,
)
