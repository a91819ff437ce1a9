-- Where the proxies of an app believe their neighbours to be, as JSON.
ALTER TABLE apps ADD COLUMN neighbours TEXT NOT NULL DEFAULT '{}';
