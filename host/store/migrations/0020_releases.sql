-- A release owns all that made it.
ALTER TABLE releases ADD COLUMN sealed_manifest BLOB;  -- absent: a host that kept no more than
ALTER TABLE releases ADD COLUMN sealed_spec BLOB;      -- the current release needed has made it
ALTER TABLE releases ADD COLUMN sealed_request BLOB;
ALTER TABLE releases ADD COLUMN reason TEXT NOT NULL DEFAULT '"deploy"';
ALTER TABLE releases ADD COLUMN operation TEXT;
ALTER TABLE releases ADD COLUMN actor TEXT;
ALTER TABLE releases ADD COLUMN git_commit TEXT;
ALTER TABLE releases ADD COLUMN started_ms INTEGER;
ALTER TABLE releases ADD COLUMN plugins TEXT NOT NULL DEFAULT '{}';  -- {"service": "digest"}
ALTER TABLE releases ADD COLUMN blobs TEXT;            -- ["digest"]; absent: not known yet

UPDATE releases SET
    sealed_manifest = (SELECT sealed_manifest FROM apps WHERE name = app AND release = number),
    sealed_spec = (SELECT sealed_spec FROM apps WHERE name = app AND release = number),
    sealed_request = (SELECT sealed_request FROM apps WHERE name = app AND release = number);
ALTER TABLE apps DROP COLUMN sealed_manifest;
ALTER TABLE apps DROP COLUMN sealed_spec;
ALTER TABLE apps DROP COLUMN sealed_request;

-- Which value of a secret is the present one: that of the highest turn. A rollback makes an
-- earlier one present again. Turn 0 is none: the value was dropped, and a release needs it.
ALTER TABLE secrets ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
UPDATE secrets SET turn = revision;

-- Deploys, changes and rollbacks that came to no release.
CREATE TABLE failed_releases (
    operation     TEXT PRIMARY KEY,
    app           TEXT NOT NULL REFERENCES apps (name) ON DELETE CASCADE,
    reason        TEXT NOT NULL,
    state         TEXT NOT NULL,
    source        TEXT,
    actor         TEXT,
    git_commit    TEXT,
    started_ms    INTEGER NOT NULL,
    ended_ms      INTEGER NOT NULL,
    sealed_report BLOB NOT NULL
) STRICT;

CREATE INDEX failed_releases_by_app ON failed_releases (app, ended_ms);
