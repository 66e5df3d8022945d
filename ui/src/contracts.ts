// Made from the contracts by scripts/ui_types.py: change those, then run it again.

export type Action = "pause" | "resume" | "drain" | "restart";

export interface Agent {
  id: string;
  organization_id: string;
  name: string;
  description: string | null;
  system_prompt: string | null;
  status: string;
  capabilities: readonly string[];
  configuration: { readonly [name: string]: unknown };
  model_id: string | null;
  llm_config: { readonly [name: string]: unknown };
  runtime: string | null;
  team_id: string | null;
  environment_ids: readonly string[];
  skill_ids: readonly string[];
  execution_environment: ExecutionEnvironment | null;
  created_at: string;
  updated_at: string;
}

export interface AgentPatch {
  name: string | null;
  description: string | null;
  system_prompt: string | null;
  status: string | null;
  capabilities: readonly string[] | null;
  configuration: { readonly [name: string]: unknown } | null;
  model_id: string | null;
  llm_config: { readonly [name: string]: unknown } | null;
  runtime: string | null;
  team_id: string | null;
  environment_ids: readonly string[] | null;
  skill_ids: readonly string[] | null;
  execution_environment: ExecutionEnvironment | null;
}

export interface AgentSpec {
  name: string;
  system_prompt: string;
  model: string;
  model_is_default: boolean;
  price: Price | null;
  tools: readonly ToolSpec[];
  mcp_servers: readonly McpServer[];
  limits: Limits;
  temperature: number | null;
  max_output_tokens: number | null;
  approval_timeout_s: number;
}

export type Approval = "never" | "always";

export interface ApprovalAnswer {
  decision: "approved" | "denied";
  reason: string | null;
  by: string | null;
}

export interface ApprovalRequested {
  step: number;
  attempt: number;
  timestamp: string;
  type: "approval_requested";
  approval_id: string;
  tool_name: string;
  tool_input: { readonly [name: string]: unknown };
  expires_at: string;
}

export interface ApprovalResolved {
  step: number;
  attempt: number;
  timestamp: string;
  type: "approval_resolved";
  approval_id: string;
  decision: "approved" | "denied" | "expired";
  by: string | null;
  reason: string | null;
}

export interface AskedOf {
  note: string | null;
  until: string | null;
}

export interface AssistantMessage {
  role: "assistant";
  content: string;
  reasoning: string;
  tool_calls: readonly ToolCall[];
}

export interface CallReport {
  since: string;
  models: readonly ModelCalls[];
}

export interface Changed {
  kind: string;
  name: string;
  change: "created" | "configured" | "unchanged" | "deleted";
  fields: readonly string[];
}

export interface Check {
  name: string;
  state: "ok" | "failed";
  detail: string;
}

export interface ChosenModel {
  model: string;
}

export interface Connected {
  type: "connected";
  execution_id: string;
  timestamp: string;
}

export interface Connection {
  url: string;
  state: ConnectionState;
  since: string;
  embedded: boolean;
  version: string | null;
  authentication: string;
  last_contact: string | null;
  reconnects: number;
  samples: readonly Contact[];
  checks: { readonly [name: string]: string | null };
  temporal_host: string | null;
  configuration: { readonly [name: string]: unknown };
}

export type ConnectionState = "connecting" | "connected" | "lost";

export interface Contact {
  at: string;
  latency_ms: number | null;
  error: string | null;
}

export interface Container {
  ref: ContainerRef;
  state: ContainerState;
  exit_code: number | null;
  out_of_memory: boolean;
  restarts: number;
  started_at: string | null;
}

export interface ContainerRef {
  id: string;
  name: string;
  image: string;
  mode: Mode;
  docker: string;
}

export type ContainerState = "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead" | "gone";

export interface CrashReport {
  hostname: string;
  pid: number | null;
  worker_id: string | null;
  version: string | null;
  reason: string;
  exit_code: number | null;
  crashes_in_a_row: number;
  looping: boolean;
}

export interface Degraded {
  step: number;
  attempt: number;
  timestamp: string;
  type: "degraded";
  reason: string;
}

export interface Delegation {
  step: number;
  member: string;
  task: string;
  limits: Limits;
}

export interface Disconnect {
  reason: string;
  exit_code: number | null;
  error_message: string | null;
}

export interface DoctorReport {
  at: string;
  findings: readonly Finding[];
}

export interface Done {
  step: number;
  attempt: number;
  timestamp: string;
  type: "done";
  execution_id: string;
  status: Status;
  response: string;
  usage: Usage;
  metadata: { readonly [name: string]: unknown };
}

export interface EnvironmentPage {
  file: string;
  variables: readonly EnvironmentVariable[];
  restart_wanted: readonly string[];
}

export interface EnvironmentVariable {
  name: string;
  meaning: string;
  default: string | null;
  value: string | null;
  is_set: boolean;
  secret: boolean;
  origin: Origin;
  editable: boolean;
  needs_restart: boolean;
}

export interface ErrorRaised {
  step: number;
  attempt: number;
  timestamp: string;
  type: "error";
  error: string;
  error_type: string;
  execution_id: string;
  status: string;
}

export interface Execution {
  id: string;
  execution_id: string;
  execution_type: "agent" | "team";
  entity_id: string;
  entity_name: string | null;
  prompt: string;
  system_prompt: string | null;
  status: Status;
  status_reason: string | null;
  response: string | null;
  error_message: string | null;
  failure_reason: FailureReason | null;
  model: string | null;
  usage: Usage;
  execution_metadata: { readonly [name: string]: unknown };
  worker_queue_id: string | null;
  worker_id: string | null;
  parent_execution_id: string | null;
  team_name: string | null;
  key_id: string | null;
  priority: number | null;
  job_id: string | null;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  updated_at: string;
}

export interface ExecutionEnvironment {
  working_dir: string | null;
  env_vars: { readonly [name: string]: string };
  secrets: readonly string[];
  mcp_servers: { readonly [name: string]: unknown };
}

export interface ExecutionPatch {
  execution_metadata: { readonly [name: string]: unknown };
}

export type ExecutorType = "auto" | "specific_queue" | "environment";

export type FailureReason = "model_error" | "tool_error" | "budget_exhausted" | "timeout" | "worker_lost" | "policy_denied" | "internal";

export interface Finding {
  name: string;
  result: FindingResult;
  evidence: string;
  remedy: string | null;
  fix: string | null;
}

export type FindingResult = "ok" | "warn" | "fail" | "skip";

export interface Fired {
  firing_id: string;
  job_id: string;
  outcome: "pending" | "fired" | "skipped";
  execution_id: string | null;
  reason: string | null;
}

export interface Firing {
  id: string;
  job_id: string;
  trigger: TriggerType;
  scheduled_at: string;
  created_at: string;
  outcome: Outcome;
  reason: string | null;
  execution_id: string | null;
  execution_status: Status | null;
  count: number;
}

export interface GapDetected {
  type: "gap_detected";
  from: number;
  to: number;
  timestamp: string;
}

export interface Guest {
  key_name: string;
  key_scope: Scope;
  until: string;
}

export interface Heard {
  id: string;
  refused: string | null;
}

export interface Heartbeat {
  status: WorkerStatus;
  tasks_processed: number;
  current_task_id: string | null;
  worker_metadata: { readonly [name: string]: unknown };
  system_info: { readonly [name: string]: unknown } | null;
  logs: readonly string[];
  heard: Heard | null;
}

export interface HistoryComplete {
  type: "history_complete";
  execution_id: string;
  message_count: number;
  timestamp: string;
}

export interface InstallationRef {
  name: string;
  namespace: string;
  queue: string;
  kubeconfig: string;
  context: string;
}

export interface Installed {
  ref: InstallationRef;
  there: boolean;
  settled: boolean;
  wanted: number;
  updated: number;
  ready: number;
  image: string | null;
  autoscaler: string | null;
  least: number;
  pods: readonly PodSeen[];
  problems: readonly string[];
  changes: readonly Changed[];
}

export interface Job {
  id: string;
  name: string;
  description: string | null;
  enabled: boolean;
  trigger_type: TriggerType;
  cron_schedule: string | null;
  cron_timezone: string | null;
  planning_mode: string;
  entity_type: "agent" | "team";
  entity_id: string;
  entity_name: string | null;
  prompt_template: string;
  system_prompt: string | null;
  model: string | null;
  execution_environment: ExecutionEnvironment | null;
  executor_type: ExecutorType;
  worker_queue_name: string | null;
  environment_name: string | null;
  overlap: Overlap;
  catch_up_s: number;
  key_id: string;
  next_at: string | null;
  created_at: string;
  updated_at: string;
}

export interface JobPatch {
  name: string | null;
  description: string | null;
  enabled: boolean | null;
  trigger_type: TriggerType | null;
  cron_schedule: string | null;
  cron_timezone: string | null;
  planning_mode: string | null;
  entity_type: "agent" | "team" | null;
  entity_id: string | null;
  prompt_template: string | null;
  system_prompt: string | null;
  model: string | null;
  execution_environment: ExecutionEnvironment | null;
  executor_type: ExecutorType | null;
  worker_queue_name: string | null;
  environment_name: string | null;
  overlap: Overlap | null;
  catch_up_s: number | null;
  webhook_secret: string | null;
}

export interface Limits {
  max_model_calls: number | null;
  max_tool_calls: number | null;
  max_tokens: number | null;
  max_cost_usd: number | null;
  max_wall_s: number | null;
}

export interface Listed {
  queue: string;
  type: WorkerType;
  state: string;
  hostname: string | null;
  pid: number | null;
  worker_id: string | null;
  started_at: string | null;
  restarts: number | null;
  tasks: number | null;
  version: string | null;
}

export interface Live {
  at: string;
  workers: readonly PoolWorker[];
  connection: Connection;
  notices: readonly Notice[];
  minutes: readonly Minute[];
  backlog: { readonly [name: string]: number };
}

export interface LogLine {
  source: string;
  cursor: string;
  at: string | null;
  level: string | null;
  text: string;
}

export interface LogPage {
  lines: readonly LogLine[];
  before: string | null;
  after: string | null;
}

export interface LogSource {
  name: string;
  path: string;
  size: number;
  files: number;
}

export interface McpServer {
  name: string;
  config: { readonly [name: string]: unknown };
}

export interface Member {
  agent_id: string;
  agent: AgentSpec;
  description: string | null;
  workspace: Workspace;
}

export interface MessageAdded {
  step: number;
  attempt: number;
  timestamp: string;
  type: "message";
  role: "user" | "assistant" | "system";
  content: string;
  message_id: string;
  reasoning: string;
  tool_calls: readonly ToolCall[];
  finish_reason: string | null;
  model: string | null;
  usage: Usage | null;
}

export interface MessageChunk {
  step: number;
  attempt: number;
  timestamp: string;
  type: "message_chunk";
  message_id: string;
  content: string;
  offset: number;
}

export interface Minute {
  at: string;
  started: number;
  completed: number;
  failed: number;
}

export type Mode = "foreground" | "daemon";

export interface Model {
  id: string;
  value: string;
  label: string;
  provider: string;
  description: string | null;
  enabled: boolean;
  recommended: boolean;
  compatible_runtimes: readonly string[];
  capabilities: { readonly [name: string]: unknown };
  pricing: { readonly [name: string]: unknown } | null;
  display_order: number;
}

export interface ModelCalls {
  model: string;
  upstream: string | null;
  calls: number;
  errors: { readonly [name: string]: number };
  given_up: number;
  p50_ms: number | null;
  p95_ms: number | null;
  last: string;
}

export interface ModelStarted {
  step: number;
  attempt: number;
  timestamp: string;
  type: "model_started";
  model: string;
}

export interface ModelTest {
  model: string;
  answer: string;
  latency_ms: number;
  usage: Usage;
  cost_usd: number | null;
}

export interface NewAgent {
  name: string;
  description: string | null;
  system_prompt: string | null;
  capabilities: readonly string[];
  configuration: { readonly [name: string]: unknown };
  model_id: string | null;
  llm_config: { readonly [name: string]: unknown };
  runtime: string | null;
  team_id: string | null;
  environment_ids: readonly string[];
  skill_ids: readonly string[];
  execution_environment: ExecutionEnvironment | null;
}

export interface NewExecution {
  prompt: string;
  worker_queue_id: string | null;
  environment_id: string | null;
  keep_on_failure: boolean;
  stream: boolean;
  system_prompt: string | null;
  user_metadata: { readonly [name: string]: unknown };
  parent_execution_id: string | null;
  execution_environment: ExecutionEnvironment | null;
  execution_metadata: { readonly [name: string]: unknown };
  model: string | null;
  skip_model_validation: boolean;
  limits: { readonly [name: string]: unknown };
  priority: number;
}

export interface NewJob {
  name: string;
  description: string | null;
  enabled: boolean;
  trigger_type: TriggerType;
  cron_schedule: string | null;
  cron_timezone: string | null;
  planning_mode: string | null;
  entity_type: "agent" | "team";
  entity_id: string;
  prompt_template: string;
  system_prompt: string | null;
  model: string | null;
  execution_environment: ExecutionEnvironment | null;
  executor_type: ExecutorType;
  worker_queue_name: string | null;
  environment_name: string | null;
  overlap: Overlap | null;
  catch_up_s: number;
  webhook_secret: string | null;
}

export interface NewQueue {
  name: string;
  display_name: string | null;
  description: string | null;
  max_workers: number | null;
  heartbeat_interval: number;
  tags: readonly string[];
  settings: { readonly [name: string]: unknown };
  ephemeral: boolean;
  single_execution_mode: boolean;
  auto_cleanup_after_seconds: number | null;
  parent_execution_id: string | null;
}

export interface NewTeam {
  name: string;
  description: string | null;
  system_prompt: string | null;
  members: readonly string[];
  configuration: { readonly [name: string]: unknown };
  model_id: string | null;
  llm_config: { readonly [name: string]: unknown };
  environment_ids: readonly string[];
  execution_environment: ExecutionEnvironment | null;
}

export interface Notice {
  text: string;
  remedy: string | null;
}

export interface OpenCall {
  step: number;
  call: ToolCall;
  approved: boolean | null;
}

export type Origin = "default" | "environment" | "context" | "saved";

export type Outcome = "pending" | "fired" | "skipped" | "missed" | "refused";

export type Overlap = "skip" | "allow";

export interface Pause {
  note: string | null;
  since: string;
  until: string | null;
}

export interface PodSeen {
  name: string;
  ready: boolean;
  state: string;
  newest: boolean | null;
  reason: string | null;
  restarts: number;
  node: string | null;
  started_at: string | null;
}

export interface PoolWorker {
  key: string;
  listed: Listed;
  record: Record | null;
  report: WorkerReport | null;
  pause: Pause | null;
  remote: Worker | null;
  actions: readonly Action[];
  log: string | null;
}

export interface Price {
  input: number;
  output: number;
  cached: number;
  as_of: string;
}

export interface ProcessRef {
  pid: number;
  start: string;
}

export interface ProxyModel {
  model_name: string;
  params: { readonly [name: string]: unknown };
}

export interface ProxyRecord {
  owner: ProcessRef;
  process: ProcessRef | null;
  state: "running" | "starting" | "stopping" | "stopped" | "failed";
  reason: string | null;
  url: string;
  started_at: string | null;
  restarts: number;
  models: readonly ProxyModel[];
}

export interface ProxyStatus {
  owner: string;
  state: "running" | "starting" | "stopping" | "stopped" | "failed";
  reason: string | null;
  url: string | null;
  pid: number | null;
  memory: number | null;
  started_at: string | null;
  restarts: number;
  healthy: boolean | null;
  models: readonly ProxyModel[];
  calls: readonly ModelCalls[];
  actions: readonly ("start" | "stop" | "restart")[];
  log: string | null;
}

export interface Queue {
  id: string;
  environment_id: string;
  name: string;
  display_name: string | null;
  description: string | null;
  status: string;
  max_workers: number | null;
  heartbeat_interval: number;
  tags: readonly string[];
  settings: { readonly [name: string]: unknown };
  active_workers: number;
  paused_workers: number;
  lost_workers: number;
  crash_looping_workers: number;
  task_queue_name: string;
  ephemeral: boolean;
  single_execution_mode: boolean;
  auto_cleanup_after_seconds: number | null;
  parent_execution_id: string | null;
  created_at: string;
  updated_at: string;
}

export interface QueueBacklog {
  queue: string;
  executions: number;
  has_worker: boolean;
}

export interface QueuePatch {
  display_name: string | null;
  description: string | null;
  status: string | null;
  max_workers: number | null;
  heartbeat_interval: number | null;
  tags: readonly string[] | null;
  settings: { readonly [name: string]: unknown } | null;
  auto_cleanup_after_seconds: number | null;
}

export interface Ready {
  worker_id: string;
  health: string | null;
}

export interface ReasoningChunk {
  step: number;
  attempt: number;
  timestamp: string;
  type: "reasoning_chunk";
  message_id: string;
  content: string;
  offset: number;
}

export interface Record {
  queue: string;
  mode: Mode;
  state: UpkeepState;
  reason: string | null;
  supervisor: ProcessRef;
  worker: ProcessRef | null;
  worker_id: string | null;
  health: string | null;
  version: string;
  control_plane_url: string;
  log: string;
  started_with: StartedWith;
  started_at: string;
  worker_started_at: string | null;
  restarts: number;
  crashes_in_a_row: number;
  last_restart: Restart | null;
  next_start_at: string | null;
  updated_at: string;
}

export interface Registered {
  worker_id: string;
  worker_token: string;
  task_queue_name: string;
  temporal_namespace: string;
  temporal_host: string;
  temporal_api_key: string | null;
  temporal_tls: boolean;
  temporal_tunnel: boolean;
  organization_id: string;
  control_plane_url: string;
  heartbeat_interval: number;
  litellm_api_url: string;
  litellm_api_key: string;
  queue_name: string;
  environment_name: string;
  queue_id: string;
  queue_ephemeral: boolean;
  queue_single_execution: boolean;
  queue_settings: { readonly [name: string]: unknown };
}

export interface Registration {
  worker_sdk_version: string | null;
  control_plane_url: string | null;
  system_info: SystemInfo | null;
  environment_name: string | null;
  heartbeat_interval: number | null;
  single_execution: boolean;
  model: string | null;
}

export interface Restart {
  at: string;
  reason: string;
  status: number | null;
  crash: boolean;
}

export interface RunOutcome {
  status: "completed" | "failed" | "cancelled";
  response: string;
  failure_reason: FailureReason | null;
  error: string | null;
  usage: Usage;
  model_calls: number;
  tool_calls: number;
}

export interface RunStart {
  execution_id: string;
  agent: AgentSpec;
  prompt: string;
  priority: number;
  interactive: boolean;
  has_secrets: boolean;
  has_budget: boolean;
  handover_events: number | null;
  carried: RunState | null;
}

export interface RunState {
  messages: readonly (SystemMessage | UserMessage | AssistantMessage | ToolMessage)[];
  step: number;
  open_calls: readonly OpenCall[];
  mcp_tools: readonly ToolSpec[] | null;
  usage: Usage;
  model_calls: number;
  tool_calls: number;
  elapsed_s: number;
}

export type Scope = "admin" | "client" | "read" | "worker";

export interface Seen {
  queue: string;
  running: boolean;
  why: string | null;
  container: Container | null;
  installed: Installed | null;
  record: Record | null;
  report: WorkerReport | null;
  pause: Pause | null;
  elsewhere: readonly Worker[] | null;
}

export interface SessionMessage {
  role: "user" | "assistant" | "system";
  content: string;
  message_id: string;
  timestamp: string;
  tool_calls: readonly ToolCall[];
}

export interface ShownJob {
  id: string;
  name: string;
  description: string | null;
  enabled: boolean;
  trigger_type: TriggerType;
  cron_schedule: string | null;
  cron_timezone: string | null;
  planning_mode: string;
  entity_type: "agent" | "team";
  entity_id: string;
  entity_name: string | null;
  prompt_template: string;
  system_prompt: string | null;
  model: string | null;
  execution_environment: ExecutionEnvironment | null;
  executor_type: ExecutorType;
  worker_queue_name: string | null;
  environment_name: string | null;
  overlap: Overlap;
  catch_up_s: number;
  key_id: string;
  next_at: string | null;
  created_at: string;
  updated_at: string;
  webhook_url: string | null;
  webhook_signed: boolean;
  variables: readonly string[];
  next_firings: readonly string[];
  last_firing: Firing | null;
}

export interface SignIn {
  key: string;
}

export interface Slots {
  used: number | null;
  total: number;
}

export interface Spent {
  usage: Usage;
  model_calls: number;
  tool_calls: number;
}

export interface StartedWith {
  cwd: string;
  flags: { readonly [name: string]: string };
  max_log_size: number;
  max_log_backups: number;
  proxy_config: string | null;
}

export type Status = "pending" | "running" | "waiting_for_input" | "paused" | "completed" | "failed" | "cancelled";

export interface StatusChanged {
  step: number;
  attempt: number;
  timestamp: string;
  type: "status";
  status: Status;
  previous_status: Status | null;
  reason: string | null;
}

export interface Submitted {
  id: string;
  execution_id: string;
  workflow_id: string;
  status: Status;
  message: string;
}

export interface SystemInfo {
  hostname: string | null;
  platform: string | null;
  os_name: string | null;
  os_version: string | null;
  python_version: string | null;
  pid: number | null;
  cwd: string | null;
  cpu_count: number | null;
  memory_total: number | null;
  docker_available: boolean | null;
  models: readonly string[] | null;
}

export interface SystemMessage {
  role: "system";
  content: string;
}

export interface Team {
  id: string;
  organization_id: string;
  name: string;
  description: string | null;
  system_prompt: string | null;
  status: string;
  members: readonly string[];
  configuration: { readonly [name: string]: unknown };
  model_id: string | null;
  llm_config: { readonly [name: string]: unknown };
  environment_ids: readonly string[];
  execution_environment: ExecutionEnvironment | null;
  created_at: string;
  updated_at: string;
}

export interface TeamPatch {
  name: string | null;
  description: string | null;
  system_prompt: string | null;
  status: string | null;
  members: readonly string[] | null;
  configuration: { readonly [name: string]: unknown } | null;
  model_id: string | null;
  llm_config: { readonly [name: string]: unknown } | null;
  environment_ids: readonly string[] | null;
  execution_environment: ExecutionEnvironment | null;
}

export interface ToolCall {
  id: string;
  name: string;
  arguments: string;
}

export type ToolClass = "pure" | "retry_safe" | "once";

export interface ToolCompleted {
  step: number;
  attempt: number;
  timestamp: string;
  type: "tool_completed";
  tool_name: string;
  tool_execution_id: string;
  tool_status: "success" | "failed";
  tool_output: { readonly [name: string]: unknown };
  tool_error: string | null;
  duration_ms: number;
  call_id: string;
  outcome: string;
  content: string;
}

export interface ToolMessage {
  role: "tool";
  tool_call_id: string;
  content: string;
}

export interface ToolOutputChunk {
  step: number;
  attempt: number;
  timestamp: string;
  type: "tool_output_chunk";
  tool_execution_id: string;
  content: string;
  offset: number;
}

export interface ToolRequest {
  execution_id: string;
  step: number;
  call_id: string;
  tool: string;
  spec: ToolSpec | null;
  arguments: string;
  idempotency_key: string;
  server: McpServer | null;
}

export interface ToolResult {
  call_id: string;
  tool: string;
  status: ToolStatus;
  content: string;
  output: { readonly [name: string]: unknown };
  error: string | null;
  duration_ms: number;
  spent: Spent;
}

export interface ToolSpec {
  name: string;
  skill: string;
  description: string;
  parameters: { readonly [name: string]: unknown };
  tool_class: ToolClass;
  approval: Approval;
  timeout_s: number;
  output_limit: number;
  config: { readonly [name: string]: unknown };
}

export interface ToolStarted {
  step: number;
  attempt: number;
  timestamp: string;
  type: "tool_started";
  tool_name: string;
  tool_execution_id: string;
  tool_input: { readonly [name: string]: unknown };
  member_execution_id: string | null;
}

export type ToolStatus = "success" | "failed" | "denied" | "unknown";

export interface Trigger {
  variables: { readonly [name: string]: string };
  payload: { readonly [name: string]: unknown } | null;
}

export type TriggerType = "cron" | "webhook" | "manual";

export type UpkeepState = "starting" | "running" | "restarting" | "crash-looping" | "stopping" | "stopped" | "failed";

export interface Usage {
  input_tokens: number;
  output_tokens: number;
  cached_tokens: number;
  reasoning_tokens: number;
  cost_usd: number;
}

export interface UsageReported {
  step: number;
  attempt: number;
  timestamp: string;
  type: "usage";
  model: string;
  input_tokens: number;
  output_tokens: number;
  cached_tokens: number;
  reasoning_tokens: number;
  cost_usd: number | null;
}

export interface UsageSum {
  name: string | null;
  calls: number;
  usage: Usage;
}

export interface UserInput {
  message: string;
}

export interface UserMessage {
  role: "user";
  content: string;
}

export interface Wanted {
  wish: Wish;
}

export interface Wire {
}

export interface Wish {
  id: string;
  action: Action;
  note: string | null;
  until: string | null;
  asked_by: string;
  asked_at: string;
  heard_at: string | null;
  refused: string | null;
}

export interface Worker {
  id: string;
  queue_id: string;
  queue_name: string;
  environment_id: string;
  status: WorkerStatus;
  hostname: string | null;
  pid: number | null;
  version: string | null;
  tasks_processed: number;
  current_task_id: string | null;
  worker_metadata: { readonly [name: string]: unknown };
  system_info: { readonly [name: string]: unknown };
  registered_at: string;
  last_heartbeat: string;
  disconnected_at: string | null;
  disconnect_reason: string | null;
  wish: Wish | null;
}

export interface WorkerReport {
  worker_id: string | null;
  queue: string;
  queue_id: string | null;
  hostname: string;
  pid: number;
  version: string;
  status: WorkerStatus;
  ready: boolean;
  taking: boolean;
  reason: string | null;
  started_at: string;
  uptime_s: number;
  activities: Slots;
  workflows: Slots;
  executions: readonly string[];
  tasks_completed: number;
  tasks_failed: number;
  average_task_s: number;
  last_poll: string | null;
  last_heartbeat: string | null;
  heartbeats_failed: number;
  events_waiting: number;
  memory: number;
  memory_limit: number | null;
  cpu_percent: number;
  backlog: number | null;
  control_plane_url: string;
  temporal_host: string | null;
  metrics: string | null;
  pause: Pause | null;
}

export type WorkerStatus = "active" | "paused" | "draining" | "lost" | "disconnected" | "crash_looping";

export type WorkerType = "local" | "daemon" | "docker" | "kubernetes" | "remote";

export interface Workspace {
  working_dir: string | null;
  env_vars: { readonly [name: string]: string };
  secrets: readonly string[];
}

export interface ConsoleSession {
  csrf: string;
  scope: "pool" | "fleet";
  version: string;
  build: string;
  os: string;
  python: string;
  hostname: string;
  home: string | null;
  control_plane_url: string;
  guest: Guest | null;
}

export interface ExecutionsSession {
  execution_id: string;
  status: Status;
  messages: readonly SessionMessage[];
}
