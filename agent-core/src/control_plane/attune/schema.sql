-- The tables of an Attune control plane that an agent speaks to, in our own words, for people who have no Attune: the
-- same names, columns, types, defaults and constraints, so that an agent cannot tell the two apart.
--
-- Executed as one script in a transaction, with `search_path` set to an existing, empty schema, whatever its name. What
-- other parts of Attune own is left out, and so are the foreign keys that lead there (`identity`, `sensor`,
-- `workflow_definition`, `rule`, `event`): those columns hold plain numbers.

CREATE TYPE worker_type_enum AS ENUM ('local', 'remote', 'container');
CREATE TYPE worker_role_enum AS ENUM ('action', 'sensor');
CREATE TYPE worker_status_enum AS ENUM ('active', 'inactive', 'busy', 'error');
CREATE TYPE execution_status_enum AS ENUM (
    'requested', 'scheduling', 'scheduled', 'running', 'completed', 'failed', 'canceling', 'cancelled', 'timeout',
    'abandoned');
CREATE TYPE enforcement_status_enum AS ENUM ('created', 'processed', 'disabled');
CREATE TYPE enforcement_condition_enum AS ENUM ('any', 'all');
CREATE TYPE owner_type_enum AS ENUM ('system', 'identity', 'pack', 'action', 'sensor');
CREATE TYPE artifact_type_enum AS ENUM (
    'file_binary', 'file_datatable', 'file_image', 'file_text', 'other', 'progress', 'url');
CREATE TYPE artifact_retention_enum AS ENUM ('versions', 'days', 'hours', 'minutes');
CREATE TYPE artifact_visibility_enum AS ENUM ('public', 'private');
CREATE TYPE pack_environment_status_enum AS ENUM ('pending', 'installing', 'ready', 'failed', 'outdated');

-- What can be run ----------------------------------------------------------------------------------------------------

CREATE TABLE pack (
    id                  BIGSERIAL PRIMARY KEY,
    ref                 TEXT NOT NULL UNIQUE,
    label               TEXT NOT NULL,
    description         TEXT,
    version             TEXT NOT NULL,
    conf_schema         JSONB NOT NULL DEFAULT '{}',
    config              JSONB NOT NULL DEFAULT '{}',
    meta                JSONB NOT NULL DEFAULT '{}',
    tags                TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[],
    runtime_deps        TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[],
    dependencies        TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[],
    is_standard         BOOLEAN NOT NULL DEFAULT false,
    installers          JSONB DEFAULT '[]',
    source_type         TEXT,
    source_url          TEXT,
    source_ref          TEXT,
    checksum            TEXT,
    checksum_verified   BOOLEAN DEFAULT false,
    installed_at        TIMESTAMPTZ,
    installed_by        BIGINT,
    installation_method TEXT,
    storage_path        TEXT,
    created             TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated             TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT pack_ref_lowercase CHECK (ref = lower(ref)),
    CONSTRAINT pack_ref_format CHECK (ref ~ '^[a-z][a-z0-9_-]+$'),
    CONSTRAINT pack_version_semver CHECK (
        version ~ '^\d+\.\d+\.\d+(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$')
);

CREATE TABLE runtime (
    id               BIGSERIAL PRIMARY KEY,
    ref              TEXT NOT NULL UNIQUE,
    pack             BIGINT REFERENCES pack (id) ON DELETE CASCADE,
    pack_ref         TEXT,
    description      TEXT,
    name             TEXT NOT NULL,
    aliases          TEXT[] NOT NULL DEFAULT '{}',
    distributions    JSONB NOT NULL,
    installation     JSONB,
    installers       JSONB DEFAULT '[]',
    execution_config JSONB NOT NULL DEFAULT '{}',
    auto_detected    BOOLEAN NOT NULL DEFAULT false,
    detection_config JSONB NOT NULL DEFAULT '{}',
    created          TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated          TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT runtime_ref_lowercase CHECK (ref = lower(ref))
);

CREATE INDEX runtime_pack ON runtime (pack);
CREATE INDEX runtime_aliases ON runtime USING gin (aliases);

CREATE TABLE runtime_version (
    id               BIGSERIAL PRIMARY KEY,
    runtime          BIGINT NOT NULL REFERENCES runtime (id) ON DELETE CASCADE,
    runtime_ref      TEXT NOT NULL,
    version          TEXT NOT NULL,
    version_major    INTEGER,
    version_minor    INTEGER,
    version_patch    INTEGER,
    execution_config JSONB NOT NULL DEFAULT '{}',
    distributions    JSONB NOT NULL DEFAULT '{}',
    is_default       BOOLEAN NOT NULL DEFAULT false,
    available        BOOLEAN NOT NULL DEFAULT true,
    verified_at      TIMESTAMPTZ,
    meta             JSONB NOT NULL DEFAULT '{}',
    created          TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated          TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT runtime_version_unique UNIQUE (runtime, version)
);

CREATE TABLE action (
    id                                    BIGSERIAL PRIMARY KEY,
    ref                                   TEXT NOT NULL UNIQUE,
    pack                                  BIGINT NOT NULL REFERENCES pack (id) ON DELETE CASCADE,
    pack_ref                              TEXT NOT NULL,
    label                                 TEXT NOT NULL,
    description                           TEXT,
    entrypoint                            TEXT NOT NULL,
    runtime                               BIGINT REFERENCES runtime (id),
    param_schema                          JSONB,
    out_schema                            JSONB,
    parameter_delivery                    TEXT NOT NULL DEFAULT 'stdin'
        CHECK (parameter_delivery IN ('stdin', 'file')),
    parameter_format                      TEXT NOT NULL DEFAULT 'json'
        CHECK (parameter_format IN ('dotenv', 'json', 'yaml')),
    output_format                         TEXT NOT NULL DEFAULT 'text'
        CHECK (output_format IN ('text', 'json', 'yaml', 'jsonl')),
    is_adhoc                              BOOLEAN NOT NULL DEFAULT false,
    timeout_seconds                       INTEGER,
    max_retries                           INTEGER DEFAULT 0,
    runtime_version_constraint            TEXT,
    accesses_mcp                          BOOLEAN NOT NULL DEFAULT false,
    default_execution_permission_set_refs TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[],
    log_retention_policy                  artifact_retention_enum,
    log_retention_limit                   INTEGER,
    artifact_retention_policy             artifact_retention_enum,
    artifact_retention_limit              INTEGER,
    created                               TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated                               TIMESTAMPTZ NOT NULL DEFAULT now(),
    workflow_def                          BIGINT,
    required_worker_runtimes              JSONB NOT NULL DEFAULT '{}',
    worker_selector                       JSONB NOT NULL DEFAULT '{}',
    worker_tolerations                    JSONB NOT NULL DEFAULT '[]',
    worker_affinity                       JSONB NOT NULL DEFAULT '{}',
    CONSTRAINT action_ref_lowercase CHECK (ref = lower(ref)),
    CONSTRAINT action_ref_format CHECK (ref ~ '^[^.]+\.[^.]+$'),
    CONSTRAINT action_log_retention_limit_positive CHECK (
        log_retention_limit IS NULL OR log_retention_limit > 0),
    CONSTRAINT action_artifact_retention_limit_positive CHECK (
        artifact_retention_limit IS NULL OR artifact_retention_limit > 0)
);

CREATE INDEX action_pack ON action (pack);
CREATE INDEX action_runtime ON action (runtime);

-- Who runs it --------------------------------------------------------------------------------------------------------

CREATE TABLE worker (
    id             BIGSERIAL PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    worker_type    worker_type_enum NOT NULL,
    worker_role    worker_role_enum NOT NULL,
    runtime        BIGINT REFERENCES runtime (id) ON DELETE SET NULL,
    host           TEXT,
    port           INTEGER,
    status         worker_status_enum NOT NULL DEFAULT 'active',
    capabilities   JSONB,
    meta           JSONB,
    last_heartbeat TIMESTAMPTZ,
    cordoned       BOOLEAN NOT NULL DEFAULT false,
    cordon_reason  TEXT,
    cordoned_by    BIGINT,
    cordoned_at    TIMESTAMPTZ,
    created        TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated        TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE pack_environment (
    id                   BIGSERIAL PRIMARY KEY,
    pack                 BIGINT NOT NULL REFERENCES pack (id) ON DELETE CASCADE,
    pack_ref             TEXT NOT NULL,
    runtime              BIGINT NOT NULL REFERENCES runtime (id) ON DELETE CASCADE,
    runtime_ref          TEXT NOT NULL,
    runtime_version      BIGINT REFERENCES runtime_version (id) ON DELETE CASCADE,
    runtime_version_text TEXT,
    -- The casts matter: only text appended to text is immutable, as a generated column has to be.
    env_key              TEXT UNIQUE GENERATED ALWAYS AS (
        CASE
            WHEN runtime_version IS NULL THEN 'base:' || pack::text || ':' || runtime::text
            ELSE 'version:' || pack::text || ':' || runtime::text || ':' || runtime_version::text
        END
    ) STORED,
    env_path             TEXT NOT NULL,
    status               pack_environment_status_enum NOT NULL DEFAULT 'pending',
    manifest_checksum    TEXT,
    claimed_by_worker    BIGINT REFERENCES worker (id) ON DELETE SET NULL,
    claim_expires_at     TIMESTAMPTZ,
    installed_at         TIMESTAMPTZ,
    last_verified        TIMESTAMPTZ,
    install_log          TEXT,
    install_error        TEXT,
    metadata             JSONB DEFAULT '{}',
    created              TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated              TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX pack_environment_pack ON pack_environment (pack);
CREATE INDEX pack_environment_runtime ON pack_environment (runtime);

-- What is run --------------------------------------------------------------------------------------------------------

CREATE TABLE enforcement (
    id          BIGSERIAL PRIMARY KEY,
    rule        BIGINT,
    rule_ref    TEXT NOT NULL,
    trigger_ref TEXT NOT NULL,
    config      JSONB,
    event       BIGINT,
    status      enforcement_status_enum NOT NULL DEFAULT 'created',
    payload     JSONB NOT NULL,
    condition   enforcement_condition_enum NOT NULL DEFAULT 'all',
    conditions  JSONB NOT NULL DEFAULT '[]',
    created     TIMESTAMPTZ NOT NULL DEFAULT now(),
    resolved_at TIMESTAMPTZ
);

CREATE TABLE execution (
    id                        BIGSERIAL PRIMARY KEY,
    action                    BIGINT REFERENCES action (id) ON DELETE SET NULL,
    action_ref                TEXT NOT NULL,
    config                    JSONB,
    env_vars                  JSONB,
    parent                    BIGINT REFERENCES execution (id) ON DELETE SET NULL,
    enforcement               BIGINT REFERENCES enforcement (id) ON DELETE SET NULL,
    executor                  BIGINT,
    permission_set_refs       TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[],
    artifact_retention_policy artifact_retention_enum,
    artifact_retention_limit  INTEGER,
    worker_selector           JSONB,
    worker_tolerations        JSONB,
    worker_affinity           JSONB,
    worker                    BIGINT REFERENCES worker (id) ON DELETE SET NULL,
    status                    execution_status_enum NOT NULL DEFAULT 'requested',
    result                    JSONB,
    started_at                TIMESTAMPTZ,
    created                   TIMESTAMPTZ NOT NULL DEFAULT now(),
    workflow_def              BIGINT,
    workflow_task             JSONB,
    retry_count               INTEGER NOT NULL DEFAULT 0,
    max_retries               INTEGER,
    retry_reason              TEXT,
    original_execution        BIGINT REFERENCES execution (id) ON DELETE SET NULL,
    updated                   TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT execution_artifact_retention_limit_positive CHECK (
        artifact_retention_limit IS NULL OR artifact_retention_limit > 0)
);

-- What is not terminal is looked up again and again: by its worker, and in the order of its arrival.
CREATE INDEX execution_open ON execution (worker, status, id)
    WHERE status NOT IN ('completed', 'failed', 'cancelled', 'timeout', 'abandoned');
CREATE INDEX execution_created ON execution (created);
CREATE INDEX execution_result ON execution USING gin (result);
CREATE INDEX execution_env_vars ON execution USING gin (env_vars);
-- For those who follow a reference backwards, deletions among them. Most executions have none of these.
CREATE INDEX execution_action ON execution (action) WHERE action IS NOT NULL;
CREATE INDEX execution_parent ON execution (parent) WHERE parent IS NOT NULL;
CREATE INDEX execution_enforcement ON execution (enforcement) WHERE enforcement IS NOT NULL;
CREATE INDEX execution_original ON execution (original_execution) WHERE original_execution IS NOT NULL;

-- Secrets, out of the way of everybody who may read executions. `entity_id` is an execution or an enforcement.
CREATE TABLE execution_secret_value (
    id                  BIGSERIAL PRIMARY KEY,
    entity_type         TEXT NOT NULL,
    entity_id           BIGINT NOT NULL,
    json_path           TEXT NOT NULL,
    source_kind         TEXT NOT NULL,
    source_ref          TEXT,
    encrypted_value     JSONB NOT NULL,
    encryption_key_hash TEXT,
    created             TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (entity_type, entity_id, json_path)
);

CREATE TABLE key (
    id                  BIGSERIAL PRIMARY KEY,
    ref                 TEXT NOT NULL UNIQUE,
    owner_type          owner_type_enum NOT NULL,
    owner               TEXT,
    owner_identity      BIGINT,
    owner_pack          BIGINT REFERENCES pack (id),
    owner_pack_ref      TEXT,
    owner_action        BIGINT REFERENCES action (id) ON DELETE CASCADE,
    owner_action_ref    TEXT,
    owner_sensor        BIGINT,
    owner_sensor_ref    TEXT,
    name                TEXT NOT NULL,
    encrypted           BOOLEAN NOT NULL,
    encryption_key_hash TEXT,
    value               JSONB NOT NULL,
    created             TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated             TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT key_ref_lowercase CHECK (ref = lower(ref)),
    CONSTRAINT key_ref_format CHECK (ref ~ '^[^.]+(\.[^.]+)*$')
);

CREATE UNIQUE INDEX key_owner_name ON key (owner_type, owner, name);
CREATE INDEX key_owner_pack ON key (owner_pack, name) WHERE owner_type = 'pack';
CREATE INDEX key_owner_action ON key (owner_action, name) WHERE owner_type = 'action';

-- What it leaves behind ----------------------------------------------------------------------------------------------

CREATE TABLE artifact (
    id               BIGSERIAL PRIMARY KEY,
    ref              TEXT NOT NULL,
    scope            owner_type_enum NOT NULL DEFAULT 'system',
    owner            TEXT NOT NULL DEFAULT '',
    type             artifact_type_enum NOT NULL,
    visibility       artifact_visibility_enum NOT NULL DEFAULT 'private',
    name             TEXT,
    description      TEXT,
    content_type     TEXT,
    size_bytes       BIGINT,
    data             JSONB,
    retention_policy artifact_retention_enum NOT NULL DEFAULT 'versions',
    retention_limit  INTEGER NOT NULL DEFAULT 1,
    created          TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated          TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX artifact_ref ON artifact (ref);

CREATE TABLE artifact_version (
    id           BIGSERIAL PRIMARY KEY,
    artifact     BIGINT NOT NULL REFERENCES artifact (id) ON DELETE CASCADE,
    version      INTEGER NOT NULL,
    -- No foreign key: a version outlives its execution.
    execution    BIGINT,
    content_type TEXT,
    size_bytes   BIGINT,
    content      BYTEA,
    content_json JSONB,
    file_path    TEXT,
    meta         JSONB,
    created_by   TEXT,
    created      TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT uq_artifact_version_artifact_version UNIQUE (artifact, version)
);

CREATE INDEX artifact_version_execution ON artifact_version (execution) WHERE execution IS NOT NULL;

-- Every change, as it was at the time. `entity_ref` is the worker's name, or the execution's action.
CREATE TABLE worker_history (
    time           TIMESTAMPTZ NOT NULL DEFAULT now(),
    operation      TEXT NOT NULL,
    entity_id      BIGINT NOT NULL,
    entity_ref     TEXT,
    changed_fields TEXT[] NOT NULL DEFAULT '{}',
    old_values     JSONB,
    new_values     JSONB
);

CREATE INDEX worker_history_of ON worker_history (entity_id, time);

CREATE TABLE execution_history (
    time           TIMESTAMPTZ NOT NULL DEFAULT now(),
    operation      TEXT NOT NULL,
    entity_id      BIGINT NOT NULL,
    entity_ref     TEXT,
    changed_fields TEXT[] NOT NULL DEFAULT '{}',
    old_values     JSONB,
    new_values     JSONB
);

CREATE INDEX execution_history_of ON execution_history (entity_id, time);

-- Triggers. Their functions keep the search path of this script, so that they work for everybody who may write to a
-- table, whatever path they have set themselves; what they call needs none of its own. ------------------------------

-- When a row was updated is for the database to say: what a client says is overwritten.
CREATE FUNCTION set_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated := now();
    RETURN NEW;
END
$$;

CREATE TRIGGER pack_updated BEFORE UPDATE ON pack FOR EACH ROW EXECUTE FUNCTION set_updated();
CREATE TRIGGER runtime_updated BEFORE UPDATE ON runtime FOR EACH ROW EXECUTE FUNCTION set_updated();
CREATE TRIGGER runtime_version_updated BEFORE UPDATE ON runtime_version FOR EACH ROW EXECUTE FUNCTION set_updated();
CREATE TRIGGER action_updated BEFORE UPDATE ON action FOR EACH ROW EXECUTE FUNCTION set_updated();
CREATE TRIGGER worker_updated BEFORE UPDATE ON worker FOR EACH ROW EXECUTE FUNCTION set_updated();
CREATE TRIGGER pack_environment_updated BEFORE UPDATE ON pack_environment FOR EACH ROW EXECUTE FUNCTION set_updated();
CREATE TRIGGER execution_updated BEFORE UPDATE ON execution FOR EACH ROW EXECUTE FUNCTION set_updated();
CREATE TRIGGER key_updated BEFORE UPDATE ON key FOR EACH ROW EXECUTE FUNCTION set_updated();
CREATE TRIGGER artifact_updated BEFORE UPDATE ON artifact FOR EACH ROW EXECUTE FUNCTION set_updated();

-- `owner` says in one column what the others say in many.
CREATE FUNCTION set_key_owner() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.owner := CASE NEW.owner_type
        WHEN 'system' THEN 'system'
        WHEN 'identity' THEN NEW.owner_identity::text
        WHEN 'pack' THEN NEW.owner_pack::text
        WHEN 'action' THEN NEW.owner_action::text
        WHEN 'sensor' THEN NEW.owner_sensor::text
    END;
    RETURN NEW;
END
$$;

CREATE TRIGGER key_owner BEFORE INSERT OR UPDATE ON key FOR EACH ROW EXECUTE FUNCTION set_key_owner();

-- Tells whoever listens that an execution is there, or has another status.
CREATE FUNCTION notify_execution() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    cause enforcement;
    message jsonb;
BEGIN
    IF NEW.enforcement IS NOT NULL THEN
        SELECT * INTO cause FROM enforcement WHERE id = NEW.enforcement;
    END IF;
    message := jsonb_build_object(
        'entity_type', 'execution', 'entity_id', NEW.id, 'id', NEW.id, 'action_id', NEW.action,
        'action_ref', NEW.action_ref, 'status', NEW.status, 'enforcement', NEW.enforcement,
        'rule_ref', cause.rule_ref, 'trigger_ref', cause.trigger_ref, 'parent', NEW.parent,
        'started_at', NEW.started_at, 'workflow_task', NEW.workflow_task, 'created', NEW.created,
        'updated', NEW.updated);
    IF TG_OP = 'UPDATE' THEN
        message := message || jsonb_build_object('old_status', OLD.status);
    END IF;
    -- A longer message would be refused, and the change of status with it.
    IF octet_length(message::text) >= 8000 THEN
        message := message - 'workflow_task';
    END IF;
    PERFORM pg_notify(TG_ARGV[0], message::text);
    RETURN NULL;
END
$$;

CREATE TRIGGER execution_created AFTER INSERT ON execution
    FOR EACH ROW EXECUTE FUNCTION notify_execution('execution_created');
CREATE TRIGGER execution_status_changed AFTER UPDATE ON execution
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION notify_execution('execution_status_changed');

-- What differs between two states of a row, by name.
CREATE FUNCTION row_changes(
    old_row jsonb, new_row jsonb, OUT fields text[], OUT old_values jsonb, OUT new_values jsonb
) LANGUAGE sql IMMUTABLE AS $$
    SELECT
        coalesce(array_agg(key ORDER BY key), '{}'),
        jsonb_object_agg(key, was.value),
        jsonb_object_agg(key, became.value)
    FROM jsonb_each(old_row) AS was JOIN jsonb_each(new_row) AS became USING (key)
    WHERE was.value IS DISTINCT FROM became.value
$$;

-- A worker that is only alive has no history: heartbeats are left out, and changes of nothing else.
CREATE FUNCTION record_worker() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    unremarkable CONSTANT text[] := ARRAY['last_heartbeat', 'updated'];
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - unremarkable END;
    became jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - unremarkable END;
    fields text[] := '{}';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT * INTO fields, was, became FROM row_changes(was, became);
        IF fields = '{}' THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO worker_history (operation, entity_id, entity_ref, changed_fields, old_values, new_values)
    VALUES (TG_OP, coalesce(NEW.id, OLD.id), coalesce(NEW.name, OLD.name), fields, was, became);
    RETURN NULL;
END
$$;

CREATE TRIGGER worker_history_trigger AFTER INSERT OR UPDATE OR DELETE ON worker
    FOR EACH ROW EXECUTE FUNCTION record_worker();

-- A result in brief: enough to tell two apart.
CREATE FUNCTION digest_of(result jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object(
        'digest', 'md5:' || md5(result::text), 'size', octet_length(result::text), 'type', jsonb_typeof(result))
$$;

-- The row as its history keeps it: without the result itself, which may be large.
CREATE FUNCTION execution_in_brief(execution) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT to_jsonb($1) - ARRAY['result', 'updated'] || jsonb_build_object(
        'result', CASE WHEN $1.result IS NOT NULL THEN digest_of($1.result) END)
$$;

CREATE FUNCTION record_execution() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN execution_in_brief(OLD) END;
    became jsonb := CASE WHEN TG_OP <> 'DELETE' THEN execution_in_brief(NEW) END;
    fields text[] := '{}';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT * INTO fields, was, became FROM row_changes(was, became);
        IF fields = '{}' THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO execution_history (operation, entity_id, entity_ref, changed_fields, old_values, new_values)
    VALUES (TG_OP, coalesce(NEW.id, OLD.id), coalesce(NEW.action_ref, OLD.action_ref), fields, was, became);
    RETURN NULL;
END
$$;

CREATE TRIGGER execution_history_trigger AFTER INSERT OR UPDATE OR DELETE ON execution
    FOR EACH ROW EXECUTE FUNCTION record_execution();

-- An artifact shows the size and type of its latest version, and by the policy `versions` keeps only so many.
CREATE FUNCTION keep_artifact_versions() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    kept artifact;
BEGIN
    UPDATE artifact SET size_bytes = NEW.size_bytes, content_type = coalesce(NEW.content_type, content_type)
        WHERE id = NEW.artifact RETURNING * INTO kept;
    IF kept.retention_policy = 'versions' AND kept.retention_limit > 0 THEN
        DELETE FROM artifact_version WHERE id IN (
            SELECT id FROM artifact_version WHERE artifact = NEW.artifact
            ORDER BY version DESC OFFSET kept.retention_limit);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER artifact_version_kept AFTER INSERT ON artifact_version
    FOR EACH ROW EXECUTE FUNCTION keep_artifact_versions();
