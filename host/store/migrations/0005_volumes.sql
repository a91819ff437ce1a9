-- Volumes that were made for a release, until they are removed by name. The host does not
-- make one of them anew: what was in it is not in a new one.
CREATE TABLE volumes (
    app  TEXT NOT NULL REFERENCES apps (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (app, name)
) STRICT;
