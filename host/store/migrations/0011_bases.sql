-- The images that a build was made on: {"reference": "id or digest"}.
ALTER TABLE builds ADD COLUMN bases TEXT NOT NULL DEFAULT '{}';
