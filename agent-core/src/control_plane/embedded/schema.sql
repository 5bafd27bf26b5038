-- The embedded control plane's tables. Names, states and meanings are those of the Attune schema (schema `attune` of
-- a PostgreSQL control plane), as far as a worker and whoever submits to it need them, so that both tell the same
-- story. JSON is text, timestamps are RFC 3339 text in UTC with microseconds, lists are JSON arrays.

CREATE TABLE pack (
    id          INTEGER PRIMARY KEY,
    ref         TEXT NOT NULL UNIQUE,
    label       TEXT NOT NULL,
    description TEXT,
    version     TEXT NOT NULL,
    created     TEXT NOT NULL,
    updated     TEXT NOT NULL
) STRICT;

CREATE TABLE runtime (
    id               INTEGER PRIMARY KEY,
    ref              TEXT NOT NULL UNIQUE,
    pack             INTEGER REFERENCES pack (id) ON DELETE CASCADE,
    pack_ref         TEXT,
    description      TEXT,
    name             TEXT NOT NULL,
    aliases          TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(aliases)),
    distributions    TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(distributions)),
    execution_config TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(execution_config)),
    created          TEXT NOT NULL,
    updated          TEXT NOT NULL
) STRICT;

CREATE TABLE runtime_version (
    id               INTEGER PRIMARY KEY,
    runtime          INTEGER NOT NULL REFERENCES runtime (id) ON DELETE CASCADE,
    runtime_ref      TEXT NOT NULL,
    version          TEXT NOT NULL,
    execution_config TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(execution_config)),
    distributions    TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(distributions)),
    is_default       INTEGER NOT NULL DEFAULT 0,
    created          TEXT NOT NULL,
    updated          TEXT NOT NULL,
    UNIQUE (runtime, version)
) STRICT;

CREATE TABLE action (
    id                         INTEGER PRIMARY KEY,
    ref                        TEXT NOT NULL UNIQUE,
    pack                       INTEGER NOT NULL REFERENCES pack (id) ON DELETE CASCADE,
    pack_ref                   TEXT NOT NULL,
    label                      TEXT NOT NULL,
    description                TEXT,
    entrypoint                 TEXT NOT NULL,
    runtime                    INTEGER REFERENCES runtime (id) ON DELETE SET NULL,
    param_schema               TEXT CHECK (json_valid(param_schema)),
    out_schema                 TEXT CHECK (json_valid(out_schema)),
    parameter_delivery         TEXT NOT NULL DEFAULT 'stdin' CHECK (parameter_delivery IN ('stdin', 'file')),
    parameter_format           TEXT NOT NULL DEFAULT 'json' CHECK (parameter_format IN ('dotenv', 'json', 'yaml')),
    output_format              TEXT NOT NULL DEFAULT 'text' CHECK (output_format IN ('text', 'json', 'yaml', 'jsonl')),
    timeout_seconds            INTEGER,
    runtime_version_constraint TEXT,
    required_worker_runtimes   TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(required_worker_runtimes)),
    created                    TEXT NOT NULL,
    updated                    TEXT NOT NULL
) STRICT;

CREATE TABLE worker (
    id             INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    worker_type    TEXT NOT NULL CHECK (worker_type IN ('local', 'remote', 'container')),
    worker_role    TEXT NOT NULL DEFAULT 'action' CHECK (worker_role IN ('action', 'sensor')),
    host           TEXT,
    status         TEXT NOT NULL CHECK (status IN ('active', 'inactive', 'busy', 'error')),
    capabilities   TEXT CHECK (json_valid(capabilities)),
    meta           TEXT CHECK (json_valid(meta)),
    last_heartbeat TEXT,
    created        TEXT NOT NULL,
    updated        TEXT NOT NULL
) STRICT;

CREATE TABLE execution (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    action        INTEGER REFERENCES action (id) ON DELETE SET NULL,
    action_ref    TEXT NOT NULL,
    config        TEXT CHECK (json_valid(config)),
    env_vars      TEXT CHECK (json_valid(env_vars)),
    worker        INTEGER REFERENCES worker (id) ON DELETE SET NULL,
    status        TEXT NOT NULL DEFAULT 'requested' CHECK (status IN (
        'requested', 'scheduling', 'scheduled', 'running', 'completed', 'failed', 'canceling', 'cancelled', 'timeout',
        'abandoned')),
    result        TEXT CHECK (json_valid(result)),
    started_at    TEXT,
    workflow_task TEXT CHECK (json_valid(workflow_task)),
    created       TEXT NOT NULL,
    updated       TEXT NOT NULL
) STRICT;

-- What is not terminal is looked up again and again; what is terminal only by its id.
CREATE INDEX execution_open ON execution (status, id)
    WHERE status NOT IN ('completed', 'failed', 'cancelled', 'timeout', 'abandoned');

-- Every change of state, as the Attune schema's history keeps it.
CREATE TABLE execution_history (
    time       TEXT NOT NULL,
    execution  INTEGER NOT NULL,
    old_status TEXT,
    new_status TEXT NOT NULL,
    worker     INTEGER
) STRICT;

CREATE INDEX execution_history_of ON execution_history (execution);

CREATE TRIGGER execution_inserted AFTER INSERT ON execution BEGIN
    INSERT INTO execution_history VALUES (NEW.created, NEW.id, NULL, NEW.status, NEW.worker);
END;

CREATE TRIGGER execution_changed AFTER UPDATE OF status ON execution WHEN OLD.status <> NEW.status BEGIN
    INSERT INTO execution_history VALUES (NEW.updated, NEW.id, OLD.status, NEW.status, NEW.worker);
END;

-- A terminal state is never replaced, whoever tries.
CREATE TRIGGER execution_final BEFORE UPDATE OF status, result ON execution
    WHEN OLD.status IN ('completed', 'failed', 'cancelled', 'timeout', 'abandoned') BEGIN
    SELECT RAISE(ABORT, 'a terminal state is final');
END;
