-- Operations that wait for others on their app: whether one has ever begun, and the values
-- that it gives secrets once it does.
ALTER TABLE operations ADD COLUMN begun INTEGER NOT NULL DEFAULT 1;
ALTER TABLE operations ADD COLUMN sealed_given BLOB;
