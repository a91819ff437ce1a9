-- What apps print is in the events of operations and in failures. It is sealed; the columns
-- in clear hold only what older hosts wrote, until the next start seals it.
ALTER TABLE operation_events ADD COLUMN sealed_event BLOB;
ALTER TABLE apps ADD COLUMN sealed_last_error BLOB;
