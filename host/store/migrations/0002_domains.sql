-- Host names beside the free subdomains. A name belongs to one app; `www.NAME` is a row
-- of its own. One that the manifest named goes when it no longer does; one that a person
-- added stays until it is removed by hand.
CREATE TABLE domains (
    name        TEXT PRIMARY KEY,
    app         TEXT NOT NULL REFERENCES apps (name) ON DELETE CASCADE,
    redirect_to TEXT,                  -- the name that its requests are sent on to
    hsts        INTEGER NOT NULL,
    by_hand     INTEGER NOT NULL,
    verified_ms INTEGER                -- when it was last seen to lead here
) STRICT;

CREATE INDEX domains_by_app ON domains (app);
