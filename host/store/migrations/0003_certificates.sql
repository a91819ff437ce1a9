-- What certificates, orders, accounts and the local CA need to outlive the process.
CREATE TABLE vault (
    kind         TEXT NOT NULL,
    id           TEXT NOT NULL,
    sealed_value BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;
