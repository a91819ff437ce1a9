-- What apps ran last that were removed and left volumes behind: what their data was made with.
CREATE TABLE remains (
    app              TEXT NOT NULL PRIMARY KEY,
    sealed_blueprint BLOB NOT NULL
) STRICT;
